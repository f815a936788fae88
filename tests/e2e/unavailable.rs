//! The gate is down or cannot decide: nginx says 503 and when to try again, in every environment,
//! and Label Studio's own errors stay as they are.

use serde_json::Value;

use crate::browser::Browser;
use crate::label_studio::database;
use crate::server_files::{Server, each};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::stub::{Reply, Stub};

/// Fails unless this is a 503 that says when to try again.
#[track_caller]
pub fn assert_retry_after(answer: &reqwest::Response) {
    assert_eq!(answer.status(), 503);
    let retry = answer.headers()["Retry-After"].to_str().unwrap();
    let retry: u8 = retry.parse().unwrap();
    assert!((1..=3).contains(&retry), "{retry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gate_nginx_answers_503_with_retry_after() {
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    each(free_port(), studio.port, async |server| {
        let Server { nginx, path, which } = &server;
        let browser = Browser::new(&nginx.url);
        let under = server.under();
        for path in [(*path).to_owned(), format!("{under}/sso/login?token=a.b.c")] {
            let script = browser.get(&path).await;
            assert_retry_after(&script);
            assert_eq!(
                script.headers()["Content-Type"],
                "application/json",
                "{which}"
            );
            let body: Value = script.json().await.unwrap();
            assert!(body["error"].is_string(), "{which}: {body}");
            let page = browser.client.get(browser.at(&path));
            let page = page.header("Accept", "text/html").send().await.unwrap();
            assert_retry_after(&page);
            let body = page.text().await.unwrap();
            assert!(body.contains("try again"), "{which}: {body}");
        }
        let upload = browser
            .client
            .post(browser.at(path))
            .body("x".repeat(100_000));
        assert_retry_after(&upload.send().await.unwrap());
    })
    .await;
    assert_eq!(studio.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_errors_pass_unchanged() {
    let studio = Stub::start(|head| {
        let status = head.split_once("status=").unwrap().1;
        let status = status.split([' ', '&']).next().unwrap().parse().unwrap();
        Reply::of(status, format!("Label Studio's {status}"))
    });
    let gate = GateProcess::start(Engine::SignedCookies, CLUSTER.port(), &database());
    each(gate.port, studio.port, async |server| {
        let Server { nginx, path, which } = &server;
        for status in [400, 401, 403, 404, 429, 500, 502, 503, 504] {
            let browser = Browser::new(&nginx.url);
            let answer = browser.get(&format!("{path}?status={status}")).await;
            assert_eq!(answer.status().as_u16(), status, "{which}");
            assert!(answer.headers().get("Retry-After").is_none(), "{which}");
            let body = answer.text().await.unwrap();
            assert_eq!(body, format!("Label Studio's {status}"), "{which}");
        }
    })
    .await;
}

/// The gate refused the request, and is gone before nginx asks for the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_its_page_is_503_too() {
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    let gate = Stub::start(|head| match head.split(' ').nth(1) {
        Some("/auth/nginx") => Reply::of(403, ""),
        // More than nginx reads.
        _ => Reply {
            headers: format!("X-Long: {}\r\n", "x".repeat(100_000)),
            ..Reply::of(200, "")
        },
    });
    each(gate.port, studio.port, async |server| {
        let browser = Browser::new(&server.nginx.url);
        assert_retry_after(&browser.get(server.path).await);
    })
    .await;
    assert_eq!(studio.asked(), 0);
}
