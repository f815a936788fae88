//! `docs/openapi.yaml` and the running service: schemathesis asks what the document says can be asked, and what it says cannot.

use std::path::Path;
use std::process::Command;

use crate::label_studio::{database, seeded};
use crate::programs::installed;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;

#[test]
fn the_service_is_as_its_document_says() {
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
        // The check takes any method, and there are some that OpenAPI has no word for.
        ask(
            &gate,
            "^/auth/",
            &["--exclude-checks", "unsupported_method"],
        );
        ask(&gate, "^/(sso|health|metrics)", &[]);
        // Of the addresses that fit the schema nobody has most: 422, as documented.
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
    // Its example becomes somebody who is there.
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
