//! What of the gate can be reached through each proxy with the shipped files: its public routes, and nothing else, in whatever spelling.
//! In Label Studio's place is a server that says who answered, and tells what no browser may be told.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::doors::{Door, KINDS, Kind};
use crate::label_studio::{database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;

/// Headers by which the gate tells a proxy what no browser may know.
const TOLD_TO_THE_PROXY: [&str; 7] = [
    "cookie",
    "x-gate-cookie",
    "x-gate-set-cookie-1",
    "x-gate-set-cookie-2",
    "x-gate-user-id",
    "x-gate-email",
    "x-gate-method",
];

/// The gate's public routes, and what a GET is answered: of somebody unknown, and of somebody who is signed in.
const PUBLIC: [(&str, [u16; 2]); 5] = [
    ("/sso/login", [401, 303]),
    ("/sso/logout", [303; 2]),
    ("/sso/signed-out", [200; 2]),
    ("/api/sso/token", [405; 2]),
    ("/api/sso/revoke", [405; 2]),
];

/// Request targets that must not reach a check, health or metrics. `HOST` stands for the proxy's own address.
const CORPUS: &[&str] = &[
    "/auth/nginx",
    "/auth/nginx/login",
    "/auth/nginx/sign-in",
    "/auth/nginx/refused",
    "/auth/ingress-nginx",
    "/auth/caddy",
    "/auth/traefik",
    "/auth/envoy/",
    "/auth/envoy/projects",
    "/_gate/auth",
    "/_gate/login",
    "/_gate/sign-in",
    "/_gate/refused",
    "/_gate/unavailable.html",
    "/_external-auth",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/sso",
    "/sso/",
    "/sso/x",
    "/sso/login/",
    "/sso/login/x",
    "/SSO/LOGIN/../../auth/envoy/x",
    "/Auth/Nginx",
    "/METRICS",
    "/auth/envoy/..%2f..%2fsso/x",
    "/auth/envoy/..%2f..%2fsso/login",
    "/auth/envoy/..%2F..%2Fsso%2Flogin",
    "/auth/envoy/%2e%2e/%2e%2e/sso/login",
    "/auth/envoy/%2e%2e%2f%2e%2e%2fsso/signed-out",
    "/auth/envoy/..%252f..%252fsso/login",
    "/auth/envoy/../../sso/login",
    "/auth/envoy/..;/..;/sso/login",
    "/auth/envoy/..%5c..%5csso/login",
    "/auth/envoy/..\\..\\sso\\login",
    "/auth/traefik/..%2f..%2fsso/login",
    "/auth/traefik/../../api/sso/token",
    "/auth/caddy/..%2f..%2fsso/login",
    "/auth/caddy/../../sso/signed-out",
    "/auth/nginx/..%2f..%2fsso/login",
    "/auth/ingress-nginx/..%2f..%2fsso/login",
    "/auth/ingress-nginx/../../sso/logout",
    "/metrics/..%2fsso/login",
    "/metrics/../sso/login",
    "/health/live/..%2f..%2fapi/sso/token",
    "/sso/../auth/envoy/x",
    "/sso/..%2fauth/envoy/x",
    "/sso/%2e%2e/metrics",
    "/sso/%2e%2e%2fmetrics",
    "/sso/login/../../auth/caddy",
    "/sso/login/..%2f..%2fauth/caddy",
    "/sso/login%2f..%2f..%2fmetrics",
    "/sso/login/%2e%2e/%2e%2e/health/ready",
    "/sso/login;/../../metrics",
    "/sso/login%00/../../metrics",
    "/sso//../metrics",
    "//metrics",
    "//auth/envoy/x",
    "//sso//login",
    "/./metrics",
    "/;/metrics",
    "/api/sso/../../auth/traefik",
    "/api/sso/token/..%2f..%2f..%2fauth/traefik",
    "/api/sso/%74oken/../../../metrics",
    "/%61uth/nginx",
    "/%61%75%74%68/envoy/x",
    "/metric%73",
    "http://HOST/metrics",
    "http://HOST/auth/envoy/projects",
    "http://HOST/sso/../auth/envoy/x",
    "http://HOST/auth/envoy/..%2f..%2fsso/login",
    "http://elsewhere.test/auth/caddy",
];

/// In Label Studio's place. It answers everything with 200, and with headers that only the gate may send, and only to a proxy.
struct Studio {
    telling: Stub,
    /// The same without `Cookie`, which an ingress controller cannot hide: it would not see the gate's own.
    without_cookie: Stub,
}

impl Studio {
    fn start() -> Self {
        let telling = |told: &'static [&'static str]| {
            Stub::start(move |_| {
                let told: String = told
                    .iter()
                    .map(|name| format!("{name}: told\r\n"))
                    .collect();
                Reply {
                    headers: format!("X-Studio: 1\r\n{told}"),
                    ..Reply::of(200, "studio")
                }
            })
        };
        Self {
            telling: telling(&TOLD_TO_THE_PROXY),
            without_cookie: telling(&TOLD_TO_THE_PROXY[1..]),
        }
    }

    fn before(&self, kind: Kind) -> u16 {
        match kind {
            Kind::Ingress { .. } => self.without_cookie.port,
            _ => self.telling.port,
        }
    }

    /// What it was asked, in lower case.
    fn heads(&self) -> impl Iterator<Item = String> {
        let heads = [self.telling.heads(), self.without_cookie.heads()];
        heads
            .into_iter()
            .flatten()
            .map(|head| head.to_ascii_lowercase())
    }
}

