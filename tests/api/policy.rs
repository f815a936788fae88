//! Who must be signed in, which paths are open, how often a token is good, and which pages may act.

use futures_util::future::join_all;
use serde_json::json;

use crate::app::{TestApp, TestDatabase};
use crate::support::cluster::CLUSTER;
use crate::support::token::native;
use crate::world::migrate;

struct World {
    database: TestDatabase,
    app: TestApp,
    user: i32,
}

async fn world(settings: &[(&str, &str)]) -> World {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    World {
        app: TestApp::start(&database.gate_url(), settings),
        database,
        user,
    }
}

const REQUIRE: (&str, &str) = ("GATE_POLICY_ANONYMOUS", "require");

#[tokio::test(flavor = "multi_thread")]
async fn where_somebody_must_be_signed_in_nobody_else_passes() {
    for engine in ["db", "signed_cookies"] {
        let World {
            database,
            app,
            user,
        } = world(&[REQUIRE, ("SESSION_ENGINE", engine)]).await;
        let token = format!("ls_auth_token={}", native(user));
        let answer = app.check("/", &token).await;
        assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
        let session = format!("sessionid={}", answer.session().unwrap());
        let answer = app.check("/projects", &session).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_valid"),
            "{engine}"
        );
        assert_eq!(answer.header("X-Gate-Cookie"), None);

        for (what, cookies) in [
            ("nothing", ""),
            ("a made-up session", "sessionid=made-up-0123456789abcdef"),
            ("an empty one", "sessionid="),
        ] {
            let answer = app.check("/projects", cookies).await;
            assert_eq!(
                (answer.status, answer.reason()),
                (401, "sign_in_required"),
                "{what}"
            );
            let challenge = answer.header("WWW-Authenticate").unwrap();
            assert_eq!(challenge, "Bearer realm=\"Label Studio\"");
        }
        let answer = app.check("/", "ls_auth_token=a.b.c").await;
        assert_eq!((answer.status, answer.reason()), (401, "token_malformed"));
        assert!(
            answer
                .header("WWW-Authenticate")
                .unwrap()
                .contains("invalid_token")
        );
        assert!(answer.header("X-Gate-Set-Cookie-2").is_some());
        // A token that has expired does not end a session that is alive.
        let both = format!("{session}; ls_auth_token=a.b.c");
        let answer = app.check("/", &both).await;
        assert_eq!((answer.status, answer.reason()), (200, "token_malformed"));

        // The user's row counts, after some seconds at most.
        let app = TestApp::start(
            &database.gate_url(),
            &[
                REQUIRE,
                ("SESSION_ENGINE", engine),
                ("GATE_DATABASE_CACHE_SECONDS", "0"),
            ],
        );
        assert_eq!(app.check("/", &session).await.status, 200);
        for change in ["is_active = false", "is_active = true, password = '!other'"] {
            database
                .run(&format!("UPDATE htx_user SET {change} WHERE id = {user}"))
                .await;
            let answer = app.check("/", &session).await;
            assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"));
        }
    }
}

