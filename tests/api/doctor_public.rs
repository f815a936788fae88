//! What `doctor` says about the public URL, in front of a proxy that a test makes up. With real proxies:
//! `tests/e2e/doctor.rs`.

use std::time::{Duration, SystemTime};

use label_studio_gate::doctor::{self, Level, Options, Report};
use label_studio_gate::postgres::Postgres;

use crate::app::{TestDatabase, settings};
use crate::doctor::expect;
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::world::World;

/// A refusal of the gate's, as proxies pass it on.
fn refused(status: u16, reason: &str) -> Reply {
    let mut reply = Reply::of(status, "");
    reply.headers = format!("X-Gate-Reason: {reason}\r\n");
    reply
}

/// What a browser gets from Label Studio behind a gate that does its work.
fn healthy(head: &str) -> Reply {
    let (route, has_token) = (head.split(' ').nth(1).unwrap(), head.contains("eyJ"));
    match route {
        "/api/sso/token" => Reply::of(401, r#"{"error":"Authentication required"}"#),
        "/sso/start" => {
            let mut reply = Reply::of(302, "");
            reply.headers = "Location: https://op.test/authorize?state=s\r\n".to_owned();
            reply
        }
        "/sso/callback" => refused(403, "sign_in_unknown"),
        _ if head.contains("cross-site") => refused(403, "cross_site_request"),
        _ if has_token => refused(403, "user_unknown"),
        _ if head.starts_with("POST") => Reply::of(405, ""),
        _ => Reply::of(
            401,
            r#"{"detail":"Authentication credentials were not provided."}"#,
        ),
    }
}

/// What `doctor` finds at this URL, `late` behind everybody's clock.
async fn visit(
    url: &str,
    database: &TestDatabase,
    more: &[(&str, &str)],
    email: Option<&str>,
    late: Duration,
) -> Report {
    let settings = settings(&database.gate_url(), more);
    let postgres = Postgres::connect(&settings.database).unwrap();
    let options = Options {
        url: Some(url.parse().unwrap()),
        email: email.map(str::to_owned),
    };
    doctor::check(&settings, &postgres, &options, SystemTime::now() - late).await
}

async fn over(
    answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    database: &TestDatabase,
    more: &[(&str, &str)],
) -> Report {
    let url = Stub::start(answer).url("");
    visit(&url, database, more, None, Duration::ZERO).await
}

/// Nothing is said about the proxy but this.
#[track_caller]
fn expect_of_the_gate(report: &Report, level: Level, what: &str, cure: &str) {
    expect(report, "public.gate", level, what, cure);
    let findings = report.findings().iter();
    let about = findings.filter(|finding| finding.check.name() == "public.gate");
    assert_eq!(about.count(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_asks_the_gate_is_not_blamed_for_what_doctor_cannot_do() {
    let asks = "the proxy asks the gate";
    let database = TestDatabase::new().await;
    let report = over(healthy, &database, &[]).await;
    expect_of_the_gate(&report, Level::Ok, asks, "");

    // A token that is signed an hour ago means nothing to the gate.
    let unaware = |head: &str| match head.contains("eyJ") {
        true => Reply::of(401, ""),
        false => healthy(head),
    };
    let url = Stub::start(unaware).url("");
    let hour = Duration::from_secs(3600);
    let report = visit(&url, &database, &[], None, hour).await;
    let what = "this machine's clock";
    expect_of_the_gate(&report, Level::Note, what, "");

    // A clock that cannot be compared is not a wrong one.
    let function = "EXECUTE ON FUNCTION clock_timestamp()";
    database
        .run(&format!("REVOKE {function} FROM PUBLIC"))
        .await;
    let report = over(healthy, &database, &[]).await;
    expect_of_the_gate(&report, Level::Ok, asks, "");
    database.run(&format!("GRANT {function} TO PUBLIC")).await;

    // Without its tables, doctor cannot look up whether the user of its token exists.
    let owner = settings(&CLUSTER.url("postgres", &database.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(None, false).await.unwrap();
    let report = over(healthy, &database, &[]).await;
    expect_of_the_gate(&report, Level::Note, "cannot look up users", "");
}

/// What is wrong is said where it was found, and not again where it has consequences.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_doctor_cannot_try_is_no_further_failure() {
    let world = World::new(&[]).await;
    let url = Stub::start(healthy).url("");
    let email = Some("ann@example.com");
    let only = |report: &Report, failed: &str, why: &str| {
        let check = "public.login";
        expect(report, check, Level::Note, "did not try a login", "");
        expect(report, check, Level::Note, why, "");
        expect(report, failed, Level::Failure, "", "");
        assert_eq!(report.failures(), 1, "{report}");
    };
    let hour = Duration::from_secs(3600);
    let report = visit(&url, &world.database, &[], email, hour).await;
    only(&report, "database.clock", "this machine's clock");

    let owner = settings(&CLUSTER.url("postgres", &world.database.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(None, false).await.unwrap();
    for more in [&[][..], &[("GATE_NATIVE_ENABLED", "false")]] {
        let report = visit(&url, &world.database, more, email, Duration::ZERO).await;
        only(&report, "database.own_tables", "cannot look up users");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_paths_that_hide_the_gate_are_named() {
    let database = TestDatabase::new().await;
    let open = |_: &str| Reply::of(401, "");
    let settings = [("GATE_POLICY_OPEN_PATHS", "/api/*")];
    let report = over(open, &database, &settings).await;
    let what = "policy.open_paths covers /api/current-user/whoami";
    expect_of_the_gate(&report, Level::Warning, what, "policy.open_paths");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_login_that_the_proxy_cannot_pass_on_is_about_its_buffers() {
    let world = World::new(&[]).await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let url = Stub::start(move |head| {
        // The first two tokens are those of nobody.
        let is_token = head.contains("eyJ");
        let before = asked.fetch_add(usize::from(is_token), std::sync::atomic::Ordering::SeqCst);
        match is_token && before >= 2 {
            true => refused(503, "session_opened"),
            false => healthy(head),
        }
    });
    let email = Some("ann@example.com");
    let url = url.url("");
    let report = visit(&url, &world.database, &[], email, Duration::ZERO).await;
    let what = "does not fit into the proxy's buffers";
    expect(
        &report,
        "public.login",
        Level::Failure,
        what,
        "proxy_buffer_size",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_header_that_does_not_reach_the_gate_is_named() {
    let database = TestDatabase::new().await;
    let without_host = |head: &str| {
        let is_post = head.starts_with("POST /api/current-user");
        match is_post && !head.contains("sec-fetch-site") {
            true => refused(403, "cross_site_request"),
            false => healthy(head),
        }
    };
    let report = over(without_host, &database, &[]).await;
    let (what, cure) = ("does not pass the Host header", "proxy_set_header Host");
    expect(&report, "public.gate", Level::Failure, what, cure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_url_that_is_the_gate_itself_is_named() {
    let world = World::new(&[]).await;
    let url = world.app.url.clone();
    let report = visit(&url, &world.database, &[], None, Duration::ZERO).await;
    let (what, cure) = ("is the gate itself", "label_studio.url");
    expect(&report, "public.url", Level::Failure, what, cure);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_do_not_reach_the_gate_are_named() {
    let database = TestDatabase::new().await;
    let check = "public.routes";
    let settings = [
        ("GATE_LABEL_STUDIO_URL", "http://localhost:1"),
        ("GATE_SIGN_IN_ISSUER", "https://127.0.0.1:1"),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
    ];
    let routes = ["/api/sso/token", "/sso/start", "/sso/callback"];
    let report = over(healthy, &database, &settings).await;
    for route in routes {
        expect(&report, check, Level::Ok, route, "");
    }
    for lost in routes {
        let without = move |head: &str| match head.split(' ').nth(1) == Some(lost) {
            true => Reply::of(404, ""),
            false => healthy(head),
        };
        let report = over(without, &database, &settings).await;
        let what = format!("{lost} is not answered by the gate");
        expect(&report, check, Level::Failure, &what, "gate.conf");
    }
}
