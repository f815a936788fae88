//! An identity-aware proxy in front of every kind of proxy but nginx, with the shipped files and the edits
//! that `docs/identity-aware-proxies.md` names.

use serde_json::Value;

use crate::browser::Browser;
use crate::identity_headers::{HEADER, SECRET, ask, token};
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::proxy::{KINDS, Proxy};
use crate::stack::{Engine, GateProcess, Stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::token::SHARED_SECRET;

/// What the edited files pass to the gate.
const PASSED: [&str; 3] = [
    "cf-access-jwt-assertion",
    "remote-email",
    "gate-proxy-secret",
];

/// Every kind in front of this Label Studio and of a gate on this port, started at once.
fn proxies(stack: &Stack, gate: u16) -> Vec<Proxy> {
    let label_studio = stack.label_studio.port;
    std::thread::scope(|scope| {
        let start =
            |kind| scope.spawn(move || Proxy::behind_another(kind, gate, label_studio, &PASSED));
        let starting: Vec<_> = KINDS.into_iter().map(start).collect();
        starting
            .into_iter()
            .map(|proxy| proxy.join().unwrap())
            .collect()
    })
}

async fn user(browser: &Browser, headers: &[(&str, &str)]) -> Value {
    let answer = ask(browser, headers).await;
    let found: Value = answer.json().await.unwrap_or_default();
    found["email"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proxy_signs_in_whom_an_identity_aware_proxy_names_and_nobody_else() {
    for stack in stacks() {
        let port = free_port();
        let start = |settings: &[(&str, &str)]| {
            GateProcess::start_on(
                port,
                stack.engine,
                CLUSTER.port(),
                &stack.database,
                settings,
            )
        };
        let email = format!("behind{}@example.test", fresh());
        stack.user(&email);

        let gate = start(&[
            ("JWT_SSO_SECRET", SHARED_SECRET),
            ("GATE_TOKEN_HEADER", HEADER),
        ]);
        let proxies = proxies(stack, port);
        for proxy in &proxies {
            with_a_token(stack, proxy, &email).await;
        }
        drop(gate);
        let _gate = start(&[
            ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
            ("GATE_PROXY_HEADERS_SECRET", SECRET),
        ]);
        for proxy in &proxies {
            with_text_and_a_secret(stack, proxy, &email).await;
        }
    }
}

async fn with_a_token(stack: &Stack, proxy: &Proxy, email: &str) {
    let which = format!("{:?} {:?}", stack.engine, proxy.kind);
    let browser = Browser::new(&proxy.url);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let found = user(&browser, &[(HEADER, &token(email))]).await;
        assert_eq!(found, email, "{which}");
        sessions.push(browser.cookie("sessionid").unwrap());
    }
    // Label Studio signs a cookie again in each response.
    sessions.dedup();
    if stack.engine == Engine::Database {
        assert_eq!(sessions.len(), 1, "{which}: one session");
    }
    let nobody = || Browser::new(&proxy.url);
    let genuine = token(email);
    // nginx's own name for it, and the spelling that some servers take for a hyphen.
    for other in ["X-Gate-Identity", "Cf_Access_Jwt_Assertion"] {
        assert_eq!(
            user(&nobody(), &[(other, &genuine)]).await,
            Value::Null,
            "{which}: {other}"
        );
    }
    let answer = ask(
        &nobody(),
        &[(HEADER, &genuine), (HEADER, &token("nobody@example.test"))],
    )
    .await;
    assert_eq!(answer.status(), 403, "{which}: twice");
}

async fn with_text_and_a_secret(stack: &Stack, proxy: &Proxy, email: &str) {
    let which = format!("{:?} {:?}", stack.engine, proxy.kind);
    let (named, known) = (("Remote-Email", email), ("Gate-Proxy-Secret", SECRET));
    let browser = Browser::new(&proxy.url);
    for _ in 0..2 {
        assert_eq!(user(&browser, &[named, known]).await, email, "{which}");
    }
    let admin = seeded("GATE_DEMO_ADMIN_EMAIL");
    for headers in [
        &[named][..],
        &[named, ("Gate-Proxy-Secret", "another")],
        &[("Remote_Email", email), known],
        &[("X-Gate-Identity-Email", email), known],
        &[("Remote-Email", admin), known],
    ] {
        let found = user(&Browser::new(&proxy.url), headers).await;
        assert_eq!(found, Value::Null, "{which}: {headers:?}");
    }
}
