//! Runs the program on a `settings.py` and loads its output in the gate.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use label_studio_gate::settings::Settings;

fn import(file: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_label-studio-gate-import"))
        .arg(file)
        .env_clear()
        .output()
        .expect("the program starts")
}

#[test]
fn the_printed_file_is_accepted_by_the_gate() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let source = "import os\nJWT_SSO_COOKIE_NAME = 'jwt_auth_token'\n\
        JWT_SSO_SECRET = os.getenv('JWT_SSO_SECRET')\nSSO_TOKEN_EXPIRY = 5 * 60\n";
    std::fs::write(path("settings.py"), source).unwrap();
    let output = import(&path("settings.py").display().to_string());
    assert!(output.status.success(), "{output:?}");
    std::fs::write(path("gate.toml"), output.stdout).unwrap();
    let key = ("SECRET_KEY".to_owned(), "secret-key-".repeat(5));
    let settings = Settings::load(Some(&path("gate.toml")), &BTreeMap::from([key])).unwrap();
    for line in [
        "token.cookie = \"jwt_auth_token\"",
        "token_issue.expires_in = \"300\"",
    ] {
        assert!(
            settings.describe().contains(line),
            "{}",
            settings.describe()
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    std::fs::write(path("settings.py"), "JWT_SSO_SECRET = = 1\n").unwrap();
    for (file, why) in [
        ("settings.py", "is not Python 3: see line 1"),
        ("nothing.py", "No such file"),
    ] {
        let output = import(&path(file));
        assert_eq!(output.status.code(), Some(1), "{file}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(why), "{told}");
    }
    assert_eq!(import("--unknown").status.code(), Some(64));
}
