//! What can be reached, by whom, in which spelling, and for how long.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::actors::Browser;
use crate::app::TestApp;
use crate::world::World;

const CHECKS: [(&str, &str); 8] = [
    ("nginx", "/auth/nginx"),
    ("nginx", "/auth/nginx/login"),
    ("nginx", "/auth/nginx/sign-in"),
    ("nginx", "/auth/nginx/refused"),
    ("ingress-nginx", "/auth/ingress-nginx"),
    ("caddy", "/auth/caddy"),
    ("traefik", "/auth/traefik"),
    ("envoy", "/auth/envoy/projects"),
];

#[tokio::test(flavor = "multi_thread")]
async fn only_the_configured_proxies_have_an_endpoint() {
    let world = World::new(&[]).await;
    let named = |proxies| world.gate(&[("GATE_HTTP_PROXIES", proxies)]);
    let apps = [
        (&["nginx"][..], world.app.clone()),
        (&["envoy"], named("envoy")),
        (&["traefik", "caddy"], named("traefik, caddy")),
        (&["ingress-nginx"], named("ingress-nginx")),
    ];
    for (proxies, app) in apps {
        for (proxy, path) in CHECKS {
            let status = app.get(path).await.status;
            assert_eq!(
                status != 404,
                proxies.contains(&proxy),
                "{path} answers {status} for {proxies:?}"
            );
        }
    }
}

