//! Postgres is down, the gate is down, the gate is told to stop.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::stack::{GateProcess, database_stack, gate_command};
use crate::support::cable::Cable;
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::token::native;
use crate::unavailable::assert_retry_after;

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_no_request_with_a_token_passes_until_it_is_back() {
    let stack = database_stack();
    for binary in binaries() {
        let cable = Cable::to(CLUSTER.port()).await;
        let gate = GateProcess::start(stack.engine, cable.port, &stack.database);
        let proxy = Nginx::start(&binary, &[gate.port], stack.label_studio.port);
        let email = format!("outage{}@example.test", fresh());
        let user = stack.user(&email);
        assert_eq!(
            Browser::new(&proxy.url)
                .with_token(&native(user))
                .whoami()
                .await,
            Some(email.clone())
        );

        cable.plugged.send_replace(false);
        let browser = Browser::new(&proxy.url).with_token(&native(user));
        let response = browser.get("/api/current-user/whoami").await;
        assert_retry_after(&response);
        assert_eq!(response.headers()["X-Gate-Reason"], "database_unavailable");
        let body = response.text().await.unwrap();
        assert!(
            !body.contains("version"),
            "Label Studio was not asked: {body}"
        );
        assert!(
            browser.cookie("ls_auth_token").is_some(),
            "the token is good and is kept"
        );
        assert_eq!(
            Browser::new(&proxy.url).whoami().await,
            None,
            "without a token Label Studio answers"
        );

        let response = page(&browser, "/projects/").await;
        assert_retry_after(&response);
        assert_eq!(response.headers()["X-Gate-Reason"], "database_unavailable");
        let body = response.text().await.unwrap();
        let told = "<code>database_unavailable</code>";
        assert!(body.contains(told) && body.contains("Try again"), "{body}");

        cable.plugged.send_replace(true);
        assert_eq!(
            browser.whoami().await,
            Some(email),
            "and all is well by itself"
        );
    }
}

/// A request for a page.
async fn page(browser: &Browser, path: &str) -> reqwest::Response {
    let request = browser.client.get(browser.at(path));
    request.header("Accept", "text/html").send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gate_no_checked_request_passes() {
    let stack = database_stack();
    for binary in binaries() {
        let asking = Nginx::start(&binary, &[free_port()], stack.label_studio.port);
        for path in ["/", "/health", "/api/current-user/whoami"] {
            let browser = Browser::new(&asking.url);
            let response = browser.get(path).await;
            assert_retry_after(&response);
            let body = response.text().await.unwrap();
            assert!(body.starts_with("{\"error\": "), "{body}");
            let response = page(&browser, path).await;
            assert_retry_after(&response);
            let body = response.text().await.unwrap();
            assert!(
                body.contains("The sign-in service is not available."),
                "{body}"
            );
        }
        let port = stack.label_studio.port;
        let proxy = Nginx::start_with(&binary, &[free_port()], port, None, &[SHORT_CUT]);
        let response = Browser::new(&proxy.url)
            .with_token("a.b.c")
            .get("/api/current-user/whoami")
            .await;
        assert_eq!(response.status(), 503);
        let response = Browser::new(&proxy.url)
            .get("/api/current-user/whoami?token=a.b.c")
            .await;
        assert_eq!(response.status(), 503);
        assert_eq!(
            Browser::new(&proxy.url).whoami().await,
            None,
            "with the short cut Label Studio answers where there is no token"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_gate_after_the_requests_in_progress() {
    let port = free_port();
    let stack = database_stack();
    let mut gate = gate_command(port, stack.engine, CLUSTER.port(), &stack.database)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while crate::support::client()
        .get(format!("http://127.0.0.1:{port}/health/ready"))
        .send()
        .await
        .is_err()
    {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = format!("http://127.0.0.1:{port}/auth/nginx");
    let open = tokio::spawn(
        crate::support::client()
            .get(url)
            .header("X-Original-URI", "/")
            .send(),
    );
    assert!(
        Command::new("kill")
            .args(["-TERM", &gate.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let begun = open.await.unwrap();
    assert!(begun.is_err() || begun.unwrap().status() == 200);
    let until = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = gate.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "it does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
}
