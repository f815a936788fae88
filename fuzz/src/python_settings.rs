//! The importer of the plugin's settings: any text is a configuration or an error, and no secret is printed.
//!
//! A file of its own, outside `TARGETS`: the service's tests do not depend on the importer, whose own tests run the corpus.

use std::collections::BTreeMap;

/// A `settings.py`. The configuration that comes of it is TOML.
pub fn python_settings(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let secret = "a-secret-that-stands-in-the-file-0123456789";
    // After an empty line, it continues no other statement.
    let with_secret = format!("{source}\n\nJWT_SSO_SECRET = '{secret}'\n");
    for source in [source, &with_secret] {
        let read = label_studio_gate_import::configuration("settings.py", source, &BTreeMap::new());
        let text = read.unwrap_or_else(|why| why);
        assert!(!text.is_empty());
        assert!(!text.contains(secret), "{text}");
    }
}
