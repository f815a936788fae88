//! Method 3, with a client API that answers well, slowly, wrongly or not at all.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::app::{Answer, TestApp, TestDatabase};
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;

const SECRET: &str = "verify-secret-of-the-tests";

/// Who is signed in under which cookie.
fn application(head: &str) -> Reply {
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("cookie: "))
        .unwrap_or_default();
    if !head.contains(&format!("x-verify-token: {SECRET}")) {
        return Reply::of(401, r#"{"error": "Unauthorized"}"#);
    }
    match cookie.split_once('=') {
        Some((_, "of-ann")) => {
            Reply::json(&json!({"email": "ann@example.com", "first_name": "Ann", "id": 7}))
        }
        Some((_, "of-bob")) => Reply::json(&json!({"email": "bob@example.com"})),
        Some((_, "of-nobody")) => Reply::of(403, ""),
        _ => Reply::of(401, ""),
    }
}

fn start(database: &TestDatabase, api: &Stub, more: &[(&str, &str)]) -> TestApp {
    let url = api.url("/api/auth/verify-session");
    let mut settings = vec![
        ("JWT_SSO_SESSION_VERIFY_URL", url.as_str()),
        ("JWT_SSO_SESSION_VERIFY_SECRET", SECRET),
        ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
    ];
    for (name, value) in more {
        settings.retain(|(known, _)| known != name);
        settings.push((name, value));
    }
    TestApp::start(&database.gate_url(), &settings)
}

async fn database() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.organization().await;
    database
}