/// The gate has one connection here; Postgres tells when its last statement began, and which it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_checked_session_costs_one_round_trip_in_some_seconds() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let settings = [
        REQUIRE,
        ("GATE_DATABASE_CACHE_SECONDS", "1"),
        ("GATE_DATABASE_POOL_SIZE", "1"),
    ];
    let app = TestApp::start(&database.gate_url(), &settings);
    let answer = app
        .check("/", &format!("ls_auth_token={}", native(user)))
        .await;
    let session = format!("sessionid={}", answer.session().unwrap());
    let last = "SELECT query_start FROM pg_stat_activity WHERE usename <> 'postgres' AND datname = current_database()";
    let mut statements = Vec::new();
    for round in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        for _ in 0..20 {
            let answer = app.check("/", &session).await;
            assert_eq!((answer.status, answer.reason()), (200, "session_valid"));
            statements.push((round, database.text(last).await));
        }
    }
    statements.dedup();
    assert_eq!(statements.len(), 3, "one statement a round: {statements:?}");
    let query = "SELECT query FROM pg_stat_activity WHERE usename <> 'postgres' AND datname = current_database()";
    let query = database.text(query).await;
    // Not the user's alone, which would be a second one.
    assert!(query.contains("owner AS ("), "{query}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_label_studios_form_is_as_good_as_one_of_the_gate() {
    let World { database, app, .. } = world(&[REQUIRE]).await;
    // Anonymous visitors have rows too (Label Studio: SetSessionUIDMiddleware).
    let anonymous = "INSERT INTO django_session VALUES ('anonymous0123456', 'e30:1r31eq:JSex4IvqKT2tHiyLFfDtkooZXqivzjEOP-zKMvsVwpI', now() + interval '1 day')";
    database.run(anonymous).await;
    let answer = app.check("/", "sessionid=anonymous0123456").await;
    assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"));
    assert_eq!(database.sessions().await, 1, "it is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_paths_are_open_and_nothing_beside_them() {
    let World { app, user, .. } =
        world(&[REQUIRE, ("GATE_POLICY_OPEN_PATHS", "/health, /static/*")]).await;
    let token = format!("ls_auth_token={}", native(user));
    for (uri, open) in [
        ("/health", true),
        ("/health?x=/y", true),
        ("/static/css/main.css", true),
        ("/projects?/static/", false),
        ("/projects#/static/", false),
        ("/static/../api/users", false),
        ("/static/%2e%2e/api/users", false),
        ("/xstatic/", false),
    ] {
        let answer = app.check(uri, "").await;
        assert_eq!(answer.reason() == "open_path", open, "{uri}");
        assert_eq!(answer.status == 200, open, "{uri}");
    }
    let answer = app.check("/static/x", &token).await;
    assert_eq!(answer.reason(), "open_path");
    assert_eq!(answer.header("X-Gate-Cookie"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_replays_of_a_token_add_one_row() {
    let World {
        database,
        app,
        user,
    } = world(&[]).await;
    let other = TestApp::start(&database.gate_url(), &[]);
    let cookie = format!("ls_auth_token={}", native(user));
    for _ in 0..100 {
        let requests = (0..100).map(|n| match n % 2 {
            0 => app.check("/", &cookie),
            _ => other.check("/", &cookie),
        });
        for answer in join_all(requests).await {
            assert_eq!(answer.status, 200, "{}", answer.reason());
        }
    }
    assert_eq!(database.sessions().await, 1);
}

fn from<'r>(client: &'r str, cookie: &'r str) -> [(&'r str, &'r str); 3] {
    [
        ("X-Original-URI", "/"),
        ("X-Real-IP", client),
        ("Cookie", cookie),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_once_opens_one_session() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    migrate(&database).await;
    let settings = [
        ("GATE_TOKEN_USE", "once"),
        ("GATE_TOKEN_ONCE_WINDOW_SECONDS", "1"),
    ];
    let start = || TestApp::start(&database.gate_url(), &settings);
    let (app, other) = (start(), start());
    let cookie = format!("ls_auth_token={}", native(user));

    // The requests of a page that is loading, through two gates.
    let mine = from("192.0.2.1", &cookie);
    let requests = (0..20).map(|n| match n % 2 {
        0 => app.check_with(&mine),
        _ => other.check_with(&mine),
    });
    let answers = join_all(requests).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    }
    let session = answers[0].session().unwrap().to_owned();
    // Another browser, at the same moment, and the same one later.
    let answer = other.check_with(&from("192.0.2.2", &cookie)).await;
    assert_eq!((answer.status, answer.reason()), (200, "token_used"));
    assert!(answer.session().is_none());
    assert!(
        answer.header("X-Gate-Set-Cookie-2").is_some(),
        "the token is taken away"
    );
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let answer = app.check_with(&mine).await;
    assert_eq!((answer.status, answer.reason()), (200, "token_used"));
    // With the session that it opened it is only cleared.
    let both = format!("{cookie}; sessionid={session}");
    let answer = app.check_with(&from("192.0.2.1", &both)).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_kept"));
    assert_eq!(database.sessions().await, 1);
    let used = "SELECT count(*) FROM label_studio_gate.used_token";
    assert_eq!(database.text(used).await, "1");

    // Nobody knows that two requests without an address come from one browser.
    let unknown = format!("ls_auth_token={}", native(user));
    app.check("/", &unknown).await.expect(200, "session_opened");
    for app in [&app, &other] {
        app.check("/", &unknown).await.expect(200, "token_used");
    }
    database
        .run("DELETE FROM label_studio_gate.used_token WHERE used_at > now() - interval '1 second'")
        .await;

    // What has expired is forgotten with the next use.
    database
        .run("UPDATE label_studio_gate.used_token SET expires_at = now() - interval '1 second'")
        .await;
    let next = format!("ls_auth_token={}", native(user));
    let answer = app.check_with(&from("192.0.2.1", &next)).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    assert_eq!(database.text(used).await, "1");

    // Without the tables nothing is decided.
    let without = TestDatabase::new().await;
    let organization = without.organization().await;
    let user = without.user("worker@example.com", organization).await;
    let app = TestApp::start(&without.gate_url(), &settings);
    let answer = app
        .check("/", &format!("ls_auth_token={}", native(user)))
        .await;
    assert_eq!(
        (answer.status, answer.reason()),
        (503, "database_unavailable")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_sessions_are_deleted_in_batches_by_one_gate_at_a_time() {
    let World { database, .. } = world(&[]).await;
    migrate(&database).await;
    database
        .run(
            "INSERT INTO django_session SELECT 'expired' || n, 'x', now() - interval '1 minute' FROM generate_series(1, 2500) AS n;
             INSERT INTO django_session SELECT 'alive' || n, 'x', now() + interval '1 minute' FROM generate_series(1, 10) AS n;
             INSERT INTO label_studio_gate.used_token VALUES ('a', 'a', now(), now() - interval '1 minute'), ('b', 'b', now(), now() + interval '1 minute')",
        )
        .await;
    let settings = crate::app::settings(&database.gate_url(), &[]);
    let gate = || label_studio_gate::postgres::Postgres::connect(&settings.database).unwrap();
    // Somebody else is at it.
    database
        .run("BEGIN; SELECT pg_advisory_xact_lock(hashtext('label-studio-gate purge'))")
        .await;
    assert_eq!(gate().purge().await, Ok(None));
    assert_eq!(database.sessions().await, 2510);
    database.run("COMMIT").await;
    assert_eq!(gate().purge().await, Ok(Some(2500)));
    assert_eq!(gate().purge().await, Ok(Some(0)));
    assert_eq!(database.sessions().await, 10);
    let used = "SELECT count(*) FROM label_studio_gate.used_token";
    assert_eq!(database.text(used).await, "1");

    // By itself, where that is switched on.
    database
        .run("UPDATE django_session SET expire_date = now() - interval '1 minute'")
        .await;
    let _app = TestApp::start(&database.gate_url(), &[("GATE_PURGE_EVERY_SECONDS", "1")]);
    for _ in 0..50 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if database.sessions().await == 0 {
            return;
        }
    }
    panic!("{} sessions are left", database.sessions().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_all_sessions_of_a_user() {
    let key = "0123456789abcdef0123456789abcdef01234567";
    let authorization = format!("Token {key}");
    for engine in ["db", "signed_cookies"] {
        let World {
            database,
            app,
            user,
        } = world(&[REQUIRE, ("SESSION_ENGINE", engine)]).await;
        let organization = database.text("SELECT min(id) FROM organization").await;
        let organization = organization.parse().unwrap();
        database.admin(organization, key).await;
        let other = database.user("other@example.com", organization).await;
        let open = async |user: i32| {
            let answer = app
                .check("/", &format!("ls_auth_token={}", native(user)))
                .await;
            format!("sessionid={}", answer.session().unwrap())
        };
        let (first, second, others) = (open(user).await, open(user).await, open(other).await);
        let revoke = async |authorization: &str, body: &str| {
            let headers = [("Authorization", authorization)];
            app.browse("POST", "/api/sso/revoke", &headers, body).await
        };
        let body = r#"{"email": "worker@example.com"}"#;
        assert_eq!(revoke("Token wrong", body).await.status, 401);
        assert_eq!(revoke("", body).await.status, 401);
        assert_eq!(revoke(&authorization, "{}").await.status, 400);
        assert_eq!(
            revoke(&authorization, r#"{"email": "x@y.z"}"#).await.status,
            422
        );
        assert_eq!(
            app.browse("GET", "/api/sso/revoke", &[], "").await.status,
            405
        );
        assert_eq!(app.check("/", &first).await.status, 200);

        if engine == "signed_cookies" {
            // The role has to be allowed to, and then only a password that nobody can use is changed.
            assert_eq!(revoke(&authorization, body).await.status, 503);
            CLUSTER.grant_with(&database.name, "revoke=on");
        }
        let answer = revoke(&authorization, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let sessions = if engine == "db" {
            json!(2)
        } else {
            json!(null)
        };
        assert_eq!(answer.json()["sessions"], sessions, "{engine}");
        for session in [&first, &second] {
            assert_eq!(
                app.check("/", session).await.status,
                401,
                "{engine}: ended at once"
            );
        }
        assert_eq!(app.check("/", &others).await.status, 200, "{engine}");

        if engine == "signed_cookies" {
            database
                .run(&format!(
                    "UPDATE htx_user SET password = 'pbkdf2_sha256$1$a$b' WHERE id = {user}"
                ))
                .await;
            let answer = revoke(&authorization, body).await;
            assert_eq!(answer.status, 409);
            assert_eq!(answer.json()["error_code"], "USER_HAS_PASSWORD");
            let password = format!("SELECT password FROM htx_user WHERE id = {user}");
            assert_eq!(database.text(&password).await, "pbkdf2_sha256$1$a$b");
        }
    }
}
