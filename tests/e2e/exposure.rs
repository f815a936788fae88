//! Which of the gate's routes can be reached through each proxy with the shipped files: the public
//! ones and nothing else, in whatever spelling. A stub takes Label Studio's place: its answers show
//! who answered, and contain headers that no browser may see.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::label_studio::{database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::proxy::{KINDS, Kind, Proxy};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;

/// Headers that the gate sends to a proxy and that no browser may see.
const ONLY_FOR_THE_PROXY: [&str; 7] = [
    "cookie",
    "x-gate-cookie",
    "x-gate-set-cookie-1",
    "x-gate-set-cookie-2",
    "x-gate-user-id",
    "x-gate-email",
    "x-gate-method",
];

/// The gate's public routes, with the status of a GET by an unauthenticated visitor and by a
/// signed-in one.
const PUBLIC: [(&str, [u16; 2]); 8] = [
    ("/sso/login", [401, 303]),
    ("/sso/logout", [200; 2]),
    ("/sso/signed-out", [200; 2]),
    // There is no provider in the settings.
    ("/sso/start", [404; 2]),
    ("/sso/callback", [404; 2]),
    ("/sso/backchannel-logout", [405; 2]),
    ("/api/sso/token", [405; 2]),
    ("/api/sso/revoke", [405; 2]),
];

/// Request targets that must not reach a check, health or metrics. `HOST` is replaced with the
/// proxy's own address.
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
    "/_gate/down.html",
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
    "/sso/callback/",
    "/sso/callback/company%0a",
    "/sso/callback/company%0d%0aX:%20x",
    "/sso/callback/company%20HTTP/1.1",
    "/sso/callback/company%3f/../../metrics",
    "/sso/callback/..%2f..%2fmetrics",
    "/sso/callback/..%2f..%2fauth/nginx",
    "/sso/callback/../../auth/nginx",
    "/sso/callback/%2e%2e/%2e%2e/metrics",
    "/auth/envoy/..%2f..%2fsso/callback/company",
    "/metrics/..%2fsso/callback/company",
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

/// A stub in Label Studio's place. It answers every request with 200 and with headers that only the
/// gate may send, and only to a proxy.
struct Studio {
    with_all_headers: Stub,
    /// The same without `Cookie`, which an ingress controller cannot hide, because it would then
    /// hide the gate's as well.
    without_cookie: Stub,
}

impl Studio {
    fn start() -> Self {
        let answer_with = |names: &'static [&'static str]| {
            Stub::start(move |_| {
                let headers: String = names
                    .iter()
                    .map(|name| format!("{name}: leaked\r\n"))
                    .collect();
                Reply {
                    headers: format!("X-Studio: 1\r\n{headers}"),
                    ..Reply::of(200, "studio")
                }
            })
        };
        Self {
            with_all_headers: answer_with(&ONLY_FOR_THE_PROXY),
            without_cookie: answer_with(&ONLY_FOR_THE_PROXY[1..]),
        }
    }

    fn before(&self, kind: Kind) -> u16 {
        match kind {
            Kind::Ingress { .. } => self.without_cookie.port,
            _ => self.with_all_headers.port,
        }
    }

    /// The requests it received, in lower case.
    fn heads(&self) -> impl Iterator<Item = String> {
        let heads = [self.with_all_headers.heads(), self.without_cookie.heads()];
        heads
            .into_iter()
            .flatten()
            .map(|head| head.to_ascii_lowercase())
    }
}

/// Each proxy in front of that Label Studio, with the gate its files expect: its name, its address,
/// and the processes that must live as long.
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
        let nginx = Nginx::start(binary, &[gate.port], studio.with_all_headers.port);
        let url = nginx.url.clone();
        all.push((format!("nginx {n}"), url, Running::Nginx(gate, nginx)));
    }
    for kind in KINDS {
        let gate = start(kind.proxy());
        let proxy = Proxy::start(kind, gate.port, studio.before(kind));
        let url = proxy.url.clone();
        all.push((format!("{kind:?}"), url, Running::Proxy(gate, proxy)));
    }
    all
}

/// Processes that end with the test.
#[expect(dead_code, reason = "held until it is dropped")]
enum Running {
    Nginx(GateProcess, Nginx),
    Proxy(GateProcess, Proxy),
}

/// The answer to a request that is sent over a socket, so that no library normalizes it.
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

    /// The answer must come from Label Studio, be a redirect or a refusal, or be the answer of a
    /// public route if the proxy read the target as one.
    fn is_harmless(&self, target: &str) -> bool {
        let turned_away = (400..500).contains(&self.status) || matches!(self.status, 301 | 308);
        let is_public = PUBLIC.iter().any(|(path, [_, status])| {
            let (_, name) = path.rsplit_once('/').unwrap();
            target.contains(name) && self.status == *status
        });
        self.leaks_nothing() && (self.is_label_studios() || turned_away || is_public)
    }

    fn leaks_nothing(&self) -> bool {
        let mut names = ONLY_FOR_THE_PROXY.iter();
        names.all(|name| self.header(name).is_none())
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
            assert!(answer.leaks_nothing(), "{which}: {path}: {}", answer.head);
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

/// Wrong API tokens are counted by the address that the proxy names.
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
