//! The trace of a request reaches Label Studio through each proxy with its shipped files.

use crate::nginx::{Nginx, binaries};
use crate::proxy::{Kind, Proxy};
use crate::stack::{Engine, GateProcess};
use crate::support::client;
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A gate that needs no database, because nobody signs in.
fn gate(settings: &[(&str, &str)]) -> GateProcess {
    GateProcess::start_with(Engine::Database, CLUSTER.port(), "postgres", settings)
}

/// The trace headers that reach the server behind the proxy at `url`, for a request with a trace:
/// the span's ID, and `tracestate`.
async fn handed_on(url: &str, label_studio: &Stub) -> (String, Option<String>) {
    let path = format!("/page-{}", label_studio.asked());
    let request = client()
        .get(format!("{url}{path}"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    let heads = label_studio.heads();
    let head = heads.iter().find(|head| head.contains(&path)).unwrap();
    let head = head.to_ascii_lowercase();
    let header = |name: &str| {
        let mut values = head.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.next().map(|value| value.trim().to_owned());
        assert_eq!(values.next(), None, "{head}");
        value
    };
    let parent = header("traceparent:").unwrap();
    let span = parent.strip_prefix(&format!("00-{TRACE}-")).unwrap();
    let span = span.strip_suffix("-01").unwrap().to_owned();
    (span, header("tracestate:"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_goes_on_to_label_studio() {
    let collector = Stub::start(|_| Reply::of(200, ""));
    let label_studio = Stub::start(|_| Reply::of(200, "a page"));
    let tracing = gate(&[("GATE_TRACES_ENDPOINT", &collector.url("/v1/traces"))]);
    let quiet = gate(&[]);
    let expect = async |which: String, url: &str, traced: bool| {
        let (span, state) = handed_on(url, &label_studio).await;
        assert_eq!(span != PARENT, traced, "{which}: {span}");
        assert_eq!(state.as_deref(), Some("vendor=1"), "{which}");
    };
    for binary in binaries() {
        for (gate, traced) in [(&tracing, true), (&quiet, false)] {
            let proxy = Nginx::start(&binary, &[gate.port], label_studio.port);
            expect(binary.display().to_string(), &proxy.url, traced).await;
        }
    }
    for (kind, hands_on) in [
        (Kind::Caddy, true),
        (Kind::HaProxy, true),
        (Kind::Envoy, true),
        // Not without a line in the file: docs/traces.md.
        (Kind::Traefik, false),
        (Kind::Ingress { keepalive: false }, false),
    ] {
        for (gate, traced) in [(&tracing, hands_on), (&quiet, false)] {
            let proxy = Proxy::start(kind, gate.port, label_studio.port);
            expect(format!("{kind:?}"), &proxy.url, traced).await;
        }
    }
}
