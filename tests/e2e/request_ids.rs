//! One ID names a request in the logs of the proxy and of the gate and on the page that a user sees,
//! and reaches Label Studio, which the secret of an identity-aware proxy does not.

use serde_json::Value;

use crate::label_studio::{database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::proxy::{KINDS, Kind, Proxy};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;
use crate::support::{client, wait_until};

/// What a client sends to hide among another's lines.
const FORGED: &str = "0123456789abcdef-forged";

/// The lines of the gate about a request.
fn lines(gate: &GateProcess, id: &str) -> Vec<Value> {
    let log = gate.log();
    let whole_lines = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let lines = whole_lines.filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["request_id"] == id)
        .collect()
}

fn expect_event(gate: &GateProcess, which: &str, id: &str, event: &str) {
    let is_told = || lines(gate, id).iter().any(|line| line["message"] == event);
    wait_until(is_told, || {
        format!("{which}: {event} of {id}: {}", gate.log())
    });
}

/// A page request with a token of this user, and the client's own ID.
async fn ask(url: &str, user: i32) -> reqwest::Response {
    let request = client()
        .get(format!("{url}/projects"))
        .header("Cookie", format!("ls_auth_token={}", native(user)))
        .header("Accept", "text/html")
        .header("X-Request-ID", FORGED)
        .header("Gate-Proxy-Secret", "of-the-proxy-in-front");
    request.send().await.unwrap()
}

/// The ID that Label Studio got with the last request.
fn passed_on(studio: &Stub) -> String {
    let heads = studio.heads();
    let head = heads.last().unwrap().to_ascii_lowercase();
    let ids: Vec<&str> = (head.lines())
        .filter_map(|line| line.strip_prefix("x-request-id: "))
        .collect();
    assert_eq!(ids.len(), 1, "{head}");
    ids[0].to_owned()
}

/// Whether the last request brought it.
fn knows_the_secret(studio: &Stub) -> bool {
    let heads = studio.heads();
    heads.last().unwrap().contains("of-the-proxy-in-front")
}

fn user(database: &str) -> i32 {
    let email = seeded("GATE_DEMO_USER_EMAIL");
    let query = format!("SELECT id FROM htx_user WHERE email = '{email}'");
    let id = CLUSTER.psql(database, &["-c", &query]);
    id.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proxy_passes_one_id_and_no_secret_to_label_studio() {
    let database = database();
    let user = user(&database);
    let studio = Stub::start(|_| Reply::of(200, "studio"));
    let start = |proxy| {
        let settings = [("GATE_HTTP_PROXIES", proxy)];
        GateProcess::start_with(Engine::SignedCookies, CLUSTER.port(), &database, &settings)
    };
    for binary in binaries() {
        let gate = start("nginx");
        let nginx = Nginx::start(&binary, &[gate.port], studio.port);
        let which = binary.display().to_string();
        let id = check(&which, &gate, &nginx.url, &studio, user).await;
        assert_ne!(id, FORGED, "{which}");
        assert!(!knows_the_secret(&studio), "{which}");
        let is_logged = || nginx.read("access.log").contains(&format!("id=\"{id}\""));
        wait_until(is_logged, || nginx.read("access.log"));
    }
    for kind in KINDS {
        let gate = start(kind.proxy());
        let proxy = Proxy::start(kind, gate.port, studio.port);
        let which = format!("{kind:?}");
        let id = check(&which, &gate, &proxy.url, &studio, user).await;
        // The controller's template takes the client's ID over.
        let is_controller = matches!(kind, Kind::Ingress { .. });
        assert_eq!(id == FORGED, is_controller, "{which}");
        // No annotation removes a header.
        assert_eq!(knows_the_secret(&studio), is_controller, "{which}");
    }
}

/// Returns the ID of the request that was let through.
async fn check(which: &str, gate: &GateProcess, url: &str, studio: &Stub, user: i32) -> String {
    assert_eq!(ask(url, user).await.status(), 200, "{which}");
    let id = passed_on(studio);
    expect_event(gate, which, &id, "logged in");

    let refused = ask(url, 999_999).await;
    assert_eq!(refused.status(), 403, "{which}");
    // An ingress controller shows its own page.
    if let Some(shown) = refused.headers().get("X-Request-ID") {
        let shown = shown.to_str().unwrap().to_owned();
        expect_event(gate, which, &shown, "refused");
        let page = refused.text().await.unwrap();
        assert!(page.contains(&shown), "{which}: {page}");
    } else {
        assert!(which.contains("Ingress"), "{which}: {refused:?}");
    }

    let signed_out = client().get(format!("{url}/sso/signed-out"));
    let signed_out = signed_out.header("X-Request-ID", FORGED).send().await;
    let id_of_page = signed_out.unwrap().headers()["X-Request-ID"].clone();
    expect_event(gate, which, id_of_page.to_str().unwrap(), "page shown");
    id
}
