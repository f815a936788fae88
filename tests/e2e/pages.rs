//! The gate's pages in Chromium: on a phone, in a small frame and on a desktop, light and dark.
//! Screenshots are in `target/screenshots`.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::nginx::{Nginx, binaries};
use crate::programs::{example, in_chromium, screenshot};
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::token::{SECRET_KEY, claims, native, sign, with};

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_legible_everywhere() {
    let stack = database_stack();
    let user = stack.user("pages@example.test");
    let express = example(
        "express",
        &[
            ("LABEL_STUDIO_URL", "http://localhost"),
            ("JWT_SSO_SECRET", "not-used"),
            ("JWT_SSO_SESSION_VERIFY_SECRET", "not-used"),
        ],
    );
    let elsewhere = express.url();
    let settings = [
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_POLICY_OPEN_PATHS", "/static/*"),
        ("GATE_POLICY_SIGNED_OUT_URL", &elsewhere),
        ("GATE_PAGES_NAME", "Example Research"),
        (
            "GATE_PAGES_LOGO_URL",
            "/static/images/label_studio_logo.svg",
        ),
        ("GATE_PAGES_SUPPORT_URL", "mailto:help@example.com"),
    ];
    let sign_in = ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/login");
    let gate = |postgres: u16, settings: &[(&str, &str)]| {
        let port = free_port();
        let gate =
            GateProcess::start_on(port, Engine::Database, postgres, &stack.database, settings);
        let nginx = Nginx::start(&binaries()[0], &[port], stack.label_studio.port);
        (nginx, gate)
    };
    let (plain, _plain_gate) = gate(CLUSTER.port(), &settings);
    let with_sign_in: Vec<_> = settings.iter().copied().chain([sign_in]).collect();
    let (linked, _linked_gate) = gate(CLUSTER.port(), &with_sign_in);
    // Nothing listens there.
    let (failing, _failing_gate) = gate(free_port(), &settings);

    let expired = sign(
        Algorithm::HS256,
        SECRET_KEY,
        &with(claims(user), &json!({"exp": 1})),
    );
    let (linked, plain, failing) = (&linked.url, &plain.url, &failing.url);
    let task = json!({
        "pages": [
            ["expired", format!("{linked}/sso/login?token={expired}")],
            ["unverified", format!("{linked}/sso/login?token=eyJhbGciOiJIUzI1NiJ9.e30.AAAA")],
            ["required", format!("{plain}/projects/")],
            ["unknown", format!("{plain}/sso/login?token={}", native(999_999))],
            ["signed-out", format!("{linked}/sso/signed-out")],
            ["unavailable", format!("{failing}/sso/login?token={}", native(user))],
        ],
        "elsewhere": elsewhere, "labelStudio": plain, "signedOut": format!("{elsewhere}/"),
        "shots": screenshot("page").with_extension(""),
    });
    let seen = tokio::task::block_in_place(|| in_chromium("pages.mjs", &[&task.to_string()]));
    assert_eq!(
        seen,
        json!({"problems": {}, "complaints": [], "signedOut": true}),
        "{seen:#}"
    );
}
