//! `docs/openapi.yaml` against the running service: schemathesis sends requests that the document
//! allows, and some that it does not.

use std::path::Path;
use std::process::Command;

use crate::label_studio::{database, seeded};
use crate::programs::installed;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;

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

fn ask(gate: &GateProcess, paths: &str, options: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.yaml");
    // Replace the address in its example with an existing user's.
    let document = std::fs::read_to_string(document).unwrap();
    let document = document.replace("user@example.com", seeded("GATE_DEMO_USER_EMAIL"));
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
        .args(options)
        .arg(copy)
        .current_dir(home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("passed"), "it asked something: {said}");
}