/// The answer to a request target that no HTTP library would send.
async fn raw(app: &TestApp, target: &str, headers: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: gate\r\n{headers}");
    let mut stream = send(app, &format!("{request}Connection: close\r\n\r\n")).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn send(app: &TestApp, bytes: &str) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_reached_by_one_spelling() {
    let world = World::new(&[("GATE_HTTP_PROXIES", "nginx, envoy")]).await;
    let cookie = format!("Cookie: ls_auth_token={}\r\n", world.ann.token());
    for target in [
        "/sso/../auth/nginx",
        "/auth/nginx/..%2f..%2fsso/login",
        "/auth/nginx/../../sso/login",
        "/auth/nginx/..;/x",
        "/auth//nginx",
        "//auth/nginx",
        "/auth/./nginx",
        "/auth%2fnginx",
        "/auth%5cnginx",
        "/auth\\nginx",
        "/auth/%6eginx",
        "/auth/nginx%00",
        "/auth/nginx;x=1",
        "/%61uth/envoy/projects",
        "/auth/%65nvoy/projects",
        "/sso/x/../../auth/envoy/projects",
        "http://gate/auth/nginx/..%2f..%2fsso/login",
        "/sso/%6cogin",
        "/health/%6cive",
        "/metrics;",
    ] {
        let headers = format!("{cookie}X-Original-URI: /\r\n");
        let answer = raw(&world.app, target, &headers).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        let head = answer.to_ascii_lowercase();
        for leaked in ["cookie:", "x-gate-user-id", "x-gate-email"] {
            assert!(!head.contains(leaked), "{target}: {answer}");
        }
        // The HTTP server itself refuses a backslash, which is not allowed in a request target.
        let reason = "x-gate-reason: request_malformed";
        assert!(
            head.contains(reason) || target.contains('\\'),
            "{target}: {answer}"
        );
    }
    // The path after Envoy's prefix belongs to Label Studio, in whatever spelling.
    for original in [
        "/projects",
        "/..%2f..%2fsso/x",
        "/a//b;c/../%2e%2e/d?e=../f",
    ] {
        let answer = raw(&world.app, &format!("/auth/envoy{original}"), &cookie).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{original}: {answer}");
    }
    let answer = raw(&world.app, "/sso/signed-out?next=/..%2f..%2f", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 "),
        "a query is free: {answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_internal_listener_has_checks_health_and_metrics() {
    let world = World::new(&[("GATE_HTTP_INTERNAL_LISTEN", "127.0.0.1:0")]).await;
    let (app, internal) = (&world.app, world.app.internal());
    for path in [
        "/auth/nginx",
        "/auth/nginx/login",
        "/health/live",
        "/health/ready",
        "/metrics",
    ] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
        assert_ne!(internal.get(path).await.status, 404, "{path}");
    }
    for path in ["/sso/login", "/sso/signed-out", "/api/sso/token"] {
        assert_ne!(app.get(path).await.status, 404, "{path}");
        assert_eq!(internal.get(path).await.status, 404, "{path}");
    }
    let answer = internal.check("/", "").await;
    answer.expect_reason("no_token");
}

/// Sends a byte every 200 ms until the gate hangs up. Returns how long that took, and the answer.
async fn dribble(mut stream: TcpStream, byte: &[u8]) -> (Duration, String) {
    let begun = Instant::now();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while begun.elapsed() < Duration::from_secs(20) {
        let pause = Duration::from_millis(200);
        match tokio::time::timeout(pause, stream.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(read)) => answer.extend_from_slice(&chunk[..read]),
            Err(_) if stream.write_all(byte).await.is_err() => break,
            Err(_) => {}
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (begun.elapsed(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_is_cut_off() {
    let world = World::new(&[("GATE_HTTP_BODY_TIMEOUT_SECONDS", "1")]).await;
    let long = "Content-Length: 100000\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\nffff\r\n";
    let paths = [
        "/sso/login",
        "/sso/logout",
        "/sso/signed-out",
        "/api/sso/token",
        "/api/sso/revoke",
        "/nowhere",
        "/auth/nginx",
    ];
    let slow = async |path: &'static str, framing: &'static str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: gate\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{framing}"
        );
        let (took, answer) = dribble(send(&world.app, &head).await, b"a").await;
        assert!(took < Duration::from_secs(5), "{path}: open for {took:?}");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
    };
    let cases = paths
        .into_iter()
        .flat_map(|path| [slow(path, long), slow(path, chunked)]);
    join_all(cases).await;
    // The body is larger than any route accepts: the gate does not wait for the rest of it.
    let head = "POST /api/sso/token HTTP/1.1\r\nHost: gate\r\nAuthorization: Token x\r\n";
    let body = format!("{:x}\r\n{}", 1_000_000, "a".repeat(200_000));
    let request = format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}");
    let (took, answer) = dribble(send(&world.app, &request).await, b"a").await;
    assert!(took < Duration::from_secs(5), "open for {took:?}");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_arrive_is_cut_off() {
    let world = World::new(&[]).await;
    let begun = send(&world.app, "GET /sso/signed-out HTTP/1.1\r\nX-Slow: ").await;
    let (took, _) = dribble(begun, b"a").await;
    assert!(took < Duration::from_secs(10), "open for {took:?}");

    // A peer that is not a trusted proxy gets one request per connection.
    let wary = world.gate(&[("GATE_HTTP_TRUSTED_PROXIES", "192.0.2.7")]);
    let whole = "GET /sso/signed-out HTTP/1.1\r\nHost: gate\r\n\r\n";
    let begun = send(&wary, &format!("{whole}GET / HTTP/1.1\r\nX-Slow: ")).await;
    let (took, answer) = dribble(begun, b"a").await;
    assert!(took < Duration::from_secs(5), "open for {took:?}");
    assert!(
        answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_cookie_is_deleted_with_the_attributes_it_was_set_with() {
    let world = World::new(&[]).await;
    let deletion = async |app: &TestApp| {
        let browser = Browser::of(app).with_token(&world.ann.token());
        let answer = browser.get("/").await;
        let deletion = answer.header("X-Gate-Set-Cookie-2").unwrap().to_owned();
        assert!(deletion.contains("Max-Age=0"), "{deletion}");
        deletion
    };
    let plain = deletion(&world.app).await;
    assert!(plain.contains("SameSite=Lax"), "{plain}");
    assert!(!plain.contains("Secure"), "{plain}");
    // In a frame of another site, browsers ignore cookies without these attributes.
    for settings in [
        [
            ("SESSION_COOKIE_SAMESITE", "None"),
            ("SESSION_COOKIE_SECURE", "1"),
            ("GATE_SESSION_COOKIE_PARTITIONED", "true"),
        ],
        [
            ("GATE_TOKEN_COOKIE_SAMESITE", "None"),
            ("GATE_TOKEN_COOKIE_PARTITIONED", "true"),
            ("SESSION_COOKIE_SAMESITE", "Lax"),
        ],
    ] {
        let framed = deletion(&world.gate(&settings)).await;
        for attribute in ["SameSite=None", "Secure", "Partitioned"] {
            assert!(framed.contains(attribute), "{framed}");
        }
    }
}

/// With single-use tokens, the address tells a page's parallel requests from a thief's.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_from_an_untrusted_peer_is_ignored() {
    let once = ("GATE_TOKEN_USE", "once");
    let world = World::with_own_tables(&[once]).await;
    let wary = world.gate(&[once, ("GATE_HTTP_TRUSTED_PROXIES", "192.0.2.7")]);
    for (gate, second) in [(&world.app, "session_opened"), (&wary, "token_used")] {
        let token = world.ann.token();
        let browser = || {
            let browser = Browser::of(gate).with_token(&token);
            browser.with_header("X-Real-IP", "192.0.2.1")
        };
        let first = browser().get("/projects").await;
        first.expect(200, "session_opened").expect_user(&world.ann);
        browser().get("/projects").await.expect(200, second);
    }
}