fn email(answer: &Answer) -> &str {
    answer.header("X-Gate-Email").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_session_logs_in_creates_and_switches_users() {
    let database = database().await;
    let api = Stub::start(application);
    let app = start(&database, &api, &[]);
    let answer = app.check("/", "connect.sid=of-ann").await;
    assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    assert_eq!(answer.header("X-Gate-Method"), Some("session"));
    assert_eq!(email(&answer), "ann@example.com");
    let session = answer.session().unwrap().to_owned();
    assert_eq!(
        answer.header("X-Gate-Cookie"),
        Some(format!("connect.sid=of-ann; sessionid={session}").as_str())
    );
    assert_eq!(answer.header("X-Gate-Set-Cookie-2"), None);
    let head = &api.heads()[0];
    assert!(head.starts_with("GET /api/auth/verify-session "), "{head}");
    assert!(!head.contains("sessionid"), "{head}");

    // The next requests find the session, and cost neither a question nor a row.
    for _ in 0..10 {
        let both = format!("connect.sid=of-ann; sessionid={session}");
        let answer = app.check("/", &both).await;
        assert_eq!((answer.status, answer.reason()), (200, "session_kept"));
        assert_eq!(answer.header("X-Gate-Cookie"), None);
    }
    assert_eq!((api.asked(), database.sessions().await), (1, 1));

    // Somebody else signs in to the application.
    let both = format!("connect.sid=of-bob; sessionid={session}");
    let answer = app.check("/", &both).await;
    assert_eq!((answer.status, answer.reason()), (200, "user_switched"));
    assert_eq!(email(&answer), "bob@example.com");
    assert_eq!(database.sessions().await, 1, "Ann's session has ended");

    // Nobody is signed in: the request goes on as it came.
    for cookie in ["of-nobody", "made-up", "with%20space"] {
        let answer = app.check("/", &format!("connect.sid={cookie}")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "client_session_unknown")
        );
        assert_eq!(answer.header("X-Gate-Cookie"), None);
    }
    assert_eq!(app.check("/", "x=y").await.reason(), "no_token");
    assert_eq!(app.check("/", "connect.sid=").await.reason(), "no_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_before_the_clients_session() {
    let database = database().await;
    let organization = database.text("SELECT min(id) FROM organization").await;
    let user = database
        .user("token@example.com", organization.parse().unwrap())
        .await;
    let api = Stub::start(application);
    let app = start(&database, &api, &[]);
    let cookies = format!("connect.sid=of-ann; ls_auth_token={}", native(user));
    let answer = app.check("/", &cookies).await;
    assert_eq!(email(&answer), "token@example.com");
    assert_eq!(api.asked(), 0);
    // A token that isn't acceptable is taken away, and the session counts.
    let answer = app
        .check("/", "connect.sid=of-ann; ls_auth_token=a.b.c")
        .await;
    assert_eq!(email(&answer), "ann@example.com");
    assert!(answer.header("X-Gate-Set-Cookie-2").is_some());
    assert!(!answer.header("X-Gate-Cookie").unwrap().contains("a.b.c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_is_asked_for_a_session_however_many_requests_there_are() {
    let database = database().await;
    let api = Stub::start(|head| application(head).after(Duration::from_millis(200)));
    let app = start(&database, &api, &[]);
    let requests = (0..50).map(|_| app.check("/", "connect.sid=of-ann"));
    for answer in join_all(requests).await {
        assert_eq!(email(&answer), "ann@example.com", "{}", answer.reason());
    }
    assert_eq!(api.asked(), 1);
    assert_eq!(database.sessions().await, 1);
    // "No" is remembered too, for a short while.
    let requests = (0..20).map(|_| app.check("/", "connect.sid=made-up"));
    join_all(requests).await;
    assert_eq!(api.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_can_be_switched_off_and_answers_grow_old() {
    let database = database().await;
    let api = Stub::start(application);
    let app = start(&database, &api, &[("JWT_SSO_SESSION_CACHE_TTL", "0")]);
    for _ in 0..3 {
        app.check("/", "connect.sid=of-ann").await;
    }
    assert_eq!(api.asked(), 3);
    let app = start(&database, &api, &[("JWT_SSO_SESSION_CACHE_TTL", "1")]);
    app.check("/", "connect.sid=of-ann").await;
    app.check("/", "connect.sid=of-ann").await;
    assert_eq!(api.asked(), 4);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    // Signed out meanwhile.
    api.now(|_| Reply::of(401, ""));
    let answer = app.check("/", "connect.sid=of-ann").await;
    assert_eq!(answer.reason(), "client_session_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_lies_logs_nobody_in() {
    let database = database().await;
    for (what, reply, status, reason) in [
        (
            "HTML",
            Reply::of(200, "<html>sign in</html>"),
            503,
            "client_api_unavailable",
        ),
        (
            "a list",
            Reply::json(&json!(["ann@example.com"])),
            503,
            "client_api_unavailable",
        ),
        (
            "a text",
            Reply::json(&json!("ann@example.com")),
            503,
            "client_api_unavailable",
        ),
        ("nothing", Reply::of(200, ""), 503, "client_api_unavailable"),
        (
            "10 MB",
            Reply::of(200, "x".repeat(10_000_000)),
            503,
            "client_api_unavailable",
        ),
        (
            "an error",
            Reply::of(500, ""),
            503,
            "client_api_unavailable",
        ),
        (
            "a redirect",
            Reply::of(302, ""),
            503,
            "client_api_unavailable",
        ),
        (
            "no content",
            Reply::of(204, ""),
            503,
            "client_api_unavailable",
        ),
        (
            "no address",
            Reply::json(&json!({"id": 7})),
            200,
            "token_claim_missing",
        ),
        (
            "an address of a wrong type",
            Reply::json(&json!({"email": 7})),
            200,
            "token_claim_invalid",
        ),
        (
            "an address of several",
            Reply::json(&json!({"email": ["a@b.c"]})),
            200,
            "token_claim_invalid",
        ),
        (
            "no address but a text",
            Reply::json(&json!({"email": "ann"})),
            200,
            "token_claim_invalid",
        ),
        (
            "a name of a wrong type",
            Reply::json(&json!({"email": "ann@example.com", "first_name": {}})),
            200,
            "token_claim_invalid",
        ),
    ] {
        let api = Stub::start(move |_| reply.clone());
        let app = start(&database, &api, &[]);
        let answer = app.check("/", "connect.sid=of-ann").await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{what}");
        assert!(answer.session().is_none(), "{what}");
    }
    assert_eq!(database.text("SELECT count(*) FROM htx_user").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_takes_nobody_down_who_is_logged_in() {
    let database = database().await;
    let api = Stub::start(application);
    let app = start(
        &database,
        &api,
        &[
            ("JWT_SSO_SESSION_CACHE_TTL", "0"),
            ("JWT_SSO_SESSION_VERIFY_TIMEOUT", "1"),
        ],
    );
    let answer = app.check("/", "connect.sid=of-ann").await;
    let session = answer.session().unwrap().to_owned();
    let anonymous = "INSERT INTO django_session VALUES ('anonymous0123456', 'e30:1r31eq:JSex4IvqKT2tHiyLFfDtkooZXqivzjEOP-zKMvsVwpI', now() + interval '1 day')";
    database.run(anonymous).await;

    api.now(|head| application(head).after(Duration::from_secs(3)));
    let kept = format!("connect.sid=of-ann; sessionid={session}");
    for _ in 0..5 {
        let answer = app.check("/", &kept).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_kept_unasked")
        );
        assert_eq!(answer.header("X-Gate-Cookie"), None);
    }
    // The breaker is open by now: nobody waits any more.
    let asked = api.asked();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(app.check("/", &kept).await.reason(), "session_kept_unasked");
        for cookies in [
            "connect.sid=of-bob",
            "connect.sid=of-bob; sessionid=anonymous0123456",
            "connect.sid=of-bob; sessionid=made-up-0123456789",
        ] {
            let answer = app.check("/", cookies).await;
            assert_eq!(
                (answer.status, answer.reason()),
                (503, "client_api_unavailable"),
                "{cookies}"
            );
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(api.asked(), asked);
    assert_eq!(app.check("/", "x=y").await.reason(), "no_token");

    // Back again, and noticed after the pause.
    api.now(application);
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    let answer = app.check("/", &kept).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_kept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_one_name_are_told_apart() {
    let database = database().await;
    for engine in ["db", "signed_cookies"] {
        let api = Stub::start(application);
        let app = start(
            &database,
            &api,
            &[
                ("JWT_SSO_SESSION_COOKIE_NAME", "sessionid"),
                ("SESSION_COOKIE_PATH", "/label-studio"),
                ("SESSION_ENGINE", engine),
            ],
        );
        let answer = app.check("/", "a=b; sessionid=of-ann").await;
        assert_eq!(email(&answer), "ann@example.com", "{engine}");
        let session = answer.session().unwrap().to_owned();
        // Label Studio is shown its own alone.
        let shown = format!("a=b; sessionid={session}");
        assert_eq!(answer.header("X-Gate-Cookie"), Some(shown.as_str()));
        assert!(
            answer
                .header("X-Gate-Set-Cookie-1")
                .unwrap()
                .contains("Path=/label-studio")
        );
        // In either order.
        for cookies in [
            format!("sessionid={session}; a=b; sessionid=of-ann"),
            format!("sessionid=of-ann; a=b; sessionid={session}"),
        ] {
            let answer = app.check("/", &cookies).await;
            assert_eq!(
                (answer.status, answer.reason()),
                (200, "session_kept"),
                "{engine}: {cookies}"
            );
            assert_eq!(answer.header("X-Gate-Cookie"), Some(shown.as_str()));
        }
        // Signed out of the application, still in Label Studio.
        let answer = app
            .check("/", &format!("sessionid=made-up; sessionid={session}; a=b"))
            .await;
        assert_eq!(answer.reason(), "client_session_unknown");
        assert_eq!(
            answer.header("X-Gate-Cookie"),
            Some(format!("a=b; sessionid={session}").as_str())
        );
        let answer = app.check("/", &format!("sessionid={session}")).await;
        assert_eq!(answer.reason(), "no_token");
        // The application never learns of Label Studio's sessions.
        assert!(
            api.heads().iter().all(|head| !head.contains(&session)),
            "{engine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_cookies_do_not_shut_others_out() {
    let database = database().await;
    for (reply, status, reason) in [
        (Reply::of(400, ""), 200, "client_session_unknown"),
        (Reply::of(404, "<html>"), 200, "client_session_unknown"),
        (Reply::of(413, ""), 200, "client_session_unknown"),
        (Reply::of(422, "{}"), 200, "client_session_unknown"),
        (Reply::of(431, ""), 200, "client_session_unknown"),
        (Reply::of(204, ""), 503, "client_api_unavailable"),
        (Reply::of(302, ""), 503, "client_api_unavailable"),
        (Reply::of(200, "<html>"), 503, "client_api_unavailable"),
        (
            Reply::of(200, "x".repeat(10_000_000)),
            503,
            "client_api_unavailable",
        ),
    ] {
        let what = format!("{} of {} bytes", reply.status, reply.body.len());
        let api = Stub::start(move |head| match application(head) {
            made_up if made_up.status == 401 => reply.clone(),
            known => known,
        });
        let app = start(&database, &api, &[]);
        for n in 0..12 {
            let answer = app.check("/", &format!("connect.sid=made-up-{n}")).await;
            assert_eq!((answer.status, answer.reason()), (status, reason), "{what}");
        }
        let answer = app.check("/", "connect.sid=of-ann").await;
        assert_eq!(email(&answer), "ann@example.com", "{what}");
        assert_eq!(api.asked(), 13, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_says_it_cannot_answer_is_left_alone() {
    let database = database().await;
    for status in [408, 429, 500, 502, 503, 504] {
        let api = Stub::start(move |_| Reply::of(status, ""));
        let app = start(&database, &api, &[]);
        for n in 0..8 {
            let answer = app.check("/", &format!("connect.sid=n{n}")).await;
            assert_eq!(answer.reason(), "client_api_unavailable", "{status}");
        }
        assert_eq!(api.asked(), 5, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_longer_than_4_kb_is_not_sent() {
    let database = database().await;
    let api = Stub::start(application);
    let app = start(&database, &api, &[]);
    let cookies = format!("connect.sid={}", "x".repeat(4097));
    let answer = app.check("/", &cookies).await;
    assert_eq!(
        (answer.status, answer.reason()),
        (200, "client_session_unknown")
    );
    assert_eq!(api.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_counts_where_its_field_is_configured() {
    let database = database().await;
    let organization = database.text("SELECT min(id) FROM organization").await;
    for (email, change) in [
        ("admin@corp.test", "username = 'admin', is_superuser = true"),
        ("ann@corp.test", "username = 'ann'"),
    ] {
        let id = database.user(email, organization.parse().unwrap()).await;
        let update = format!("UPDATE htx_user SET {change} WHERE id = {id}");
        database.run(&update).await;
    }
    let api = Stub::start(|head| {
        let name = if head.contains("of-ann") {
            "ann"
        } else {
            "admin"
        };
        Reply::json(&json!({"username": name}))
    });
    let field = "JWT_SSO_SESSION_USERNAME_FIELD";
    for (setting, cookie, status, reason) in [
        ("username", "of-ann", 200, "session_opened"),
        ("username", "of-admin", 403, "user_privileged"),
        ("login", "of-ann", 200, "token_claim_missing"),
        ("login", "of-admin", 200, "token_claim_missing"),
    ] {
        let app = start(&database, &api, &[(field, setting)]);
        let answer = app.check("/", &format!("connect.sid={cookie}")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, reason),
            "{cookie}"
        );
        assert_eq!(answer.session().is_some(), reason == "session_opened");
    }
}
