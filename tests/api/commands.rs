//! Commands that need no database.

use std::process::{Command, Output};

use crate::support::token::SECRET_KEY;

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
fn check_config_names_the_program_that_imports_settings_of_the_plugin() {
    let output = gate(&["check-config", "--from-django", "settings.py"]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("label-studio-gate-import settings.py"),
        "{told}"
    );
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
