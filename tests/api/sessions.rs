//! What a login leaves in the database.

use futures_util::future::join_all;

use crate::actors::Browser;
use crate::app::{Answer, TestApp, TestDatabase};
use crate::metrics::Samples;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;
use crate::support::wait_until;
use crate::world::{NO_CACHE, World};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_over_two_gates_end_in_one_session() {
    let world = World::new(&[]).await;
    let other = world.gate(&[]);
    let token = world.ann.token();
    let answers = join_all((0..50).map(async |n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        Browser::of(app).with_token(&token).get("/").await
    }))
    .await;
    for answer in &answers {
        answer.expect_user(&world.ann);
        assert!(answer.session().is_some(), "{answer:?}");
        assert_eq!(answer.session(), answers[0].session());
    }
    assert_eq!(world.sessions().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_replays_add_no_row_and_write_nothing() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    let replay = async |_| world.browser().with_token(&token).get("/").await;
    replay(0).await;
    let state = format!(
        "SELECT xmin::text || ctid::text FROM htx_user WHERE id = {}",
        world.ann.id
    );
    let before = world.database.text(&state).await;
    for _ in 0..20 {
        join_all((0..50).map(replay)).await;
    }
    assert_eq!(world.sessions().await, 1);
    assert_eq!(world.database.text(&state).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_is_kept_and_an_unknown_one_replaced() {
    let world = World::new(&[]).await;
    let browser = world.signed_in(&world.ann).await;
    let browser = browser.with_token(&world.ann.token());
    let again = browser.get("/").await;
    again.expect_reason("session_kept").expect_no_session();
    assert!(again.header("X-Gate-Set-Cookie-2").is_some());
    assert_eq!(world.sessions().await, 1);

    let unknown = world
        .browser()
        .with_cookie("sessionid", "nobody-knows-me")
        .with_token(&world.ann.token());
    unknown.get("/").await.expect_reason("session_opened");
    assert_eq!(world.sessions().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_users_deletes_the_other_users_session_and_no_other() {
    let world = World::new(&[]).await;
    let bystander = world.signed_in(&world.ann).await;
    let browser = world.signed_in(&world.ann).await;
    let browser = browser.with_token(&world.bob.token());
    let switched = browser.get("/").await;
    switched
        .expect_reason("user_switched")
        .expect_user(&world.bob);
    let rows = world
        .database
        .owner
        .query("SELECT session_key FROM django_session", &[])
        .await
        .unwrap();
    let mut left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    left.sort();
    let mut expected = [bystander.session().unwrap(), browser.session().unwrap()];
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_never_lives_again_whatever_is_replayed() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    let mut former = Vec::new();
    for end in [
        "UPDATE django_session SET expire_date = now() - interval '1 second'",
        "DELETE FROM django_session",
    ] {
        let replay = async |_| world.browser().with_token(&token).get("/").await;
        let answer = replay(0).await;
        answer.expect_reason("session_opened");
        former.push(answer.session().unwrap().to_owned());
        world.database.run(end).await;
        let answers = join_all((0..20).map(replay)).await;
        let mut keys: Vec<_> = answers
            .iter()
            .map(|answer| answer.session().unwrap())
            .collect();
        keys.dedup();
        assert_eq!(keys.len(), 1, "all of them get the same session: {end}");
        assert!(!former.iter().any(|key| key == keys[0]), "{end}");
        let alive =
            "SELECT count(*) FROM django_session WHERE expire_date > now() + interval '7 days'";
        assert_eq!(world.database.text(alive).await, "1", "{end}");
        world.database.run("DELETE FROM django_session").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_makes_another_session() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    let browser = world.browser().with_token(&token);
    browser.get("/").await;
    let before = browser.session().unwrap();
    world.update(&world.ann, "password = '!changed'").await;
    let answer = browser.with_token(&token).get("/").await;
    answer.expect_reason("session_opened");
    assert_ne!(answer.session().unwrap(), before);
    let left = world.sessions().await;
    assert_eq!(left, 1, "the session under the old password is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_policy_decides_how_old_a_kept_session_may_be() {
    let world = World::new(&[NO_CACHE]).await;
    let organization = world.organization;
    world
        .database
        .run(&format!("INSERT INTO session_policy_sessiontimeoutpolicy VALUES ({organization}, 0, 0, now(), now())"))
        .await;
    let browser = world.signed_in(&world.ann).await;
    // Label Studio would end the browser's session.
    let browser = browser.with_token(&world.ann.token());
    browser.get("/").await.expect_reason("session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_cookies_leave_no_row_and_record_the_login() {
    let engine = "django.contrib.sessions.backends.signed_cookies";
    let world = World::new(&[("SESSION_ENGINE", engine)]).await;
    let ann = &world.ann;
    let browser = world.signed_in(ann).await;
    assert_eq!(world.sessions().await, 0);
    let login = "SELECT last_login IS NOT NULL FROM htx_user WHERE id =";
    let login = world.database.text(&format!("{login} {}", ann.id)).await;
    assert_eq!(login, "t");
    let with_token_of = |user: &crate::world::User| {
        let session = browser.session().unwrap();
        let same_session = world.browser().with_cookie("sessionid", &session);
        same_session.with_token(&user.token())
    };
    for (user, reason) in [(ann, "session_kept"), (&world.bob, "user_switched")] {
        let answer = with_token_of(user).get("/").await;
        answer.expect_reason(reason);
    }

    let state = format!("SELECT xmin::text FROM htx_user WHERE id = {}", ann.id);
    let before = world.database.text(&state).await;
    let token = ann.token();
    join_all((0..50).map(async |_| world.browser().with_token(&token).get("/").await)).await;
    assert_eq!(
        world.database.text(&state).await,
        before,
        "a login is recorded again only after ten seconds"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_login_whose_session_is_a_row_waits_for_the_disk() {
    for (engine, expected) in [("db", "on"), ("signed_cookies", "off")] {
        let world = World::new(&[("SESSION_ENGINE", engine)]).await;
        let database = &world.database;
        // A deferred trigger runs when its transaction commits.
        database
            .run(
                "CREATE TABLE commits (how text);
                 CREATE FUNCTION note() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
                     BEGIN
                         INSERT INTO commits VALUES (current_setting('synchronous_commit'));
                         RETURN NULL;
                     END $$;
                 CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON htx_user
                     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()",
            )
            .await;
        world.signed_in(&world.ann).await;
        let how = database
            .text("SELECT string_agg(how, ' ') FROM commits")
            .await;
        assert_eq!(how, expected, "{engine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crossing_switches_do_not_deadlock() {
    let world = World::new(&[]).await;
    let (ann, bob) = (world.ann.token(), world.bob.token());
    let session = async |token: &str| {
        let browser = world.browser().with_token(token);
        browser.get("/").await;
        browser.session().unwrap()
    };
    // Gives two switches time to meet, before and after one of them locks the row that it deletes.
    world
        .database
        .run(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN OLD; END';
             CREATE TRIGGER slow_statement BEFORE DELETE ON django_session FOR EACH STATEMENT EXECUTE FUNCTION slow();
             CREATE TRIGGER slow_row BEFORE DELETE ON django_session FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    for _ in 0..10 {
        // The first switches of a round end the sessions, so each round begins with new ones.
        let (session_of_ann, session_of_bob) = (session(&ann).await, session(&bob).await);
        let switches = (0..16).map(async |n| {
            let (session, token) = match n % 2 {
                0 => (&session_of_ann, &bob),
                _ => (&session_of_bob, &ann),
            };
            let browser = world.browser().with_cookie("sessionid", session);
            browser.with_token(token).get("/").await
        });
        for answer in join_all(switches).await {
            answer.expect_status(200);
        }
    }
    // A deadlock is retried, so the answers alone don't show it.
    let deadlocks = "statement_failures_total{cause=\"deadlock\"}";
    Samples::of(&world.app).await.expect(&[(deadlocks, 0.0)]);
}

/// `session_policy_sessiontimeoutpolicy` since Label Studio 1.20, the environment before.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_as_long_as_a_login_of_that_organization() {
    let max_age = |answer: &Answer| -> u64 {
        let cookie = answer.header("X-Gate-Set-Cookie-1").unwrap();
        let age = cookie
            .split("; ")
            .find_map(|part| part.strip_prefix("Max-Age="));
        age.unwrap().parse().unwrap()
    };
    let left =
        "SELECT round(extract(epoch FROM max(expire_date) - now()) / 60)::int FROM django_session";
    let login = async |database: &TestDatabase, settings: &[(&str, &str)], email: &str| {
        let organization = database.text("SELECT max(id) FROM organization").await;
        let user = database.user(email, organization.parse().unwrap()).await;
        let app = TestApp::start(&database.gate_url(), settings);
        Browser::of(&app).with_token(&native(user)).get("/").await
    };
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    // Without a row: the model's default, eight days.
    let answer = login(&database, &[], "default@example.com").await;
    assert_eq!(max_age(&answer), 8 * 86_400);
    let policy = format!(
        "INSERT INTO session_policy_sessiontimeoutpolicy (organization_id, max_session_age, max_time_between_activity, created_at, updated_at)
         VALUES ({organization}, 60, 30, now(), now())"
    );
    database.run(&policy).await;
    database.run("DELETE FROM django_session").await;
    let answer = login(&database, &[], "policy@example.com").await;
    assert_eq!(max_age(&answer), 3600);
    assert_eq!(database.text(left).await, "60");
    // The age of the cookie, if that is shorter.
    let ten_minutes = [("SESSION_COOKIE_AGE", "600")];
    let answer = login(&database, &ten_minutes, "short@example.com").await;
    assert_eq!(max_age(&answer), 600);

    let before = TestDatabase::of_version("1.19.0").await;
    before
        .run("INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now())")
        .await;
    let answer = login(&before, &[("MAX_SESSION_AGE", "7200")], "env@example.com").await;
    assert_eq!(max_age(&answer), 7200);
    let answer = login(&before, &[], "weeks@example.com").await;
    assert_eq!(max_age(&answer), 14 * 86_400);
}

/// Options of the database or the role don't change how logins run.
#[tokio::test(flavor = "multi_thread")]
async fn logins_run_with_options_of_their_own() {
    let world = World::new(&[]).await;
    let database = &world.database;
    let role = format!("ALTER ROLE {GATE_ROLE} IN DATABASE {} SET", database.name);
    for statement in [
        "CREATE TABLE seen (jit text, isolation text)",
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         'BEGIN
              INSERT INTO public.seen VALUES (current_setting(''jit''), current_setting(''transaction_isolation''));
              RETURN NEW;
          END'",
        "CREATE TRIGGER look BEFORE INSERT ON django_session FOR EACH ROW EXECUTE FUNCTION look()",
        &format!("{role} jit = on"),
        &format!("{role} default_transaction_isolation = 'repeatable read'"),
    ] {
        database.run(statement).await;
    }
    let unprepared = ("GATE_DATABASE_PREPARED_STATEMENTS", "false");
    for (settings, jit) in [(&[][..], "off"), (&[unprepared], "on")] {
        let gate = world.gate(settings);
        let login = Browser::of(&gate).with_token(&world.ann.token());
        login.get("/").await.expect(200, "session_opened");
        let seen = "SELECT string_agg(jit || ', ' || isolation, '; ') FROM seen";
        let seen = database.text(seen).await;
        assert_eq!(seen, format!("{jit}, read committed"));
        database.run("TRUNCATE seen").await;
    }
}

/// Postgres plans a statement for all parameters after it has run some times, and knows less then.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_reads_no_other_sessions_however_many_there_are() {
    let world = World::new(&[]).await;
    let fill = "INSERT INTO django_session
                SELECT md5(n::text), 'x', now() + n * interval '1 minute' FROM generate_series(1, 20000) AS n";
    world.database.run(fill).await;
    world.database.run("VACUUM ANALYZE django_session").await;
    let options = "options=-c%20plan_cache_mode%3Dforce_generic_plan";
    let url = format!("{}?{options}", world.database.gate_url());
    let app = world.gate(&[("DATABASE_URL", &url)]);
    for user in [&world.ann, &world.bob] {
        let login = Browser::of(&app).with_token(&user.token()).get("/").await;
        login.expect(200, "session_opened");
    }
    // A server process adds to the counters when it ends.
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = '{GATE_ROLE}'"
    );
    world.database.run(&end).await;
    let read = |counters| -> i64 {
        // A session of its own, because a session may keep the counters that it has read.
        let query =
            format!("SELECT {counters} FROM pg_stat_user_tables WHERE relname = 'django_session'");
        let text = CLUSTER.psql(&world.database.name, &["-c", &query]);
        text.trim().parse().unwrap()
    };
    wait_until(|| read("idx_scan") > 0, || "nothing was counted".to_owned());
    let fetched = read("idx_tup_fetch + seq_tup_read");
    assert!(fetched < 100, "{fetched} rows were read");
}
