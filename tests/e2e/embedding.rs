//! The page around a frame with Label Studio: the gate's messages, and the scripts of
//! `deploy/examples/browser` that renew a session without the user seeing anything. The real Label
//! Studio, nginx and Chromium.

use serde_json::json;

use crate::nginx::{Nginx, binaries};
use crate::programs::{example, in_chromium, screenshot};
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;

const SHARED: &str = "a-secret-of-the-embedding-that-two-services-share";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_renewed_without_the_user_seeing_anything() {
    let stack = database_stack();
    let gate_port = free_port();
    let nginx = Nginx::start(&binaries()[0], &[gate_port], stack.label_studio.port);
    let variables = [
        ("LABEL_STUDIO_URL", nginx.url.as_str()),
        ("JWT_SSO_SECRET", SHARED),
        ("JWT_SSO_SESSION_VERIFY_SECRET", "not-used"),
    ];
    let application = example("express", &variables);
    let stranger = example("express", &variables);
    let _gate = GateProcess::start_on(
        gate_port,
        Engine::Database,
        CLUSTER.port(),
        &stack.database,
        &[
            ("JWT_SSO_SECRET", SHARED),
            ("JWT_SSO_AUTO_CREATE_USERS", "true"),
            ("GATE_POLICY_ANONYMOUS", "require"),
            ("CORS_ALLOWED_ORIGINS", &application.url()),
        ],
    );
    for (path, name) in [
        ("/renewing", "embedding-plain"),
        ("/react", "embedding-react"),
    ] {
        let task = json!({
            "application": application.url(), "labelStudio": nginx.url, "path": path,
            "stranger": stranger.url(), "shots": screenshot(name).with_extension(""),
        });
        let seen =
            tokio::task::block_in_place(|| in_chromium("embedding.mjs", &[&task.to_string()]));
        let ann = |at: &str| json!({"user": "ann@example.com", "at": at});
        assert_eq!(
            seen,
            json!({
                "tokensToOpen": 1, "opened": ann("/projects/"), "tokenInAddress": false,
                "tokensToRenew": 1, "refusal": "sign_in_required", "renewed": ann("/user/account"),
                "tokensAfterRefusal": 2, "afterRefusal": ann("/projects/"),
                "tokensOfLoop": 4, "shown": "This link could not be verified",
                "triedAgain": ann("/projects/"), "tokensOfSignOut": 0, "tokensOfForgery": 0,
                "messagesToStranger": 0,
            }),
            "{path}: {}",
            nginx.read("error.log")
        );
    }
}
