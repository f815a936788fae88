//! Postgres is down, the gate is down, the gate is told to stop.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::browser::Browser;
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::stack::{GateProcess, database_stack, gate_command};
use crate::support::cable::Cable;
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;
use crate::support::{free_port, listens, wait_until};
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

/// A gate that closes each connection just as the second request comes on it, as one that stops does
/// with connections that nginx keeps. Returns its port, and how many requests it has not answered.
fn closing_gate() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let unanswered = Arc::new(AtomicUsize::new(0));
    let count = unanswered.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = count.clone();
            std::thread::spawn(move || {
                let mut head = [0; 16 * 1024];
                let mut stream = stream;
                if stream.read(&mut head).is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                }
                if stream.read(&mut head).is_ok_and(|length| length > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (port, unanswered)
}

/// A POST that no answer comes to is sent again, as every GET is.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_a_connection_that_the_gate_closes() {
    for binary in binaries() {
        let (gate, unanswered) = closing_gate();
        let proxy = Nginx::start(&binary, &[gate], free_port());
        let client = crate::support::client();
        for path in [
            "/api/sso/token",
            "/api/sso/revoke",
            "/sso/login",
            "/sso/logout",
        ] {
            // Each of nginx's two workers has connections of its own.
            for _ in 0..5 {
                let request = client.post(format!("{}{path}", proxy.url)).body("email=x");
                assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
            }
        }
        assert!(
            unanswered.load(Ordering::SeqCst) > 0,
            "no connection was reused"
        );
    }
}

/// The host application's API answers after two seconds, so that a request is in progress for as long.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_gate_after_the_requests_in_progress_or_when_its_time_is_over() {
    let stack = database_stack();
    for (shutdown, answered) in [("10", true), ("1", false)] {
        let pause = Duration::from_secs(2);
        let application = Stub::start(move |_| Reply::of(401, "{}").after(pause));
        let port = free_port();
        let mut gate = gate_command(port, stack.engine, CLUSTER.port(), &stack.database)
            .env("JWT_SSO_SESSION_VERIFY_URL", application.url("/whoami"))
            .env(
                "JWT_SSO_SESSION_VERIFY_SECRET",
                "a-secret-of-this-test-alone",
            )
            .env("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid")
            .env("GATE_HTTP_SHUTDOWN_SECONDS", shutdown)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| listens(port), || "it does not listen".to_owned());
        let url = format!("http://127.0.0.1:{port}/auth/nginx");
        let open = crate::support::client()
            .get(url)
            .header("X-Original-URI", "/")
            .header("Cookie", "connect.sid=of-somebody");
        let open = tokio::spawn(open.send());
        let asked = || {
            application
                .heads()
                .iter()
                .any(|it| it.contains("of-somebody"))
        };
        wait_until(asked, || "the request is not in progress".to_owned());
        let pid = gate.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        let answer = open.await.unwrap();
        let status = answer.ok().map(|answer| answer.status().as_u16());
        assert_eq!(status, answered.then_some(200), "{shutdown} s");
        let ended = gate.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}
