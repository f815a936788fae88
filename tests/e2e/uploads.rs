//! Bodies of requests that don't reach Label Studio: nginx answers before it has read them, and stores
//! none, because anybody can send them.

use serde_json::Value;

use crate::nginx::{Nginx, binaries};
use crate::raw::{Answer, Connection};
use crate::server_files::{Server, each};
use crate::support::client;
use crate::support::stub::{Reply, Stub};

/// What nginx says when it stores a body.
const STORED: &str = "temporary file";

/// Beginnings of large bodies: the headers, and what is sent before the answer is there.
const LARGE: [(&str, &str); 4] = [
    ("Content-Length: 100000000\r\n", "x"),
    ("Content-Length: 100000000\r\nExpect: \r\n", "x"),
    ("Content-Length: 100000000\r\nExpect: 100-continue\r\n", ""),
    ("Transfer-Encoding: chunked\r\n", "5f5e100\r\nx"),
];

/// A gate that answers checks with the status in the request's cookie, and has pages.
fn gate() -> Stub {
    Stub::start(|head| {
        let status = match head.split(' ').nth(1).unwrap() {
            "/auth/nginx" => {
                let refused = head.split_once("status=");
                refused.map_or(200, |(_, status)| status[..3].parse().unwrap())
            }
            "/auth/nginx/sign-in" => 401,
            "/auth/nginx/refused" => 403,
            "/auth/nginx/undecided" => 503,
            _ => 200,
        };
        Reply {
            headers: "X-Gate-Reason: because\r\nWWW-Authenticate: Bearer\r\n".to_owned(),
            ..Reply::of(status, "the gate's page")
        }
    })
}

async fn begin(server: &Server, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut connection = Connection::to(&server.nginx.url).await;
    let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
    connection.send(head).await;
    connection.answer().await
}

fn assert_nothing_is_stored(server: &Server) {
    let errors = server.errors();
    assert!(!errors.contains(STORED), "{}: {errors}", server.which);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_gets_the_refusal_at_once_and_is_not_stored() {
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    each(gate().port, studio.port, async |server| {
        for status in [401, 403, 503] {
            for (headers, body) in LARGE {
                for accept in ["*/*", "text/html"] {
                    let headers =
                        format!("{headers}Cookie: status={status}\r\nAccept: {accept}\r\n");
                    let answer = begin(&server, "POST", server.path, &headers, body).await;
                    let which = format!("{}: {headers}: {}", server.which, answer.head);
                    assert_eq!(answer.status, status, "{which}");
                    let json: Value = serde_json::from_str(&answer.body).expect(&which);
                    assert_eq!(json["reason"], "because", "{which}");
                    let kind = answer.header("Content-Type");
                    assert_eq!(kind, Some("application/json"), "{which}");
                    let challenge = answer.header("WWW-Authenticate");
                    assert_eq!(challenge.is_some(), status == 401, "{which}");
                }
            }
        }
        assert_nothing_is_stored(&server);
    })
    .await;
    assert_eq!(studio.asked(), 0);
}

/// A server of an operator may say it in the location.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_for_uploads_may_stand_in_the_location() {
    let (gate, studio) = (gate(), Stub::start(|_| Reply::of(200, "Label Studio")));
    let edits = [
        ("client_max_body_size 300m;", ""),
        (
            "proxy_pass http://label_studio;",
            "client_max_body_size 300m; proxy_pass http://label_studio;",
        ),
    ];
    for binary in binaries() {
        let nginx = Nginx::start_with(&binary, &[gate.port], studio.port, None, &edits);
        let upload = client().post(format!("{}/api/import", nginx.url));
        let answer = upload.body("x".repeat(2_000_000)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", nginx.read("error.log"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_the_gate_stores_an_upload() {
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    let gate = gate();
    each(gate.port, studio.port, async |server| {
        let asked = gate.asked();
        let routes = [
            "/sso/login",
            "/sso/logout",
            "/sso/signed-out",
            "/sso/start",
            "/sso/callback",
            "/sso/callback/company",
            "/sso/backchannel-logout",
            "/api/sso/token",
            "/api/sso/revoke",
            "/user/login/?form=label-studio",
        ];
        for route in routes {
            let target = format!("{}{route}", server.under());
            for (headers, body) in LARGE {
                let answer = begin(&server, "POST", &target, headers, body).await;
                assert_eq!(answer.status, 413, "{} {target} {headers}", server.which);
            }
        }
        // A link with a token leads to the gate too.
        let link = format!("{}?token=a.b.c", server.path);
        for (headers, body) in LARGE {
            let headers = format!("{headers}Accept: text/html\r\n");
            let answer = begin(&server, "GET", &link, &headers, body).await;
            assert_eq!(answer.status, 413, "{} {headers}", server.which);
        }
        // Only Label Studio's login form has a check, and a check has no body.
        let checks = gate.heads().into_iter().skip(asked);
        let checks = checks.filter(|head| !head.starts_with("GET /auth/nginx "));
        assert_eq!(checks.collect::<Vec<_>>(), [""; 0], "{}", server.which);
        assert_nothing_is_stored(&server);
    })
    .await;
    assert_eq!(studio.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_a_refused_form_and_ends_after_a_refused_upload() {
    let studio = Stub::start(|_| Reply::of(200, "Label Studio"));
    each(gate().port, studio.port, async |server| {
        let form = "x".repeat(5000);
        let small = [
            format!("Content-Length: 5000\r\n\r\n{form}"),
            format!("Transfer-Encoding: chunked\r\n\r\n1388\r\n{form}\r\n0\r\n\r\n"),
        ];
        let mut connection = Connection::to(&server.nginx.url).await;
        for body in small {
            for status in [401, 403] {
                let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", server.path);
                let request = format!("{head}Cookie: status={status}\r\n{body}");
                connection.send(request).await;
                let answer = connection.answer().await;
                assert_eq!(answer.status, status, "{}: {}", server.which, answer.head);
            }
        }
        let upload = "x".repeat(1_000_000);
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", server.path);
        let head = format!("{head}Cookie: status=401\r\nContent-Length: 1000000\r\n\r\n");
        connection.send(head + &upload).await;
        assert_eq!(connection.answer().await.status, 401, "{}", server.which);
        // Nothing of the body is read as a request.
        connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(connection.ends().await, "{}", server.which);
        assert_nothing_is_stored(&server);
    })
    .await;
}
