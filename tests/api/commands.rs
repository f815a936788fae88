//! Commands that need no settings, and documents that the code has to agree with.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::token::SECRET_KEY;

fn gate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_label-studio-gate"))
        .args(arguments)
        .env_clear()
        .env("SECRET_KEY", SECRET_KEY)
        .env("DATABASE_URL", "postgres://gate@localhost/label_studio")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(err));
    String::from_utf8(out.clone()).unwrap()
}

#[test]
fn the_plugins_settings_are_read_and_the_result_is_usable() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    let settings = "import os\nJWT_SSO_COOKIE_NAME = 'jwt_auth_token'\nJWT_SSO_SECRET = os.getenv('JWT_SSO_SECRET')\nSSO_TOKEN_EXPIRY = 5 * 60\n";
    std::fs::write(path("settings.py"), settings).unwrap();
    let printed = said(&gate(&[
        "check-config",
        "--from-django",
        &path("settings.py"),
    ]));
    std::fs::write(path("gate.toml"), printed).unwrap();
    let in_force = said(&gate(&["check-config", "--config", &path("gate.toml")]));
    assert!(
        in_force.contains("token.cookie = \"jwt_auth_token\""),
        "{in_force}"
    );
    assert!(
        in_force.contains("token_issue.expires_in = \"300\""),
        "{in_force}"
    );

    std::fs::write(path("settings.py"), "JWT_SSO_SECRET = = 1\n").unwrap();
    for (file, why) in [("settings.py", "line 1"), ("nothing.py", "No such file")] {
        let output = gate(&["check-config", "--from-django", &path(file)]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn completions_and_the_manual_page_know_every_command() {
    let commands = [
        "serve",
        "check-config",
        "doctor",
        "migrate",
        "purge",
        "token",
        "inspect",
        "healthcheck",
    ];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = said(&gate(&["completions", shell]));
        for command in commands {
            assert!(text.contains(command), "{shell}: {command}");
        }
    }
    let page = said(&gate(&["man"])).replace("\\-", "-");
    assert!(page.contains(".TH label-studio-gate 8"), "{page}");
    for command in commands {
        assert!(page.contains(command), "{command}");
    }
    assert_eq!(gate(&["completions", "cmd"]).status.code(), Some(64));
}

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_openapi_document_has_every_route_and_every_reason() {
    let document = file("docs/openapi.yaml");
    let code = file("src/http/mod.rs") + &file("src/http/health.rs");
    let mut routes: Vec<String> = code
        .split(['(', ')', ',', ' ', '\n'])
        .filter_map(|word| word.strip_prefix("\"/")?.strip_suffix('"'))
        .map(|path| format!("/{}", path.replace(":.*", "")))
        .collect();
    routes.sort();
    let mut documented: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'))
        .collect();
    documented.sort_unstable();
    let documented: Vec<String> = documented.iter().map(|path| format!("/{path}")).collect();
    assert_eq!(documented, routes);

    let reasons = file("docs/reasons.md");
    let reasons: Vec<&str> = reasons
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let (_, listed) = document
        .split_once("See reasons.md.\n      enum:\n")
        .unwrap();
    let listed: Vec<&str> = listed
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
        .collect();
    assert_eq!(listed, reasons);
}
