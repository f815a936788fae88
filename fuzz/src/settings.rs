//! The settings file: any text is settings or errors, and no error shows a secret.

use std::collections::BTreeMap;
use std::io::Write as _;

use label_studio_gate::settings::Settings;

const SECRET: &str = "fuzzing-secret-key-of-fifty-characters-0123456789-";

/// A TOML file beside an environment with a `SECRET_KEY` and a database.
pub fn settings_file(data: &[u8]) {
    let mut file = tempfile::Builder::new()
        .suffix(".toml")
        .tempfile()
        .expect("a temporary file");
    file.write_all(data).expect("written");
    let environment: BTreeMap<String, String> = [
        ("SECRET_KEY", SECRET),
        ("DATABASE_URL", "postgres://gate@127.0.0.1/label_studio"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Err(errors) = Settings::load(Some(file.path()), &environment) {
        let text = errors.to_string();
        assert!(!text.is_empty());
        assert!(!text.contains(SECRET), "{text}");
    }
}
