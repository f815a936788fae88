//! `docs/openapi.yaml` against the running service: schemathesis sends requests that the document
//! allows, and some that it does not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use url::Url;

use crate::label_studio::{database, seeded};
use crate::programs::installed;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{now, sign};

#[test]
fn the_service_behaves_as_openapi_says() {
    for (engine, policy) in [
        (Engine::Database, "require"),
        (Engine::SignedCookies, "pass"),
    ] {
        let settings = [
            ("GATE_POLICY_ANONYMOUS", policy),
            ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/sign-in"),
            ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "0"),
        ];
        let database = database();
        CLUSTER.grant_with(&database, "revoke=on");
        let gate = GateProcess::start_with(engine, CLUSTER.port(), &database, &settings);
        let token = format!("Authorization: Token {}", seeded("GATE_DEMO_ADMIN_TOKEN"));
        // The check accepts any method, including some that OpenAPI cannot express.
        ask(
            &gate,
            "^/auth/",
            &["--exclude-checks", "unsupported_method"],
        );
        ask(&gate, "^/(sso|health|metrics)", &[]);
        // Most addresses that match the schema belong to nobody: 422, as documented.
        let options = [
            "--header",
            &token,
            "--exclude-checks",
            "positive_data_acceptance",
        ];
        ask(&gate, "^/api/", &options);
    }
}

const CLIENT_SECRET: &str = "a client secret of more than 32 bytes";

/// Sign-in at a provider that answers, for browsers that tried too often, and at one that doesn't answer.
#[test]
fn sign_in_behaves_as_openapi_says() {
    for (is_up, limit, expected) in [
        (
            true,
            "0",
            &[
                ("start", 303),
                ("callback", 401),
                ("backchannel-logout", 200),
                ("backchannel-logout", 400),
            ][..],
        ),
        (true, "1", &[("start", 429), ("backchannel-logout", 429)]),
        (false, "0", &[("start", 503)]),
    ] {
        let provider = Stub::start(|_| Reply::of(500, ""));
        let issuer = provider.url("");
        let document = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
            "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
        });
        if is_up {
            provider.now(move |_| Reply::json(&document));
        }
        let settings = [
            ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
            ("GATE_SIGN_IN_ISSUER", &issuer),
            ("GATE_SIGN_IN_CLIENT_ID", "label-studio"),
            ("GATE_SIGN_IN_CLIENT_SECRET", CLIENT_SECRET),
            ("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256"),
            ("GATE_SIGN_IN_ALLOW_HTTP", "true"),
            ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", "true"),
            ("GATE_SIGN_IN_STARTS_PER_MINUTE", limit),
            ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", limit),
        ];
        let gate =
            GateProcess::start_with(Engine::Database, CLUSTER.port(), &database(), &settings);
        // Only navigations start a sign-in. Most logout tokens that match the schema prove nothing: 400.
        let options = [
            "--header",
            "Accept: text/html",
            "--exclude-checks",
            match is_up {
                true => "positive_data_acceptance",
                false => "positive_data_acceptance,not_a_server_error",
            },
        ];
        let token = logout_token(&issuer);
        let seen = ask_with(
            &gate,
            "^/sso/(start|callback|backchannel)",
            &options,
            &token,
        );
        for (route, status) in expected {
            let answer = (format!("/sso/{route}"), *status);
            assert!(seen.contains(&answer), "{answer:?} is not among {seen:?}");
        }
    }
}

fn logout_token(issuer: &str) -> String {
    let claims = json!({
        "iss": issuer, "aud": "label-studio", "iat": now(), "exp": now() + 300, "jti": "1", "sub": "ann",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    sign(Algorithm::HS256, CLIENT_SECRET, &claims)
}

fn ask(gate: &GateProcess, paths: &str, options: &[&str]) {
    ask_with(gate, paths, options, "");
}

/// Asks with this logout token among others. Returns the path and the status of each answer.
fn ask_with(
    gate: &GateProcess,
    paths: &str,
    options: &[&str],
    logout_token: &str,
) -> BTreeSet<(String, u64)> {
    let home = tempfile::tempdir().unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.yaml");
    // Replace the address in its example with an existing user's.
    let document = std::fs::read_to_string(document).unwrap();
    let document = document.replace("user@example.com", seeded("GATE_DEMO_USER_EMAIL"));
    let document = document.replace(
        "logout_token: { type: string }",
        &format!("logout_token: {{ type: string, examples: [\"{logout_token}\"] }}"),
    );
    let copy = home.path().join("openapi.yaml");
    std::fs::write(&copy, document).unwrap();
    let binary = installed("GATE_TEST_PYTHON_VENV", "python").join("bin/schemathesis");
    let output = Command::new(binary)
        .args(
            "run --checks all --seed 1 --max-examples 20 --workers 2 --max-redirects 0 --no-color"
                .split(' '),
        )
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--url", &format!("http://127.0.0.1:{}", gate.port)])
        .args(["--include-path-regex", paths])
        .args(["--report-har-path", "answers.har"])
        .args(options)
        .arg(copy)
        .current_dir(home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("passed"), "it asked something: {said}");
    let report = std::fs::read(home.path().join("answers.har")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let entries = report["log"]["entries"].as_array().unwrap().iter();
    let answer = |entry: &Value| {
        let url: Url = entry["request"]["url"].as_str()?.parse().ok()?;
        Some((url.path().to_owned(), entry["response"]["status"].as_u64()?))
    };
    entries.filter_map(answer).collect()
}
