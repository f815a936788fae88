//! Commands.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output};

use base64::Engine as _;
use serde_json::json;

use crate::process::Service;
use crate::support::leash::Leash;
use crate::support::token::{SECRET_KEY, SHARED_SECRET, with};
use crate::support::wait_until;
use crate::world::{World, issuer_token};

fn gate(arguments: &[&str]) -> Output {
    gate_with(arguments, &[])
}

/// Runs the binary with the required settings and these variables.
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

/// The output of a command that succeeded.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(err));
    String::from_utf8(out.clone()).unwrap()
}

#[test]
fn check_config_names_the_program_that_imports_the_plugins_settings() {
    let output = gate(&["check-config", "--from-django", "settings.py"]);
    assert_eq!(output.status.code(), Some(64));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("label-studio-gate-import settings.py"),
        "{stderr}"
    );
}

/// A value that cannot be read must not leave a setting at its default.
#[test]
fn a_variable_that_is_not_utf_8_is_an_error() {
    let checked = |name: &str, value: &[u8]| {
        Command::new(env!("CARGO_BIN_EXE_label-studio-gate"))
            .arg("check-config")
            .env_clear()
            .env("SECRET_KEY", SECRET_KEY)
            .env(name, OsStr::from_bytes(value))
            .output()
            .unwrap()
    };
    for (name, setting) in [
        ("GATE_POLICY_ANONYMOUS", "policy.anonymous"),
        ("GATE_POLICY_ANONYMOUSE", "GATE_POLICY_ANONYMOUSE"),
        ("SESSION_COOKIE_NAME", "session.cookie_name"),
        ("JWT_SSO_SECRET", "external.secret"),
        ("JWT_SSO_SECRET_FILE", "external.secret"),
    ] {
        let output = checked(name, b"hunter2\xff");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}: {stderr}");
        assert!(stderr.contains(&format!("{setting}: ")), "{stderr}");
        assert!(
            stderr.contains(name) && !stderr.contains("hunter2"),
            "{stderr}"
        );
    }
    said(&checked("SOMETHING_ELSE", b"\xff"));
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

/// Engines restart what their health check finds unhealthy. Without its database a gate still
/// answers requests without a credential, and a restart would not bring the database back.
#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_passes_without_a_database_and_fails_for_a_frozen_process() {
    let nowhere = "postgres://gate@127.0.0.1:1/label_studio";
    let service = Service::start("", &[("DATABASE_URL", nowhere)]);
    let checked = || {
        let address = service.app.url.trim_start_matches("http://");
        gate_with(&["healthcheck"], &[("GATE_HTTP_LISTEN", address)])
    };
    service.app.get("/health/ready").await.expect_status(503);
    said(&checked());
    // Nor may settings that the service did not take over make an engine replace it.
    let address = service.app.url.trim_start_matches("http://");
    let wrong = [
        ("GATE_HTTP_LISTEN", address),
        ("GATE_DATABASE_TLS_CA_FILE", "/nowhere"),
        ("SECRET_KEY_FILE", "/nowhere"),
        ("GATE_NO_SETTING", "x"),
    ];
    said(&gate_with(&["healthcheck"], &wrong));
    let output = gate_with(&["healthcheck"], &[("GATE_HTTP_LISTEN", "nowhere")]);
    assert_eq!(output.status.code(), Some(64));

    service.signal("-STOP");
    let output = checked();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    service.signal("-CONT");
    said(&checked());
}

/// The log of a service with these variables until it is ready.
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
    // The warnings come before this line.
    wait_until(|| written().contains("starting service"), written);
    written()
}

#[test]
fn listening_to_other_machines_without_trusting_a_proxy_there_warns() {
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

#[test]
fn the_warnings_of_check_config_are_logged_at_start_too() {
    let variables = [
        ("LABEL_STUDIO_HOST", "https://ls.example.com"),
        ("SESSION_COOKIE_DOMAIN", "other.example.org"),
        ("JWT_SSO_COOKIE_NMAE", "ls_auth_token"),
        ("JWT_SSO_ALGORITHM", "RS256"),
        ("POSTGRE_PASSWORD", "'hunter2'"),
        ("GATE_HTTP_LISTEN", "0.0.0.0:0"),
        ("GATE_LOG_LEVEL", "info"),
    ];
    let shown = said(&gate_with(&["check-config"], &variables));
    let warnings = shown
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), 5, "{shown}");
    let log = started_with(&variables);
    assert!(!format!("{shown}{log}").contains("hunter2"), "{shown}{log}");
    for warning in warnings {
        assert!(log.contains(warning), "{warning} is not in {log}");
    }
}

