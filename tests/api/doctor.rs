//! What `doctor` says about each thing that is broken, over a real Postgres.

use std::process::Output;
use std::time::SystemTime;

use label_studio_gate::doctor::{self, Finding, Level, Options, Report};
use label_studio_gate::postgres::Postgres;
use label_studio_gate::settings::Settings;
use serde_json::{Value, json};

use crate::app::{TestDatabase, settings};
use crate::commands::gate_with;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::stub::{Reply, Stub};
use crate::world::{SIGNED_COOKIES, World};

/// What `doctor` finds without options.
pub async fn examine(settings: &Settings) -> Report {
    let postgres = Postgres::connect(&settings.database).unwrap();
    doctor::check(settings, &postgres, &Options::default(), SystemTime::now()).await
}

/// The findings of this check with their levels.
#[track_caller]
fn about<'r>(report: &'r Report, check: &str) -> Vec<&'r Finding> {
    let findings = report.findings().iter();
    let findings: Vec<_> = findings
        .filter(|finding| finding.check.name() == check)
        .collect();
    assert!(!findings.is_empty(), "no finding about {check}: {report}");
    findings
}

/// Fails unless some finding of this check has this level and these words, and a cure with those.
#[track_caller]
pub fn expect(report: &Report, check: &str, level: Level, what: &str, cure: &str) {
    let found = about(report, check).into_iter().any(|finding| {
        finding.level == level
            && finding.what.contains(what)
            && finding.cure.as_deref().unwrap_or_default().contains(cure)
    });
    assert!(found, "{check} {level:?} {what} {cure}: {report}");
}

