//! Who must be signed in, which paths are open, how often a token is good, and which pages may act.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::support::cluster::CLUSTER;
use crate::support::token::{SECRET_KEY, claims, now, sign, with};
use crate::world::{NO_CACHE, REQUIRE, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn only_users_pass_where_sign_in_is_required() {
    for engine in ["db", "signed_cookies"] {
        let settings = [REQUIRE, ("SESSION_ENGINE", engine)];
        let world = World::new(&settings).await;
        let browser = world.signed_in(&world.ann).await;
        let answer = browser.get("/projects").await;
        answer
            .expect(200, "session_valid")
            .expect_header("X-Gate-Cookie", None);

        for cookies in ["", "sessionid=made-up-0123456789abcdef", "sessionid="] {
            let answer = world.app.check("/projects", cookies).await;
            answer
                .expect(401, "sign_in_required")
                .expect_header("WWW-Authenticate", Some("Bearer realm=\"Label Studio\""));
        }
        let rubbish = world.browser().with_token("a.b.c").get("/").await;
        rubbish.expect(401, "token_malformed");
        let challenge = rubbish.header("WWW-Authenticate").unwrap();
        assert!(challenge.contains("invalid_token"), "{challenge}");
        assert!(rubbish.header("X-Gate-Set-Cookie-2").is_some());
        // An unacceptable token does not end a session that is alive.
        let browser = browser.with_token("a.b.c");
        browser.get("/").await.expect(200, "token_malformed");

        // A change of the user's row takes effect, at the latest when the cached row expires.
        let uncached = world.gate(&[REQUIRE, ("SESSION_ENGINE", engine), NO_CACHE]);
        let browser = browser.before(&uncached);
        browser.get("/").await.expect_status(200);
        for change in ["is_active = false", "is_active = true, password = '!other'"] {
            world.update(&world.ann, change).await;
            browser.get("/").await.expect(401, "sign_in_required");
        }
    }
}

/// The gate has a single connection here; Postgres shows when its last statement began, and its
/// text.
#[tokio::test(flavor = "multi_thread")]
async fn checking_a_session_costs_one_round_trip_per_cache_lifetime() {
    let world = World::new(&[
        REQUIRE,
        ("GATE_DATABASE_CACHE_SECONDS", "1"),
        ("GATE_DATABASE_POOL_SIZE", "1"),
    ])
    .await;
    let browser = world.signed_in(&world.ann).await;
    let last = "SELECT query_start FROM pg_stat_activity WHERE usename <> 'postgres' AND datname = current_database()";
    for _ in 0..3 {
        let before = world.database.text(last).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let begun = Instant::now();
        let mut statements = Vec::new();
        for _ in 0..20 {
            browser.get("/").await.expect(200, "session_valid");
            statements.push(world.database.text(last).await);
        }
        statements.dedup();
        assert_ne!(statements[0], before, "the session was read again");
        // On a busy machine the requests of a round last longer than a cached session.
        let most = 1 + begun.elapsed().as_secs();
        assert!(statements.len() as u64 <= most, "{statements:?}");
    }
    let query = "SELECT query FROM pg_stat_activity WHERE usename <> 'postgres' AND datname = current_database()";
    let query = world.database.text(query).await;
    // The statement reads session and owner together; reading the user alone would be a second one.
    assert!(query.contains("owner AS ("), "{query}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_session_of_label_studio_signs_nobody_in() {
    let world = World::new(&[REQUIRE]).await;
    // Label Studio creates rows for anonymous visitors too (SetSessionUIDMiddleware).
    world.database.run(crate::app::ANONYMOUS_SESSION).await;
    let browser = world.browser().with_cookie("sessionid", "anonymous0123456");
    browser.get("/").await.expect(401, "sign_in_required");
    assert_eq!(world.sessions().await, 1, "the row is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_open_paths_skip_the_check() {
    let open_paths = ("GATE_POLICY_OPEN_PATHS", "/health, /static/*");
    let world = World::new(&[REQUIRE, open_paths]).await;
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
        let answer = world.app.check(uri, "").await;
        assert_eq!(answer.reason() == "open_path", open, "{uri}");
        assert_eq!(answer.status == 200, open, "{uri}");
    }
    let browser = world.browser().with_token(&world.ann.token());
    let answer = browser.get("/static/x").await;
    answer
        .expect_reason("open_path")
        .expect_header("X-Gate-Cookie", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_replays_of_a_token_add_one_row() {
    let world = World::new(&[]).await;
    let other = world.gate(&[]);
    let token = world.ann.token();
    for _ in 0..100 {
        let requests = (0..100).map(async |n| {
            let app = if n % 2 == 0 { &world.app } else { &other };
            Browser::of(app).with_token(&token).get("/").await
        });
        for answer in join_all(requests).await {
            answer.expect_status(200);
        }
    }
    assert_eq!(world.sessions().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_once_opens_one_session() {
    let settings = [
        ("GATE_TOKEN_USE", "once"),
        ("GATE_TOKEN_ONCE_WINDOW_SECONDS", "300"),
    ];
    let world = World::with_own_tables(&settings).await;
    let other = world.gate(&settings);
    let at = async |app: &TestApp, address: &str, token: &str| {
        let browser = Browser::of(app).with_token(token);
        browser.with_header("X-Real-IP", address).get("/").await
    };
    let token = world.ann.token();

    // A page's parallel requests, through two gates.
    let answers = join_all((0..20).map(async |n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        at(app, "192.0.2.1", &token).await
    }))
    .await;
    for answer in &answers {
        answer.expect(200, "session_opened");
    }
    let session = answers[0].session().unwrap();
    // Another browser at the same moment, and the same browser later.
    let answer = at(&other, "192.0.2.2", &token).await;
    answer.expect(200, "token_used").expect_no_session();
    assert!(
        answer.header("X-Gate-Set-Cookie-2").is_some(),
        "the used token is deleted"
    );
    world
        .database
        .run("UPDATE label_studio_gate.used_token SET used_at = used_at - interval '301 seconds'")
        .await;
    let answer = at(&world.app, "192.0.2.1", &token).await;
    answer.expect(200, "token_used");
    // Along with the session that it opened, the token is merely deleted.
    let browser = world
        .browser()
        .with_cookie("sessionid", session)
        .with_token(&token)
        .with_header("X-Real-IP", "192.0.2.1");
    browser.get("/").await.expect(200, "session_kept");
    assert_eq!(world.sessions().await, 1);
    let used = "SELECT count(*) FROM label_studio_gate.used_token";
    assert_eq!(world.database.text(used).await, "1");

    // Nobody knows that two requests without an address come from one browser.
    let unknown = world.ann.token();
    let browser = |app| Browser::of(app).with_token(&unknown);
    let first = browser(&world.app).get("/").await;
    first.expect(200, "session_opened");
    for app in [&world.app, &other] {
        browser(app).get("/").await.expect(200, "token_used");
    }
    world
        .database
        .run("DELETE FROM label_studio_gate.used_token WHERE used_at > now() - interval '300 seconds'")
        .await;

    // The next use forgets tokens that have expired.
    world
        .database
        .run("UPDATE label_studio_gate.used_token SET expires_at = now() - interval '1 second'")
        .await;
    let answer = at(&world.app, "192.0.2.1", &world.ann.token()).await;
    answer.expect(200, "session_opened");
    assert_eq!(world.database.text(used).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_once_is_remembered_as_long_as_it_may_be_accepted() {
    let world = World::with_own_tables(&[
        ("GATE_TOKEN_USE", "once"),
        ("GATE_TOKEN_ONCE_WINDOW_SECONDS", "1"),
        ("GATE_NATIVE_LEEWAY_SECONDS", "300"),
    ])
    .await;
    let at = async |address: &str, token: &str| {
        let browser = world.browser().with_token(token);
        browser.with_header("X-Real-IP", address).get("/").await
    };
    let expired = json!({"exp": now() - 20, "iat": now() - 100});
    let expired = with(claims(world.ann.id), &expired);
    let token = sign(Algorithm::HS256, SECRET_KEY, &expired);
    at("192.0.2.1", &token).await.expect(200, "session_opened");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    // Another login deletes what is out of date.
    let another = world.bob.token();
    at("192.0.2.2", &another)
        .await
        .expect(200, "session_opened");
    at("192.0.2.3", &token).await.expect(200, "token_used");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gates_own_tables_no_token_is_taken_for_unused() {
    let world = World::new(&[("GATE_TOKEN_USE", "once")]).await;
    let browser = world.browser().with_token(&world.ann.token());
    browser.get("/").await.expect(503, "database_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_sessions_are_deleted_in_batches_by_one_gate_at_a_time() {
    let world = World::with_own_tables(&[]).await;
    let database = &world.database;
    database
        .run(
            "INSERT INTO django_session SELECT 'expired' || n, 'x', now() - interval '1 minute' FROM generate_series(1, 2500) AS n;
             INSERT INTO django_session SELECT 'alive' || n, 'x', now() + interval '1 minute' FROM generate_series(1, 10) AS n;
             INSERT INTO label_studio_gate.used_token VALUES ('a', 'a', now(), now() - interval '1 minute'), ('b', 'b', now(), now() + interval '1 minute');
             INSERT INTO label_studio_gate.used_token SELECT decode(md5(n::text), 'hex'), 'a', now(), now() - interval '1 minute' FROM generate_series(1, 1500) AS n;
             INSERT INTO label_studio_gate.ended_session SELECT decode(md5(n::text), 'hex'), now(), now() - interval '1 minute' FROM generate_series(1, 1000) AS n",
        )
        .await;
    let settings = crate::app::settings(&database.gate_url(), &[]);
    let gate = || label_studio_gate::postgres::Postgres::connect(&settings.database).unwrap();
    // Another gate is purging.
    database
        .run("BEGIN; SELECT pg_advisory_xact_lock(hashtext('label-studio-gate purge'))")
        .await;
    assert_eq!(gate().purge().await, Ok(None));
    assert_eq!(world.sessions().await, 2510);
    database.run("COMMIT").await;
    assert_eq!(gate().purge().await, Ok(Some(2500)));
    assert_eq!(gate().purge().await, Ok(Some(0)));
    assert_eq!(world.sessions().await, 10);
    let used = "SELECT count(*) FROM label_studio_gate.used_token";
    assert_eq!(database.text(used).await, "1");
    let ended = "SELECT count(*) FROM label_studio_gate.ended_session";
    assert_eq!(database.text(ended).await, "0");

    // The service purges by itself if that is switched on.
    database
        .run("UPDATE django_session SET expire_date = now() - interval '1 minute'")
        .await;
    let _purging = world.gate(&[("GATE_PURGE_EVERY_SECONDS", "1")]);
    eventually("no session is left", async || world.sessions().await == 0).await;
}

/// Two sessions of Ann and one of Bob; what the revocation of Ann's was answered.
async fn revoke_one_of_two_users(world: &World) -> Answer {
    let ann = [
        world.signed_in(&world.ann).await,
        world.signed_in(&world.ann).await,
    ];
    let bob = world.signed_in(&world.bob).await;
    let answer = world.superuser.revoke(&world.ann).await;
    let ended = if answer.status == 200 { 401 } else { 200 };
    for browser in ann {
        browser.get("/").await.expect_status(ended);
    }
    bob.get("/").await.expect_status(200);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_well_formed_request_of_an_administrator_revokes() {
    for engine in ["db", "signed_cookies"] {
        let world = World::new(&[REQUIRE, ("SESSION_ENGINE", engine)]).await;
        let browser = world.signed_in(&world.ann).await;
        let administrator = world.superuser.authorization();
        let body = r#"{"email": "ann@example.com"}"#;
        for (authorization, body, status) in [
            ("Token wrong", body, 401),
            ("", body, 401),
            (&administrator, "{}", 400),
            (&administrator, r#"{"email": "x@y.z"}"#, 422),
        ] {
            let caller = world.caller(authorization);
            let answer = caller.post("/api/sso/revoke", body).await;
            answer.expect_status(status);
        }
        let get = world.app.get("/api/sso/revoke").await;
        get.expect_status(405);
        browser.get("/").await.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_all_sessions_of_a_user() {
    let world = World::new(&[REQUIRE]).await;
    let answer = revoke_one_of_two_users(&world).await;
    answer.expect_status(200);
    assert_eq!(answer.json()["sessions"], json!(2));
}

/// Without the gate's own tables, a changed password is what ends sessions in signed cookies.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_signed_cookies_by_an_unusable_password() {
    let world = World::new(&[REQUIRE, crate::world::SIGNED_COOKIES]).await;
    let forbidden = revoke_one_of_two_users(&world).await;
    forbidden.expect_status(503);
    CLUSTER.grant_with(&world.database.name, "revoke=on");
    let answer = revoke_one_of_two_users(&world).await;
    answer.expect_status(200);
    assert_eq!(answer.json()["sessions"], json!(null));

    // A password that somebody can use is never changed.
    world
        .update(&world.ann, "password = 'pbkdf2_sha256$1$a$b'")
        .await;
    let answer = world.superuser.revoke(&world.ann).await;
    answer.expect_status(409);
    assert_eq!(answer.json()["error_code"], "USER_HAS_PASSWORD");
    let password = "SELECT password FROM htx_user WHERE email = 'ann@example.com'";
    assert_eq!(world.database.text(password).await, "pbkdf2_sha256$1$a$b");
}