/// The groups would keep nobody out.
#[test]
fn rules_that_hold_for_no_provider_are_wrong_settings() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("gate.toml");
    let text = "[label_studio]\nurl = \"https://ls.example.com\"\n[sign_in]\ngroups_claim = \"groups\"\n\
                allowed_groups = [\"annotators\"]\n[[sign_in.providers]]\nname = \"one\"\n\
                issuer = \"https://op.example.com\"\nclient_id = \"gate\"\nclient_secret = \"x\"\n";
    std::fs::write(&file, text).unwrap();
    let output = gate(&["--config", file.to_str().unwrap(), "check-config"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for field in ["groups_claim", "allowed_groups"] {
        let expected = format!("sign_in.{field}: has no effect beside sign_in.providers");
        assert!(said.contains(&expected), "{said}");
    }
}

/// systemd restarts a service that ends with another status than 64, and a reload begins with
/// `check-config`.
#[test]
fn certificates_that_cannot_be_read_are_wrong_settings_for_each_command() {
    let variables = [
        ("GATE_DATABASE_TLS", "verify-full"),
        ("GATE_DATABASE_TLS_CA_FILE", "/nowhere.pem"),
        ("GATE_HTTP_LISTEN", "127.0.0.1:0"),
    ];
    for command in ["check-config", "serve"] {
        let output = gate_with(&[command], &variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{command}: {said}");
        let why = "database.tls_ca_file: cannot read the certificates in /nowhere.pem";
        assert!(said.contains(why), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_names_the_methods_the_keys_and_what_was_expected() {
    let world = World::new(&[]).await;
    let url = world.database.gate_url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SSO_SECRET", SHARED_SECRET),
        ("GATE_EXTERNAL_ISSUER", "https://id.test"),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_EXTERNAL_USERNAME_CLAIM", "upn"),
        ("GATE_EXTERNAL_GROUPS_CLAIM", "roles"),
        ("GATE_EXTERNAL_ALLOWED_GROUPS", "annotators"),
    ];
    let good = json!({
        "iss": "https://id.test", "aud": "label-studio", "email": "ann@example.com", "roles": ["annotators"],
    });
    let inspect = |changes| {
        let token = issuer_token(&with(good.clone(), &changes));
        let output = gate_with(&["inspect", &token], &settings);
        let said = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        let said = String::from_utf8(said).unwrap();
        assert!(
            !said.contains(SHARED_SECRET) && !said.contains(&token),
            "{said}"
        );
        said
    };
    let (external, native) = (
        "  external: issuer https://id.test:",
        "  native: SECRET_KEY:",
    );
    let signed = format!("{external} a shared secret [HS256] made the signature\n");
    let tried = format!("{native} a shared secret [HS256] did not make the signature\n");
    let ann = world.ann.id;
    for (changes, expected) in [
        (
            json!({}),
            format!(
                "accepted (external): logs in user {ann} (ann@example.com)\n{signed}  user: the claims name \"ann@example.com\"\n"
            ),
        ),
        (
            json!({"aud": ["account", "other"]}),
            format!(
                "label-studio-gate: token_audience_refused: The token's `aud` doesn't include the gate.\n{signed}{external} audience \"label-studio\" expected, [\"account\",\"other\"] found\n{tried}"
            ),
        ),
        (
            json!({"iss": "https://id.test/"}),
            format!(
                "label-studio-gate: token_issuer_refused: The token's `iss` is not the expected issuer.\n{external} iss \"https://id.test\" expected, \"https://id.test/\" found\n{tried}"
            ),
        ),
    ] {
        assert_eq!(inspect(changes.clone()), expected, "{changes}");
    }
    for (changes, looked_at) in [
        (
            json!({"email": ""}),
            "claim email or upn: token_claim_missing",
        ),
        (json!({"email": "ann"}), "claim email: token_claim_invalid"),
        (json!({"upn": 7}), "claim upn: token_claim_invalid"),
        (
            json!({"email_verified": false}),
            "claim email_verified: token_email_unverified",
        ),
        (json!({"roles": null}), "claim roles: groups_missing"),
        (json!({"roles": 7}), "claim roles: token_claim_invalid"),
        (
            json!({"roles": ["leads"]}),
            "claim roles: group_not_allowed",
        ),
    ] {
        let said = inspect(changes.clone());
        let expected = format!("\n  user: looked at {looked_at}\n");
        assert!(said.ends_with(&expected), "{changes}: {said}");
    }
    let late = inspect(json!({"exp": 1_700_000_000, "iat": 1_600_000_000}));
    assert!(
        late.contains("exp is 1700000000, nbf nothing, iat 1600000000"),
        "{late}"
    );
}

/// A secret that was copied with more than the secret is recognized by the token's signature.
#[tokio::test(flavor = "multi_thread")]
async fn inspect_says_what_a_copy_of_the_secret_has_too_much() {
    let world = World::new(&[]).await;
    let url = world.database.gate_url();
    let token = issuer_token(&json!({"email": "ann@example.com"}));
    let encoded = base64::engine::general_purpose::STANDARD.encode(SHARED_SECRET);
    for (copy, form) in [
        (format!("{SHARED_SECRET}\n"), "line break around it"),
        (format!("'{SHARED_SECRET}'"), "quotation marks around it"),
        (encoded, "base64 of the secret"),
    ] {
        let settings = [("DATABASE_URL", &*url), ("JWT_SSO_SECRET", &*copy)];
        let output = gate_with(&["inspect", &token], &settings);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let is_told = told.lines().any(|line| {
            line.contains("a shared secret [HS256] would have made it") && line.ends_with(form)
        });
        assert!(
            is_told && told.contains("token_signature_invalid"),
            "{told}"
        );
        assert!(
            !told.contains(&copy) && !told.contains(SHARED_SECRET),
            "{told}"
        );
    }
}

/// With `--header`, the token is judged as one that comes with every request: by the issuers alone.
#[tokio::test(flavor = "multi_thread")]
async fn inspect_judges_a_token_as_one_in_the_header_of_an_identity_aware_proxy() {
    let world = World::new(&[]).await;
    let url = world.database.gate_url();
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SSO_SECRET", SHARED_SECRET),
        ("GATE_EXTERNAL_ISSUER", "https://proxy.test"),
        ("GATE_TOKEN_HEADER", "X-Proxy-Token"),
    ];
    let token = |changes| {
        let claims =
            json!({"iss": "https://proxy.test", "sub": "ann-at-proxy", "email": "ann@example.com"});
        issuer_token(&with(claims, &changes))
    };
    let inspect = |arguments: &[&str], settings: &[(&str, &str)]| {
        let output = gate_with(&[&["inspect"], arguments].concat(), settings);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (
            output.status.code(),
            said.lines().next().unwrap().to_owned(),
        )
    };
    let good = token(json!({}));
    let accepted = |method: &str| {
        let user = format!("logs in user {} (ann@example.com)", world.ann.id);
        (Some(0), format!("accepted ({method}): {user}"))
    };
    assert_eq!(inspect(&["--header", &good], &settings), accepted("proxy"));
    assert_eq!(inspect(&[&good], &settings), accepted("external"));

    // What a cookie may lack, and a token of the gate's own (method 2).
    let refused = |reason: &str, (status, said): (Option<i32>, String)| {
        let expected = format!("label-studio-gate: {reason}: ");
        assert!(status == Some(1) && said.starts_with(&expected), "{said}");
    };
    let anonymous = token(json!({"sub": null}));
    refused(
        "token_claim_missing",
        inspect(&["--header", &anonymous], &settings),
    );
    assert_eq!(inspect(&[&anonymous], &settings), accepted("external"));
    let own = said(&gate_with(
        &["token", "--email", "ann@example.com"],
        &settings,
    ));
    let own = own.trim();
    assert_eq!(inspect(&[own], &settings), accepted("native"));
    refused(
        "token_issuer_refused",
        inspect(&["--header", own], &settings),
    );

    let (status, said) = inspect(&["--header", &good], &settings[..3]);
    assert_eq!(status, Some(1));
    assert!(said.ends_with("token.header is not set"), "{said}");
}