async fn over(database: &TestDatabase, more: &[(&str, &str)]) -> Report {
    examine(&settings(&database.gate_url(), more)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_one_line_says_so() {
    let report = examine(&settings("postgres://nobody@127.0.0.1:1/nothing", &[])).await;
    expect(
        &report,
        "database.connection",
        Level::Failure,
        "Postgres does not answer: ",
        "check database.url",
    );
    assert_eq!(report.failures(), 1, "{report}");

    let url = CLUSTER.url(GATE_ROLE, "no_such_database");
    let report = examine(&settings(&url, &[])).await;
    let what = "database \"no_such_database\" does not exist";
    expect(
        &report,
        "database.connection",
        Level::Failure,
        what,
        "POSTGRE_NAME",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_database_is_one_line_and_not_ten() {
    let name = CLUSTER.fresh_name();
    CLUSTER.psql("postgres", &["-c", &format!("CREATE DATABASE {name}")]);
    // The role exists once any database has it.
    let _other = TestDatabase::new().await;
    let report = examine(&settings(&CLUSTER.url(GATE_ROLE, &name), &[])).await;
    let what = format!("the database \"{name}\" has no tables of Label Studio");
    expect(
        &report,
        "database.tables",
        Level::Failure,
        &what,
        "POSTGRE_NAME",
    );
    assert_eq!(report.failures(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_before_1_8_2_is_named() {
    let database = TestDatabase::of_version("1.7.0").await;
    let report = over(&database, &[]).await;
    let what = "Label Studio is older than 1.8.2: it signs its sessions with a constant";
    expect(
        &report,
        "database.tables",
        Level::Failure,
        what,
        "upgrade Label Studio to 1.8.2",
    );
    assert_eq!(report.failures(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_grants_are_named_with_the_file_that_gives_them() {
    for (revoked, action) in [
        ("UPDATE (last_login) ON htx_user", "record a login"),
        (
            "SELECT ON session_policy_sessiontimeoutpolicy",
            "look up a session policy",
        ),
        ("DELETE ON django_session", "end a session"),
        ("SELECT ON authtoken_token", "look up an API token"),
    ] {
        let database = TestDatabase::new().await;
        database
            .run(&format!("REVOKE {revoked} FROM {GATE_ROLE}"))
            .await;
        let report = over(&database, &[]).await;
        let what = format!("the role cannot {action}");
        expect(
            &report,
            "database.privileges",
            Level::Failure,
            &what,
            "run sql/role.sql",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_grant_for_revocation_is_advice() {
    let database = TestDatabase::new().await;
    let (check, what) = ("database.revocation", "POST /api/sso/revoke answers 503");
    let report = over(&database, &[SIGNED_COOKIES]).await;
    expect(
        &report,
        check,
        Level::Note,
        what,
        "sql/role.sql with -v revoke=on",
    );
    assert!(report.level() <= Level::Note, "{report}");

    CLUSTER.grant_with(&database.name, "revoke=on");
    let report = over(&database, &[SIGNED_COOKIES]).await;
    let what = "issued tokens stay valid until they expire";
    expect(
        &report,
        check,
        Level::Note,
        what,
        "label-studio-gate migrate --role",
    );
    crate::world::migrate(&database).await;
    let report = over(&database, &[SIGNED_COOKIES]).await;
    expect(&report, check, Level::Ok, "can be revoked", "");
    // Rows need no grant of their own.
    let report = over(&TestDatabase::new().await, &[]).await;
    expect(&report, check, Level::Note, "ends sessions", "migrate");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_tables_that_the_role_may_not_use_are_named() {
    let database = TestDatabase::new().await;
    let owner = settings(&CLUSTER.url("postgres", &database.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(None, false).await.unwrap();
    let report = over(&database, &[]).await;
    let what = "the role may not use them";
    expect(
        &report,
        "database.own_tables",
        Level::Failure,
        what,
        "migrate --role ROLE",
    );
    // Whatever else fails, fails because of that.
    assert_eq!(report.failures(), 1, "{report}");

    let once = [("GATE_TOKEN_USE", "once")];
    let report = over(&TestDatabase::new().await, &once).await;
    let what = "the gate's own tables do not exist";
    expect(
        &report,
        "database.own_tables",
        Level::Failure,
        what,
        "migrate --role ROLE",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_grants_for_accounts_and_staff_are_named_for_every_way_to_sign_in() {
    let database = TestDatabase::new().await;
    let (accounts, staff) = ("database.accounts", "database.staff");
    let revoke = format!("REVOKE INSERT ON htx_user FROM {GATE_ROLE}");
    let provider = [
        ("GATE_LABEL_STUDIO_URL", "http://localhost:1"),
        ("GATE_SIGN_IN_ISSUER", "https://127.0.0.1:1"),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
        ("GATE_SIGN_IN_GROUPS_CLAIM", "groups"),
        ("GATE_SIGN_IN_STAFF_GROUPS", "leads"),
        ("GATE_SIGN_IN_CREATE_USERS", "true"),
    ];
    let proxy = [
        (
            "GATE_PROXY_HEADERS_SECRET",
            "a-secret-that-only-the-proxy-in-front-knows",
        ),
        ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
        ("GATE_PROXY_HEADERS_CREATE_USERS", "true"),
    ];
    let report = over(&database, &provider).await;
    expect(&report, accounts, Level::Ok, "can be created", "");
    let (what, cure) = ("groups cannot decide who is staff", "-v staff=on");
    expect(&report, staff, Level::Failure, what, cure);
    database.run(&revoke).await;
    for settings in [&provider[..], &proxy] {
        let report = over(&database, settings).await;
        let (what, cure) = ("accounts cannot be created", "-v create_users=on");
        expect(&report, accounts, Level::Failure, what, cure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_signed_with_another_secret_key_are_named() {
    let other_key = [(
        "SECRET_KEY",
        "another-secret-key-of-more-than-fifty-characters-0123456789",
    )];
    let database = TestDatabase::new().await;
    database.run(crate::app::ANONYMOUS_SESSION).await;
    let report = over(&database, &other_key).await;
    let what = "1 of 1 recent sessions are signed with another SECRET_KEY";
    expect(
        &report,
        "database.secret_key",
        Level::Failure,
        what,
        "the same SECRET_KEY",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_browsers_reject_are_failures() {
    let database = TestDatabase::new().await;
    let report = over(
        &database,
        &[
            ("LABEL_STUDIO_HOST", "http://ls.example.invalid"),
            ("SESSION_COOKIE_DOMAIN", "other.example"),
            ("SESSION_COOKIE_SAMESITE", "None"),
            ("SESSION_COOKIE_SECURE", "1"),
        ],
    )
    .await;
    let what = "browsers reject the session cookie";
    expect(&report, "settings", Level::Failure, what, "leave it empty");
    expect(
        &report,
        "settings",
        Level::Failure,
        "over HTTP",
        "SameSite=None works over HTTPS only",
    );
}

/// Settings for an issuer whose keys are at `url`.
fn keys_at(url: &str) -> [(&str, &str); 3] {
    [
        ("GATE_EXTERNAL_JWKS_URL", url),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn key_servers_that_give_no_keys_are_named_with_a_cure() {
    let database = TestDatabase::new().await;
    let mut redirect = Reply::of(302, "");
    redirect.headers = "Location: /elsewhere?secret=1\r\n".to_owned();
    let server = Stub::start(move |_| redirect.clone());
    for (url, what, cure) in [
        (
            "http://127.0.0.1:1/keys".to_owned(),
            "127.0.0.1",
            "firewall",
        ),
        (
            server.url("/keys"),
            "redirects to http://",
            "key_server.redirects",
        ),
        (
            Stub::start(|_| Reply::of(404, "")).url("/keys"),
            "404",
            "open the URL from this machine",
        ),
        (
            Stub::start(|_| Reply::of(200, "<html>")).url("/keys"),
            "is not a JSON Web Key Set",
            "check jwks_url",
        ),
    ] {
        let report = over(&database, &keys_at(&url)).await;
        expect(&report, "issuer.keys", Level::Failure, what, cure);
        assert!(!report.to_string().contains("secret=1"), "{report}");
    }
    // A redirect to another path of the same server names its user and password too.
    let url = server.url("/keys").replace("//", "//gate:hunter2@");
    let report = over(&database, &keys_at(&url)).await.to_string();
    assert!(report.contains("redirects to http://127.0.0.1"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_providers_are_asked() {
    let database = TestDatabase::new().await;
    let provider = Stub::start(|_| Reply::of(404, ""));
    let issuer = provider.url("");
    let document = |issuer: &str| {
        Reply::json(&json!({
            "issuer": issuer, "authorization_endpoint": "https://op.test/a",
            "token_endpoint": "https://op.test/t", "jwks_uri": "https://op.test/k",
        }))
    };
    let settings = [
        ("GATE_LABEL_STUDIO_URL", "http://localhost:1"),
        ("GATE_SIGN_IN_ISSUER", issuer.as_str()),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
        ("GATE_SIGN_IN_CLIENT_SECRET", "the-secret-of-the-client"),
        ("GATE_SIGN_IN_ALLOW_HTTP", "true"),
    ];
    for (reply, level, what, cure) in [
        (
            Reply::of(404, ""),
            Level::Failure,
            "404",
            ".well-known/openid-configuration",
        ),
        (
            document("https://op.test"),
            Level::Failure,
            "names the issuer \"https://op.test\"",
            "to the last slash",
        ),
        (
            document(&issuer),
            Level::Ok,
            "http://localhost:1/sso/callback",
            "",
        ),
    ] {
        provider.now(move |_| reply.clone());
        let report = over(&database, &settings).await;
        expect(&report, "openid.provider", level, what, cure);
        assert!(!report.to_string().contains("the-secret"), "{report}");
    }
}

/// Settings for method 3.
fn application_at(url: &str) -> [(&str, &str); 3] {
    [
        ("JWT_SSO_SESSION_VERIFY_URL", url),
        (
            "JWT_SSO_SESSION_VERIFY_SECRET",
            "the-secret-of-the-application",
        ),
        ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_host_applications_api_is_named() {
    let database = TestDatabase::new().await;
    let mut redirect = Reply::of(302, "");
    redirect.headers = "Location: https://app.example.com/login?next=1\r\n".to_owned();
    for (reply, what) in [
        (redirect, "it redirects to https://app.example.com/login"),
        (Reply::of(500, ""), "the response status is 500"),
        (Reply::of(200, "<html>"), "not a JSON object"),
    ] {
        let api = Stub::start(move |_| reply.clone());
        let report = over(&database, &application_at(&api.url("/verify"))).await;
        expect(
            &report,
            "application.session",
            Level::Failure,
            what,
            "client_session.verify_url",
        );
        assert!(!report.to_string().contains("next=1"), "{report}");
    }
    for (status, what) in [
        (404, "there is probably nothing at the path"),
        (405, "does not accept GET"),
    ] {
        let api = Stub::start(move |_| Reply::of(status, ""));
        let report = over(&database, &application_at(&api.url("/verify"))).await;
        let (check, cure) = ("application.session", "client_session.verify_url");
        expect(&report, check, Level::Warning, what, cure);
        let names_secret = report.to_string().contains("verify_secret");
        assert!(!names_secret, "{report}");
    }
    // It tells unknown sessions from wrong secrets.
    let api = Stub::start(|head| {
        let is_wrong = head.contains("tries-a-wrong-secret");
        Reply::of(if is_wrong { 403 } else { 404 }, "")
    });
    let report = over(&database, &application_at(&api.url("/verify"))).await;
    expect(
        &report,
        "application.session",
        Level::Ok,
        "refuses a made-up session",
        "",
    );
    let api = Stub::start(|_| Reply::json(&json!({"email": "ann@example.com"})));
    let report = over(&database, &application_at(&api.url("/verify"))).await;
    let what = "accepts a made-up session";
    expect(
        &report,
        "application.session",
        Level::Failure,
        what,
        "check the cookie",
    );
    let report = over(&database, &application_at("http://127.0.0.1:1/verify")).await;
    expect(
        &report,
        "application.session",
        Level::Failure,
        "does not answer",
        "firewall",
    );
}

/// The guide's application answers 401 to both, with different texts.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_verify_secret_is_told_from_the_right_one() {
    let database = TestDatabase::new().await;
    let guide = |secret: &'static str| {
        Stub::start(move |head| {
            let is_right = head
                .to_ascii_lowercase()
                .contains(&format!("x-verify-token: {secret}"));
            match is_right {
                true => Reply::of(401, r#"{"error": "Invalid session"}"#),
                false => Reply::of(401, r#"{"error": "Unauthorized"}"#),
            }
        })
    };
    let right = guide("the-secret-of-the-application");
    let report = over(&database, &application_at(&right.url("/"))).await;
    expect(
        &report,
        "application.secret",
        Level::Ok,
        "accepts client_session.verify_secret",
        "",
    );
    let other = guide("the-secret-of-another-application");
    for (api, level, what) in [
        (other, Level::Warning, "which may be wrong too"),
        (
            Stub::start(|head| {
                let is_wrong = head.contains("tries-a-wrong-secret");
                Reply::of(if is_wrong { 429 } else { 401 }, "")
            }),
            Level::Warning,
            "nothing shows that client_session.verify_secret is right",
        ),
        (
            Stub::start(|_| Reply::of(403, "")),
            Level::Warning,
            "it is probably wrong",
        ),
        (
            Stub::start(|_| Reply::json(&json!({"email": "ann@example.com"}))),
            Level::Failure,
            "to whoever asks with a wrong secret",
        ),
    ] {
        let report = over(&database, &application_at(&api.url("/"))).await;
        expect(&report, "application.secret", level, what, "X-Verify-Token");
        assert_eq!(report.level(), level, "{report}");
    }
}

/// The command's output and exit status.
fn run(database_url: &str, arguments: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String) {
    let all = [&["doctor"], arguments].concat();
    let url = [("DATABASE_URL", database_url)];
    let Output { status, stdout, .. } = gate_with(&all, &[&url, more].concat());
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_tells_failures_from_warnings() {
    let database = TestDatabase::new().await;
    let url = database.gate_url();
    let (status, said) = run(&url, &[], &[]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = run(&url, &[], &[("JWT_SSO_COOKIE_NMAE", "x")]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("WARN  JWT_SSO_COOKIE_NMAE"), "{said}");
    let (status, said) = run("postgres://nobody@127.0.0.1:1/nothing", &[], &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("FAIL  Postgres does not answer"), "{said}");
    for wrong in ["ftp://ls.example.com", "ls.example.com"] {
        assert_eq!(run(&url, &["--url", wrong], &[]).0, Some(64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_read_the_findings_as_json() {
    let database = TestDatabase::new().await;
    let (status, said) = run(
        &database.gate_url(),
        &["--json"],
        &[("JWT_SSO_COOKIE_NMAE", "x")],
    );
    assert_eq!(status, Some(2));
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(report["format"], 1);
    assert_eq!(report["level"], "warning");
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 10, "{said}");
    for finding in findings {
        assert!(
            finding["check"].is_string() && finding["message"].is_string(),
            "{finding}"
        );
        assert!(["ok", "note", "warning", "failure"].contains(&finding["level"].as_str().unwrap()));
        assert!(
            finding["cure"].is_null() || finding["cure"].is_string(),
            "{finding}"
        );
    }
}

/// A login needs an address to go to and a user who exists; nobody is created.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_tried_is_a_failure() {
    let world = World::new(&[]).await;
    let url = world.database.gate_url();
    let (status, said) = run(&url, &["--email", "ann@example.com"], &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("name it with --url"), "{said}");
    assert_eq!(world.database.sessions().await, 0);
}
