//! Requests that no browser sends, through nginx with the shipped files.

use crate::label_studio::database;
use crate::nginx::{Nginx, binaries};
use crate::raw::{Answer, Connection};
use crate::server_files::each;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};

async fn ask(url: &str, request: &str) -> Answer {
    let mut connection = Connection::to(url).await;
    connection.send(request).await;
    connection.answer().await
}

/// The expressions in the files search what anybody may send.
#[tokio::test(flavor = "multi_thread")]
async fn no_expression_gives_up_on_long_text() {
    let (gate, studio) = (
        Stub::start(|_| Reply::of(200, "")),
        Stub::start(|_| Reply::of(200, "Label Studio")),
    );
    let patterns = [
        "?token=a.b.c",
        "&token=a.b.c",
        "&token=a.",
        "&token",
        "&state=",
        "?",
        "&",
        "eyJ",
        "; ls_auth_token ",
        "; ls_auth_token =",
        " ",
        "text/htm",
    ];
    for binary in binaries() {
        let nginx = Nginx::start(&binary, &[gate.port], studio.port);
        for pattern in patterns {
            let long = pattern.repeat(30_000 / pattern.len());
            let query = long.replace(' ', "+");
            for headers in [
                format!("Accept: {}\r\n", "a".repeat(30_000)),
                format!("Accept: {}text/html\r\n", "a".repeat(30_000)),
                format!("Cookie: a{long}\r\nReferer: http://x/?{long}\r\n"),
                format!("Accept: {long}\r\nReferer: http://x/{long}\r\n"),
            ] {
                let request = format!("GET /x?a{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
                ask(&nginx.url, &request).await;
            }
        }
        let errors = nginx.read("error.log");
        let gave_up = errors.find("pcre").map(|at| &errors[at..][..60]);
        assert_eq!(gave_up, None, "{}", binary.display());
    }
}

/// Each of several providers has a callback, which no exact location can name.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_callback_of_a_name_reaches_the_gate() {
    let gate = Stub::start(|_| Reply::of(200, "the gate"));
    let other = Stub::start(|head| Reply::of(200, head.lines().next().unwrap_or_default()));
    each(gate.port, other.port, async |server| {
        let get = async |path: &str| {
            let target = format!("{}{path}", server.under());
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            ask(&server.nginx.url, &request).await
        };
        for (path, asked) in [
            ("/sso/callback/company", "/sso/callback/company"),
            (
                "/sso/callback/a-2?code=a%0a&x",
                "/sso/callback/a-2?code=a%0a&x",
            ),
            ("/sso/callback/c%6fmpany?a", "/sso/callback/company?a"),
            ("/x/..%2fsso/callback/a", "/sso/callback/a"),
        ] {
            let answer = get(path).await;
            assert_eq!(answer.body, "the gate", "{}: {path}", server.which);
            let line = gate
                .heads()
                .last()
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned();
            assert_eq!(line, format!("GET {asked} HTTP/1.1"), "{}", server.which);
        }
        let asked = gate.asked();
        for path in [
            "/sso/callback/",
            "/sso/callback/A",
            "/sso/callback/a%0a",
            "/sso/callback/a%0d%0a",
            "/sso/callback/%0aa",
            "/sso/callback/a%20HTTP/1.1%0d%0aX:",
            "/sso/callback/a/b",
            "/sso/callback/a%2fb",
            "/sso/callback/a%3fb",
            "/sso/callback/a;b",
            "/sso/callback/a.",
            "/sso/callback/a%00",
            "/sso/callback/../../auth/nginx",
            "/sso/callback/..%2f..%2fauth/nginx",
            "/SSO/callback/a",
        ] {
            get(path).await;
        }
        for head in gate.heads().into_iter().skip(asked) {
            let check = head.starts_with("GET /auth/nginx HTTP/1.1\r\n");
            assert!(check, "{}: {head}", server.which);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callback_of_each_provider_is_the_gates() {
    let provider = |name: &str| {
        serde_json::json!({
            "name": name, "issuer": format!("https://{name}.invalid"), "client_id": "gate",
            "client_secret": "a-secret-of-the-provider",
        })
    };
    let providers = serde_json::json!([provider("company"), provider("partner-2")]).to_string();
    let settings = [
        ("GATE_LABEL_STUDIO_URL", "https://label-studio.test"),
        ("GATE_SIGN_IN_PROVIDERS", &providers),
    ];
    let database = database();
    let engine = Engine::SignedCookies;
    let gate = GateProcess::start_with(engine, CLUSTER.port(), &database, &settings);
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    each(gate.port, studio.port, async |server| {
        let mut seen = Vec::new();
        for name in ["company", "partner-2", "another"] {
            let path = format!("{}/sso/callback/{name}?code=a&state=b", server.under());
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = ask(&server.nginx.url, &request).await;
            let reason = answer.header("X-Gate-Reason").unwrap_or("none").to_owned();
            seen.push((answer.status, reason));
        }
        // No sign-in began in this browser.
        let known = (401, "sign_in_unknown".to_owned());
        let unknown = (404, "request_malformed".to_owned());
        let expected = [known.clone(), known, unknown];
        assert_eq!(seen, expected, "{}", server.which);
    })
    .await;
    assert_eq!(studio.asked(), 0);
}

/// A path is decided about and passed on as the same path.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_feed_in_a_path_stays_one() {
    let gate = Stub::start(|_| Reply::of(200, ""));
    let studio = Stub::start(|head| Reply::of(200, head.lines().next().unwrap_or_default()));
    each(gate.port, studio.port, async |server| {
        for path in ["/logout%0a", "/projects/%0a", "/x%0ay"] {
            let target = format!("{}{path}", server.under());
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = ask(&server.nginx.url, &request).await;
            let seen = answer.body.to_ascii_lowercase();
            assert_eq!(seen, format!("get {path} http/1.1"), "{}", server.which);
        }
    })
    .await;
}

/// Load balancers ask like that whether a server is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_host_is_answered() {
    let studio = Stub::start(|head| {
        let mut lines = head.lines();
        let host = lines.find_map(|line| line.strip_prefix("Host: "));
        Reply::of(200, host.unwrap_or("none"))
    });
    let gate = GateProcess::start(Engine::SignedCookies, CLUSTER.port(), &database());
    each(gate.port, studio.port, async |server| {
        let name = match server.which.rsplit('/').next().unwrap() {
            "1-same-domain.conf" | "3-one-proxy.conf" => "company.test",
            "2-subdomains.conf" => "labelstudio.company.test",
            "4-two-domains-http.conf" | "5-two-domains-https.conf" => "labelstudio.test",
            _ => "localhost",
        };
        for (start, host) in [
            ("HTTP/1.0\r\n", name),
            ("HTTP/1.0\r\nHost: a.test\r\n", "a.test"),
            ("HTTP/1.0\r\nHost: a.test:8080\r\n", "a.test:8080"),
            ("HTTP/1.1\r\nHost: a.test:8080\r\n", "a.test:8080"),
        ] {
            let request = format!("GET {} {start}\r\n", server.path);
            let answer = ask(&server.nginx.url, &request).await;
            let seen = (answer.status, answer.body.as_str());
            assert_eq!(seen, (200, host), "{}: {start:?}", server.which);
            let login = format!("GET {}/sso/signed-out {start}\r\n", server.under());
            let answer = ask(&server.nginx.url, &login).await;
            assert_eq!(answer.status, 200, "{}: {start:?}", server.which);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_has_no_warning_about_the_files() {
    each(1, 1, async |server| {
        let said = server.errors();
        assert!(!said.contains("[warn]"), "{}: {said}", server.which);
    })
    .await;
}

/// nginx leaves a gate alone that answered what it cannot use. A visitor may bring that about, but
/// only for the own request.
#[tokio::test(flavor = "multi_thread")]
async fn unusable_answers_of_both_gates_shut_nobody_out() {
    let gate = || {
        Stub::start(|head| {
            let too_big = head.contains("/crafted").then(|| "x".repeat(100_000));
            let too_big = too_big.map(|value| format!("X-Gate-Cookie: {value}\r\n"));
            Reply {
                headers: too_big.unwrap_or_default(),
                ..Reply::of(200, "")
            }
        })
    };
    let gates = [gate(), gate()];
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    for binary in binaries() {
        let ports = gates.each_ref().map(|gate| gate.port);
        let nginx = Nginx::start(&binary, &ports, studio.port);
        for path in ["/crafted", "/crafted", "/crafted", "/x", "/y", "/z"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = ask(&nginx.url, &request).await;
            let expected = if path == "/crafted" { 503 } else { 200 };
            assert_eq!(answer.status, expected, "{}: {path}", binary.display());
        }
    }
}
