//! In Chromium: tabs, and frames of another site.

use serde_json::json;

use super::settings;
use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::{in_chromium, provider_for, screenshot};
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;

#[tokio::test(flavor = "multi_thread")]
async fn browsers_sign_in_in_tabs_and_in_frames_of_another_site() {
    let stack = database_stack();
    let (files, port, gate_port) = (Files::new(), free_port(), free_port());
    let provider_port = free_port();
    let issuer = format!("https://localhost:{provider_port}");
    let origin = format!("https://studio.test:{port}");
    // Another host name, and so another site, has a page with Label Studio in a frame.
    let embedding = format!(
        "location = /embedding {{ default_type text/html; return 200 '<iframe src=\"{origin}/projects/\" width=600 height=400></iframe>'; }}"
    );
    let include = "include label-studio-gate/gate.conf;";
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let edits = [
        (
            "server 127.0.0.1:8081;",
            format!("server 127.0.0.1:{};", stack.label_studio.port),
        ),
        (
            "listen 80 default_server;",
            format!(
                "listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
            ),
        ),
        (
            include,
            format!("{include} include label-studio-gate/sign-in.conf; {embedding}"),
        ),
    ];
    let (binary, file) = (&binaries()[0], "label-studio.conf");
    let nginx = Nginx::serve(binary, &[gate_port], port, None, file, &edits);
    let _provider = provider_for(
        provider_port,
        &files.certificate,
        &files.key,
        &files.signing,
        &[&origin],
    );
    let mut settings = settings(&files, &origin, &issuer, "a-client-secret-of-the-tests");
    settings.extend([
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("GATE_SESSION_COOKIE_PARTITIONED", "true"),
    ]);
    let gate = GateProcess::start_on(
        gate_port,
        Engine::Database,
        CLUSTER.port(),
        &stack.database,
        &settings,
    );
    let task = json!({
        "labelStudio": origin, "application": format!("https://application.test:{port}"),
        "shots": screenshot("sign-in").with_extension(""),
    });
    let seen = tokio::task::block_in_place(|| in_chromium("sign_in.mjs", &[&task.to_string()]));
    let nora = "nora@example.com";
    assert_eq!(
        seen,
        json!({
            "tabs": ["?tab=1", nora, nora], "again": nora, "back": nora,
            "out": "You are signed out",
            "declined": ["You were not signed in", "sign_in_declined"],
            "late": ["This sign-in has expired", "sign_in_unknown"], "afterLate": nora,
            "silent": nora,
            "asks": ["Sign in required", "sign_in_interaction"], "window": [nora, true],
        }),
        "{} {}",
        gate.log(),
        nginx.read("error.log")
    );
}