/// Each proxy, with the gate that its files ask for, before that Label Studio: its name, its address, and what must live as long.
fn proxies(
    database: &str,
    studio: &Studio,
    more: &[(&str, &str)],
) -> Vec<(String, String, Running)> {
    let start = |proxy| {
        let proxy = [("GATE_HTTP_PROXIES", proxy)];
        let settings: Vec<_> = more.iter().copied().chain(proxy).collect();
        GateProcess::start_with(Engine::SignedCookies, CLUSTER.port(), database, &settings)
    };
    let mut all = Vec::new();
    for (n, binary) in binaries().iter().enumerate() {
        let gate = start("nginx");
        let nginx = Nginx::start(binary, &[gate.port], studio.telling.port);
        let url = nginx.url.clone();
        all.push((format!("nginx {n}"), url, Running::Nginx(gate, nginx)));
    }
    for kind in KINDS {
        let gate = start(kind.proxy());
        let door = Door::open(kind, gate.port, studio.before(kind));
        let url = door.url.clone();
        all.push((format!("{kind:?}"), url, Running::Door(gate, door)));
    }
    all
}

/// Ends with the test.
#[expect(dead_code, reason = "held until it is dropped")]
enum Running {
    Nginx(GateProcess, Nginx),
    Door(GateProcess, Door),
}

/// An answer over a socket, and nobody between who tidies up what is sent.
struct Answer {
    status: u16,
    head: String,
}

impl Answer {
    async fn to(url: &str, target: &str, headers: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap();
        let target = target.replace("HOST", host);
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
        ended
            .unwrap_or_else(|_| panic!("{url}{target}: no end"))
            .ok();
        let text = String::from_utf8_lossy(&answer);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_owned(),
        }
    }

    fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    fn is_label_studios(&self) -> bool {
        self.header("x-studio").is_some()
    }

    /// Label Studio's, a redirect or a refusal, or what one of the public routes answers, if the proxy read the target as that.
    fn is_harmless(&self, target: &str) -> bool {
        let turned_away = (400..500).contains(&self.status) || matches!(self.status, 301 | 308);
        let is_public = PUBLIC.iter().any(|(path, [_, status])| {
            let (_, name) = path.rsplit_once('/').unwrap();
            target.contains(name) && self.status == *status
        });
        self.tells_nothing() && (self.is_label_studios() || turned_away || is_public)
    }

    fn tells_nothing(&self) -> bool {
        let mut told = TOLD_TO_THE_PROXY.iter();
        told.all(|name| self.header(name).is_none())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_reaches_more_than_the_public_routes() {
    let database = database();
    let email = seeded("GATE_DEMO_USER_EMAIL");
    let statement = format!("SELECT id FROM htx_user WHERE email = '{email}'");
    let user: i32 = CLUSTER
        .psql(&database, &["-c", &statement])
        .trim()
        .parse()
        .unwrap();
    let studio = Studio::start();
    let mut wrong = Vec::new();
    for (which, url, _running) in proxies(&database, &studio, &[]) {
        let token = native(user);
        let login = Answer::to(&url, &format!("/sso/login?token={token}&next=/x"), "").await;
        assert_eq!(login.status, 303, "{which}: {}", login.head);
        assert_eq!(login.header("location"), Some("/x"), "{which}");
        let mut set = login.headers("set-cookie");
        let session = set.find_map(|cookie| cookie.strip_prefix("sessionid=")?.split(';').next());
        let session = session.expect("a session");
        let cookies = format!("Cookie: sessionid={session}; ls_auth_token={token}\r\n");
        for (path, [unknown, signed_in]) in PUBLIC {
            let answer = Answer::to(&url, path, &cookies).await;
            assert_eq!(answer.status, signed_in, "{which}: {path}: {}", answer.head);
            let answer = Answer::to(&url, path, "").await;
            assert_eq!(answer.status, unknown, "{which}: {path}: {}", answer.head);
            assert!(!answer.is_label_studios(), "{which}: {path}");
            assert!(answer.tells_nothing(), "{which}: {path}: {}", answer.head);
        }
        for target in CORPUS {
            let answer = Answer::to(&url, target, &cookies).await;
            if !answer.is_harmless(target) {
                wrong.push(format!("{which}: {target}: {}", answer.head));
            }
        }
        for head in studio.heads() {
            assert!(!head.contains("x-gate-"), "{which}: {head}");
            let bare = token.to_ascii_lowercase();
            assert!(!head.contains(&bare), "{which}: a token in {head}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The address by which wrong API tokens are counted is the proxy's to tell.
#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_a_caller_hides_its_address() {
    let (database, studio) = (database(), Studio::start());
    let few = [("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "3")];
    for (which, url, _running) in proxies(&database, &studio, &few) {
        for n in 0..6 {
            let mut request = crate::support::client()
                .post(format!("{url}/api/sso/token"))
                .header("Authorization", format!("Token wrong{n}"));
            for name in [
                "X-Real-IP",
                "X-Forwarded-For",
                "Forwarded",
                "X-Client-IP",
                "True-Client-IP",
                "X-Envoy-External-Address",
            ] {
                request = request.header(name, format!("192.0.2.{n}"));
            }
            let answer = request.body("{}").send().await.unwrap();
            let expected = if n < 3 { 401 } else { 429 };
            assert_eq!(answer.status(), expected, "{which}: attempt {n}");
        }
        let right = crate::support::client()
            .post(format!("{url}/api/sso/token"))
            .header(
                "Authorization",
                format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
            )
            .body(format!(
                "{{\"email\": \"{}\"}}",
                seeded("GATE_DEMO_USER_EMAIL")
            ));
        assert_eq!(right.send().await.unwrap().status(), 200, "{which}");
    }
}
