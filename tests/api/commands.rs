//! Commands that need no database.

use std::process::{Command, Output};

use crate::support::leash::Leash;
use crate::support::token::SECRET_KEY;
use crate::support::wait_until;

fn gate(arguments: &[&str]) -> Output {
    gate_with(arguments, &[])
}

/// The binary, with what every configuration needs and these variables.
pub fn gate_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_label-studio-gate"))
        .args(arguments)
        .env_clear()
        .env("SECRET_KEY", SECRET_KEY)
        .env("DATABASE_URL", "postgres://gate@localhost/label_studio")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// What a command that went well printed.
pub fn said(output: &Output) -> String {
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

/// What a service that was started with these variables wrote until it was ready.
fn started_with(variables: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("gate.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_label-studio-gate"));
    command
        .args(["serve"])
        .env("SECRET_KEY", SECRET_KEY)
        .env("DATABASE_URL", "postgres://gate@localhost/label_studio")
        .envs(variables.iter().copied());
    let _service = Leash::start(&command, "TERM", &log, None);
    let written = || std::fs::read_to_string(&log).unwrap_or_default();
    // The workers start after the last line that is of interest here.
    wait_until(15, || written().contains("starting service"), written);
    written()
}

#[test]
fn who_listens_to_other_machines_and_trusts_no_proxy_there_is_warned() {
    const WARNING: &str = "http.trusted_proxies names no other machine";
    let everywhere = ("GATE_HTTP_LISTEN", "0.0.0.0:0");
    let verbose = ("GATE_LOG_LEVEL", "info");
    let said = started_with(&[everywhere, verbose]);
    assert!(said.contains(WARNING), "{said}");
    let internal = ("GATE_HTTP_INTERNAL_LISTEN", "0.0.0.0:0");
    let said = started_with(&[("GATE_HTTP_LISTEN", "127.0.0.1:0"), internal, verbose]);
    assert!(said.contains(WARNING), "{said}");

    let trusted = ("GATE_HTTP_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8");
    let said = started_with(&[everywhere, trusted, verbose]);
    assert!(!said.contains(WARNING), "{said}");
    let said = started_with(&[("GATE_HTTP_LISTEN", "127.0.0.1:0"), verbose]);
    assert!(!said.contains(WARNING), "{said}");
}
