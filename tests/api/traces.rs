//! Traces of requests, as a collector receives them.

use std::process::Stdio;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::app::TestApp;
use crate::collector::{Collector, attribute};
use crate::support::gate::{GateProcess, gate_command};
use crate::support::{client, wait_until};
use crate::world::{NO_CACHE, World};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first spans with these names, once they have arrived.
fn spans(collector: &Collector, names: &[&str]) -> Vec<Span> {
    let find = || {
        let spans = collector.spans();
        let find = |name: &&str| spans.iter().find(|span| span.name == **name).cloned();
        names.iter().map(find).collect::<Option<Vec<Span>>>()
    };
    wait_until(
        || find().is_some(),
        || format!("no {names:?} in {:?}", collector.spans()),
    );
    find().unwrap()
}

/// The name of the service that sent these spans.
fn service_name(request: &ExportTraceServiceRequest) -> String {
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    attribute(&resource.attributes, "service.name").unwrap()
}

/// The samples of a metric.
async fn spans_counted(app: &TestApp, outcome: &str) -> u64 {
    let metrics = app.get("/metrics").await.body;
    let name = format!("label_studio_gate_spans_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_and_its_statements_are_spans_of_the_proxys_trace() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let app = world.gate(&[
        NO_CACHE,
        ("GATE_TRACES_ENDPOINT", &endpoint),
        (
            "GATE_TRACES_HEADERS",
            "x-tenant=tests, authorization=Basic YTpi",
        ),
    ]);
    let token = world.ann.token();
    let cookies = format!("ls_auth_token={token}; connect.sid=secret-of-the-application");
    let answer = app
        .check_with(&[
            ("X-Original-URI", "/projects/7?tab=1&private=query"),
            ("X-Original-Method", "GET"),
            ("Cookie", &cookies),
            ("traceparent", &traceparent("01")),
            ("tracestate", "vendor=1"),
            ("X-Request-Id", "0123456789abcdef"),
        ])
        .await;
    answer.expect(200, "session_opened");

    let found = spans(&collector, &["check", "user_by_id", "record_login"]);
    let [check, user, login] = found.try_into().unwrap();
    assert_eq!(hex(&check.trace_id), TRACE);
    assert_eq!(hex(&check.parent_span_id), PARENT);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/projects/7"),
        ("gate.request_id", "0123456789abcdef"),
        ("http.response.status_code", "200"),
        ("gate.reason", "session_opened"),
        ("gate.method", "native"),
        ("gate.user_id", &world.ann.id.to_string()),
    ] {
        let found = attribute(&check.attributes, name);
        assert_eq!(found.as_deref(), Some(value), "{name}: {check:?}");
    }
    for statement in [user, login] {
        assert_eq!(statement.trace_id, check.trace_id);
        assert_eq!(statement.parent_span_id, check.span_id);
        let system = attribute(&statement.attributes, "db.system.name");
        assert_eq!(system.as_deref(), Some("postgresql"));
        assert!(statement.end_time_unix_nano >= statement.start_time_unix_nano);
    }

    // Label Studio's spans go below the check's.
    let handed_on = format!("00-{TRACE}-{}-01", hex(&check.span_id));
    answer
        .expect_header("X-Gate-Traceparent", Some(&handed_on))
        .expect_header("X-Gate-Tracestate", Some("vendor=1"));

    assert_eq!(service_name(&collector.requests()[0]), "label-studio-gate");
    let head = collector.heads()[0].to_ascii_lowercase();
    for line in [
        "post /v1/traces http/1.1\r\n",
        "content-type: application/x-protobuf\r\n",
        "x-tenant: tests\r\n",
        "authorization: basic ytpi\r\n",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(
        !head.contains("traceparent"),
        "sending is not traced: {head}"
    );
    assert!(spans_counted(&app, "exported").await >= 3);

    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    let session = answer.session().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    for secret in [
        payload,
        session,
        "secret-of-the-application",
        "private",
        "YTpi",
    ] {
        assert!(!bytes.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_token_requests_and_revocations_are_traced() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    let app = world.gate(&[
        ("GATE_TRACES_ENDPOINT", &collector.endpoint()),
        ("GATE_TRACES_SERVICE_NAME", "the gate of the tests"),
    ]);
    let path = format!("/sso/login?token={}", world.ann.token());
    app.get(&path).await.expect_status(303);
    let authorization = world.superuser.authorization();
    let headers = [("Authorization", authorization.as_str())];
    let body = format!("{{\"email\": \"{}\"}}", world.ann.email);
    for path in ["/api/sso/token", "/api/sso/revoke"] {
        let answer = app.send("POST", path, &headers, &body).await;
        answer.expect_status(200);
    }
    let found = spans(&collector, &["sign-in", "token", "revoke"]);
    for (span, path) in found
        .iter()
        .zip(["/sso/login", "/api/sso/token", "/api/sso/revoke"])
    {
        let found = attribute(&span.attributes, "url.path");
        assert_eq!(found.as_deref(), Some(path));
        assert!(span.parent_span_id.is_empty(), "a trace of its own");
    }
    for request in collector.requests() {
        assert_eq!(service_name(&request), "the gate of the tests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_goes_on_to_the_host_application() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    let app = world.gate_with_application(
        &world.application,
        &[("GATE_TRACES_ENDPOINT", &collector.endpoint())],
    );
    let answer = app
        .check_with(&[
            ("X-Original-URI", "/"),
            ("Cookie", "connect.sid=of-ann"),
            ("traceparent", &traceparent("01")),
            ("tracestate", "vendor=1"),
        ])
        .await;
    answer.expect(200, "session_opened");
    let found = spans(&collector, &["check", "GET"]);
    let [check, request] = found.try_into().unwrap();
    assert_eq!(request.parent_span_id, check.span_id);
    let status = attribute(&request.attributes, "http.response.status_code");
    assert_eq!(status.as_deref(), Some("200"));
    let head = &world.application.heads()[0];
    let handed_on = format!("traceparent: 00-{TRACE}-{}-01\r\n", hex(&request.span_id));
    assert!(head.contains(&handed_on), "{handed_on} {head}");
    assert!(head.contains("tracestate: vendor=1\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_decides_what_is_traced() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let check = async |app: &TestApp, flags: &str| {
        let parent = traceparent(flags);
        app.check_with(&[
            ("X-Original-URI", "/"),
            ("Cookie", &format!("ls_auth_token={}", world.ann.token())),
            ("traceparent", &parent),
        ])
        .await
    };
    let gate = |ratio: &str, trust: &str| {
        world.gate(&[
            ("GATE_TRACES_ENDPOINT", &endpoint),
            ("GATE_TRACES_SAMPLE_RATIO", ratio),
            ("GATE_TRACES_TRUST_PARENT", trust),
        ])
    };
    for (ratio, trust, flags, traced) in [
        ("0", "false", "01", false),
        ("0", "true", "01", true),
        ("1", "false", "00", true),
        ("1", "true", "00", false),
        ("0.5", "true", "01", true),
    ] {
        let app = gate(ratio, trust);
        let answer = check(&app, flags).await;
        let handed_on = answer.header("X-Gate-Traceparent").unwrap();
        // The trace goes on in any case; the flag says whether it is recorded.
        assert!(
            handed_on.starts_with(&format!("00-{TRACE}-")),
            "{handed_on}"
        );
        let case = format!("{ratio} {trust} {flags}");
        assert_eq!(handed_on.ends_with("-01"), traced, "{case}");
    }
    // Without a trace, a request that is not sampled has none.
    let answer = gate("0", "false").check("/", "").await;
    answer.expect_header("X-Gate-Traceparent", None);
    // A refusal goes to the browser, which has no use for it.
    let parent = traceparent("01");
    let answer = gate("1", "false")
        .check_with(&[("traceparent", &parent)])
        .await;
    answer
        .expect(403, "request_malformed")
        .expect_header("X-Gate-Traceparent", None);
    // Traces are off unless there is an endpoint.
    let answer = check(&world.app, "01").await;
    answer.expect_header("X-Gate-Traceparent", None);
}

/// The ratio is of the gate's own random bits: which trace a browser names makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_cannot_choose_whether_its_trace_is_recorded() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    for (ratio, trace, traced) in [
        ("0.000001", "00000000000000000000000000000001", false),
        ("0.000001", "ffffffffffffffff0000000000000000", false),
        ("0.999999", "ffffffffffffffffffffffffffffffff", true),
        ("0", "00000000000000000000000000000001", false),
        ("1", "ffffffffffffffffffffffffffffffff", true),
    ] {
        let app = world.gate(&[
            ("GATE_TRACES_ENDPOINT", &collector.endpoint()),
            ("GATE_TRACES_SAMPLE_RATIO", ratio),
        ]);
        for flags in ["00", "01"] {
            let parent = format!("00-{trace}-{PARENT}-{flags}");
            let headers = [
                ("X-Original-URI", "/"),
                ("traceparent", &*parent),
                ("tracestate", "vendor=1"),
            ];
            let answer = app.check_with(&headers).await;
            let handed_on = answer.header("X-Gate-Traceparent").unwrap();
            assert!(handed_on.starts_with(&format!("00-{trace}-")));
            assert_eq!(handed_on.ends_with("-01"), traced, "{ratio} {parent}");
            answer.expect_header("X-Gate-Tracestate", Some("vendor=1"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    collector.answer(500);
    let app = world.gate(&[("GATE_TRACES_ENDPOINT", &collector.endpoint())]);
    for _ in 0..20 {
        app.check("/", "").await.expect(200, "no_token");
    }
    let mut lost = 0;
    for _ in 0..300 {
        lost = spans_counted(&app, "not_accepted").await;
        if lost >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(lost >= 20, "{lost}");
    assert_eq!(spans_counted(&app, "exported").await, 0);
    // It is back.
    collector.answer(200);
    app.check("/", "").await.expect(200, "no_token");
    spans(&collector, &["check"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_service_waits_for_its_spans() {
    let world = World::new(&[]).await;
    let collector = Collector::start();
    let mut command = gate_command();
    command
        .env("DATABASE_URL", world.database.gate_url())
        .env("GATE_TRACES_ENDPOINT", collector.endpoint());
    let service = GateProcess::start_into(&command, Stdio::null());
    let check = client()
        .get(format!("{}/auth/nginx", service.url()))
        .header("X-Original-URI", "/last");
    assert_eq!(check.send().await.unwrap().status(), 200);
    assert_eq!(service.terminate(), 0);
    let spans = collector.spans();
    let path = |span: &Span| attribute(&span.attributes, "url.path");
    let paths: Vec<_> = spans.iter().filter_map(path).collect();
    assert_eq!(paths, ["/last"]);
}
