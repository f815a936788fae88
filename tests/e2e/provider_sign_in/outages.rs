//! A provider whose keys change, that goes down, and that refuses the gate.

use std::time::Duration;

use reqwest::redirect::Policy;

use super::{browser, open, outcome, reason_of, settings};
use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::provider_for;
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::{free_port, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn provider_may_change_its_keys_go_down_and_refuse_the_gate() {
    let stack = database_stack();
    let (gate_port, stranger_port) = (free_port(), free_port());
    let start = |port| Nginx::start(&binaries()[0], &[port], stack.label_studio.port);
    let (nginx, strange) = (start(gate_port), start(stranger_port));
    let (files, port) = (Files::new(), free_port());
    let issuer = format!("https://localhost:{port}");
    let origins = [nginx.url.as_str(), strange.url.as_str()];
    let run = || {
        provider_for(
            port,
            &files.certificate,
            &files.key,
            &files.signing,
            &origins,
        )
    };
    let running = run();
    let secret = "a-client-secret-of-the-tests";
    let gate = |port, origin, secret| {
        let settings = settings(&files, origin, &issuer, secret);
        let (engine, postgres) = (Engine::Database, CLUSTER.port());
        GateProcess::start_on(port, engine, postgres, &stack.database, &settings)
    };
    let good = gate(gate_port, origins[0], secret);
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // The provider has other keys now.
    drop(running);
    std::fs::remove_file(&files.signing).unwrap();
    let running = run();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // It goes down after the user has left for it, and is back for the next one.
    let client = browser(&files);
    let start = format!("{}/sso/start?next=/projects/", nginx.url);
    let no_redirects = Policy::none();
    let patient = crate::support::client_builder()
        .redirect(no_redirects)
        .build()
        .unwrap();
    let left = patient.get(&start).header("Accept", "text/html");
    let left = left.send().await.unwrap();
    assert_eq!(left.status(), 303);
    let state = left.headers()["Location"].to_str().unwrap().to_owned();
    let state = state.split("state=").nth(1).unwrap();
    let state = state.split('&').next().unwrap();
    let cookie = left.headers()["Set-Cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    drop(running);
    let issuer_parameter = issuer.replace(':', "%3A").replace('/', "%2F");
    let back = format!(
        "{}/sso/callback?code=c&state={state}&iss={issuer_parameter}",
        nginx.url
    );
    let back = patient
        .get(back)
        .header("Accept", "text/html")
        .header("Cookie", cookie);
    let said = reason_of(&back.send().await.unwrap());
    assert_eq!(said, (503, "provider_unavailable".to_owned()));
    let running = run();
    let said = outcome(&client, &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // A gate with a wrong secret. Its client is the same, so that the redirect URI has to be too.
    drop(good);
    let wrong = gate(gate_port, origins[0], "another");
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (503, "provider_refuses_client".to_owned()));
    wait_until(|| wrong.log().contains("invalid_client"), || wrong.log());

    // A gate that begins while the provider is down signs nobody in until it is back.
    drop(running);
    let _late = gate(stranger_port, origins[1], secret);
    let start = format!("{}/sso/start", strange.url);
    let said = reason_of(&open(&browser(&files), &start).await);
    assert_eq!(said, (503, "provider_unavailable".to_owned()));
    let _running = run();
    let back = async || {
        let left = patient.get(&start);
        let left = left.header("Accept", "text/html").send().await.unwrap();
        left.status() == 303
    };
    for _ in 0..60 {
        if back().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the provider is back, and the gate does not notice");
}
