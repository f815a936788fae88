//! The gate is down or cannot decide: nginx says 503 and when to try again, in every environment,
//! and Label Studio's own errors stay as they are.

use serde_json::Value;

use crate::browser::Browser;
use crate::label_studio::database;
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::stub::{Reply, Stub};

/// The shipped server files, and a path of Label Studio in each.
const SERVERS: [(&str, &str); 6] = [
    ("label-studio.conf", "/projects/"),
    ("environments/1-same-domain.conf", "/label-studio/projects/"),
    ("environments/2-subdomains.conf", "/projects/"),
    ("environments/3-one-proxy.conf", "/label-studio/projects/"),
    ("environments/4-two-domains-http.conf", "/projects/"),
    ("environments/5-two-domains-https.conf", "/projects/"),
];

/// Each nginx with each server file, on plain HTTP.
async fn each(gate: u16, studio: u16, test: impl AsyncFn(&str, &str, String)) {
    label_studio_gate::startup::install_crypto();
    let certificate = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["labelstudio.test".to_owned()]).unwrap();
    let (pem, key) = (
        certificate.path().join("pem"),
        certificate.path().join("key"),
    );
    std::fs::write(&pem, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    for binary in binaries() {
        for (file, path) in SERVERS {
            let port = free_port();
            let mut edits = vec![("127.0.0.1:8081;", format!("127.0.0.1:{studio};"))];
            if file.contains("https") {
                edits.extend([
                    ("listen 443 ssl;", format!("listen 127.0.0.1:{port};")),
                    ("/etc/ssl/label-studio.pem", pem.display().to_string()),
                    ("/etc/ssl/label-studio.key", key.display().to_string()),
                ]);
            } else {
                let listen = match file {
                    "label-studio.conf" => "listen 80 default_server;",
                    _ => "listen 80;",
                };
                edits.push((listen, format!("listen 127.0.0.1:{port};")));
            }
            let nginx = Nginx::serve(&binary, &[gate], port, None, file, &edits);
            let which = format!("{}: {file}", binary.display());
            test(&nginx.url, path, which).await;
        }
    }
}

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
    each(free_port(), studio.port, async |url, path, which| {
        let browser = Browser::new(url);
        let under = path.trim_end_matches("/projects/");
        for path in [path.to_owned(), format!("{under}/sso/login?token=a.b.c")] {
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
    each(gate.port, studio.port, async |url, path, which| {
        for status in [400, 401, 403, 404, 429, 500, 502, 503, 504] {
            let browser = Browser::new(url);
            let answer = browser.get(&format!("{path}?status={status}")).await;
            assert_eq!(answer.status().as_u16(), status, "{which}");
            assert!(answer.headers().get("Retry-After").is_none(), "{which}");
            let body = answer.text().await.unwrap();
            assert_eq!(body, format!("Label Studio's {status}"), "{which}");
        }
    })
    .await;
}
