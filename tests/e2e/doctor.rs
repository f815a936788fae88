//! `doctor` at the public address: through nginx, before the real Label Studio.

use std::process::Output;

use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::sign_in::start_proxy;
use crate::stack::{Engine, GateProcess, Stack, gate_command, stacks};
use crate::support::cluster::CLUSTER;

/// What `doctor` says where Label Studio is published at `url`.
fn doctor(stack: &Stack, url: &str, settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = gate_command(0, stack.engine, CLUSTER.port(), &stack.database);
    command
        .arg("doctor")
        .env("LABEL_STUDIO_HOST", url)
        .envs(settings.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8(said).unwrap())
}

fn stack() -> &'static Stack {
    let [signed_cookies, _] = stacks();
    assert_eq!(signed_cookies.engine, Engine::SignedCookies);
    signed_cookies
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_request_that_reaches_label_studio_fails_where_everybody_must_be_signed_in() {
    let require = [("GATE_POLICY_ANONYMOUS", "require")];
    let gate = GateProcess::start_with(stack().engine, CLUSTER.port(), &stack().database, &require);
    let (binary, label_studio) = (&binaries()[0], stack().label_studio.port);
    let open = Nginx::start_with(binary, &[gate.port], label_studio, None, &[SHORT_CUT]);
    let (healthy, report) = doctor(stack(), &open.url, &require);
    assert!(!healthy, "{report}");
    assert!(
        report.contains("and a request without a credential reaches Label Studio"),
        "{report}"
    );
    assert!(report.contains("does not take the short cut"), "{report}");

    let (closed, _gate) = start_proxy(stack(), &require);
    let (healthy, report) = doctor(stack(), &closed.url, &require);
    assert!(healthy, "{report}");
    assert!(
        report.contains("the proxy asks the gate about requests without a credential"),
        "{report}"
    );
    assert!(report.contains("nobody can sign up"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_sign_up_is_a_warning() {
    let (proxy, _gate) = start_proxy(stack(), &[]);
    let (healthy, report) = doctor(stack(), &proxy.url, &[]);
    assert!(healthy, "a warning is no failure: {report}");
    assert!(
        report.contains("WARN  anybody can sign up")
            && report.contains("DISABLE_SIGNUP_WITHOUT_LINK=1"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_that_cannot_be_reached_from_here_is_told() {
    let (healthy, report) = doctor(stack(), "http://127.0.0.1:1/label-studio", &[]);
    assert!(healthy, "{report}");
    assert!(report.contains("was not reached from here"), "{report}");
}
