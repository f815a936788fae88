//! What a login leaves in the database.

use futures_util::future::join_all;

use crate::app::{TestApp, TestDatabase};
use crate::support::token::native;

const SIGNED_COOKIES: (&str, &str) = (
    "SESSION_ENGINE",
    "django.contrib.sessions.backends.signed_cookies",
);

struct World {
    database: TestDatabase,
    app: TestApp,
    first: i32,
    second: i32,
}

async fn world(more: &[(&str, &str)]) -> World {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    World {
        first: database.user("first@example.com", organization).await,
        second: database.user("second@example.com", organization).await,
        app: TestApp::start(&database.gate_url(), more),
        database,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_over_two_gates_end_in_one_session() {
    let world = world(&[]).await;
    let other = TestApp::start(&world.database.gate_url(), &[]);
    let cookies = format!("ls_auth_token={}", native(world.first));
    let answers = join_all((0..50).map(|n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        app.check("/", &cookies)
    }))
    .await;
    let mut keys: Vec<&str> = answers
        .iter()
        .map(|answer| answer.session().unwrap())
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.header("X-Gate-User-Id").unwrap() == world.first.to_string())
    );
    assert_eq!(world.database.sessions().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_replays_add_no_row_and_write_nothing() {
    let world = world(&[]).await;
    let cookies = format!("ls_auth_token={}", native(world.first));
    world.app.check("/", &cookies).await;
    let state = "SELECT xmin::text || ctid::text FROM htx_user ORDER BY id LIMIT 1";
    let before = world.database.text(state).await;
    for _ in 0..20 {
        join_all((0..50).map(|_| world.app.check("/", &cookies))).await;
    }
    assert_eq!(world.database.sessions().await, 1);
    assert_eq!(world.database.text(state).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_is_kept_and_a_strange_one_replaced() {
    let world = world(&[]).await;
    let first = world
        .app
        .check("/", &format!("ls_auth_token={}", native(world.first)))
        .await;
    let key = first.session().unwrap();
    let again = world
        .app
        .check(
            "/",
            &format!("sessionid={key}; ls_auth_token={}", native(world.first)),
        )
        .await;
    assert_eq!(again.reason(), "session_kept");
    assert_eq!(again.header("X-Gate-Set-Cookie-1"), None);
    assert!(again.header("X-Gate-Set-Cookie-2").is_some());
    assert_eq!(world.database.sessions().await, 1);

    let strange = world
        .app
        .check(
            "/",
            &format!(
                "sessionid=nobody-knows-me; ls_auth_token={}",
                native(world.first)
            ),
        )
        .await;
    assert_eq!(strange.reason(), "session_opened");
    assert_eq!(world.database.sessions().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_deletes_the_other_users_session_and_no_other() {
    let world = world(&[]).await;
    let bystander = world
        .app
        .check("/", &format!("ls_auth_token={}", native(world.first)))
        .await;
    let first = world
        .app
        .check("/", &format!("ls_auth_token={}", native(world.first)))
        .await;
    let key = first.session().unwrap();
    let switched = world
        .app
        .check(
            "/",
            &format!("sessionid={key}; ls_auth_token={}", native(world.second)),
        )
        .await;
    assert_eq!(switched.reason(), "user_switched");
    assert_eq!(
        switched.header("X-Gate-User-Id").unwrap(),
        world.second.to_string()
    );
    let mut left: Vec<String> = Vec::new();
    for row in world
        .database
        .owner
        .query("SELECT session_key FROM django_session", &[])
        .await
        .unwrap()
    {
        left.push(row.get(0));
    }
    left.sort();
    let mut expected = [
        bystander.session().unwrap().to_owned(),
        switched.session().unwrap().to_owned(),
    ];
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_never_lives_again_whatever_is_replayed() {
    let world = world(&[]).await;
    let cookies = format!("ls_auth_token={}", native(world.first));
    let mut former = Vec::new();
    for end in [
        "UPDATE django_session SET expire_date = now() - interval '1 second'",
        "DELETE FROM django_session",
    ] {
        let answer = world.app.check("/", &cookies).await;
        assert_eq!(answer.reason(), "session_opened");
        former.push(answer.session().unwrap().to_owned());
        world.database.run(end).await;
        let answers = join_all((0..20).map(|_| world.app.check("/", &cookies))).await;
        let mut keys: Vec<_> = answers
            .iter()
            .map(|answer| answer.session().unwrap())
            .collect();
        keys.dedup();
        assert_eq!(keys.len(), 1, "they meet again: {end}");
        assert!(!former.iter().any(|key| key == keys[0]), "{end}");
        let alive = world
            .database
            .text(
                "SELECT count(*) FROM django_session WHERE expire_date > now() + interval '7 days'",
            )
            .await;
        assert_eq!(alive, "1", "{end}");
        world.database.run("DELETE FROM django_session").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_makes_another_session() {
    let world = world(&[]).await;
    let cookies = format!("ls_auth_token={}", native(world.first));
    let before = world
        .app
        .check("/", &cookies)
        .await
        .session()
        .unwrap()
        .to_owned();
    world
        .database
        .run(&format!(
            "UPDATE htx_user SET password = '!changed' WHERE id = {}",
            world.first
        ))
        .await;
    let with_old = format!("sessionid={before}; {cookies}");
    let answer = world.app.check("/", &with_old).await;
    assert_eq!(answer.reason(), "session_opened");
    assert_ne!(answer.session().unwrap(), before);
    assert_eq!(
        world.database.sessions().await,
        1,
        "the session under the old password is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_policy_decides_how_old_a_kept_session_may_be() {
    let world = world(&[("GATE_DATABASE_CACHE_SECONDS", "0")]).await;
    let organization = world.database.text("SELECT id FROM organization").await;
    world
        .database
        .run(&format!("INSERT INTO session_policy_sessiontimeoutpolicy VALUES ({organization}, 0, 0, now(), now())"))
        .await;
    let first = world
        .app
        .check("/", &format!("ls_auth_token={}", native(world.first)))
        .await;
    let key = first.session().unwrap();
    let again = world
        .app
        .check(
            "/",
            &format!("sessionid={key}; ls_auth_token={}", native(world.first)),
        )
        .await;
    assert_eq!(
        again.reason(),
        "session_opened",
        "Label Studio would have ended the one that came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_cookies_leave_no_row_and_record_the_login() {
    let world = world(&[SIGNED_COOKIES]).await;
    let answer = world
        .app
        .check("/", &format!("ls_auth_token={}", native(world.first)))
        .await;
    assert_eq!(answer.reason(), "session_opened");
    assert_eq!(world.database.sessions().await, 0);
    let login = format!(
        "SELECT last_login IS NOT NULL FROM htx_user WHERE id = {}",
        world.first
    );
    assert_eq!(world.database.text(&login).await, "t");
    let cookie = answer.session().unwrap();
    let kept = world
        .app
        .check(
            "/",
            &format!("sessionid={cookie}; ls_auth_token={}", native(world.first)),
        )
        .await;
    assert_eq!(kept.reason(), "session_kept");
    let switched = world
        .app
        .check(
            "/",
            &format!("sessionid={cookie}; ls_auth_token={}", native(world.second)),
        )
        .await;
    assert_eq!(switched.reason(), "user_switched");

    let state = format!("SELECT xmin::text FROM htx_user WHERE id = {}", world.first);
    let before = world.database.text(&state).await;
    let cookies = format!("ls_auth_token={}", native(world.first));
    join_all((0..50).map(|_| world.app.check("/", &cookies))).await;
    assert_eq!(
        world.database.text(&state).await,
        before,
        "ten seconds are not over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn crossing_switches_do_not_deadlock() {
    let world = world(&[]).await;
    let (one, two) = (native(world.first), native(world.second));
    let key_one = world
        .app
        .check("/", &format!("ls_auth_token={one}"))
        .await
        .session()
        .unwrap()
        .to_owned();
    let key_two = world
        .app
        .check("/", &format!("ls_auth_token={two}"))
        .await
        .session()
        .unwrap()
        .to_owned();
    for _ in 0..20 {
        let to_two = format!("sessionid={key_one}; ls_auth_token={two}");
        let to_one = format!("sessionid={key_two}; ls_auth_token={one}");
        let answers = join_all((0..16).map(|n| {
            world
                .app
                .check("/", if n % 2 == 0 { &to_two } else { &to_one })
        }))
        .await;
        assert!(
            answers.iter().all(|answer| answer.status == 200),
            "{answers:?}"
        );
    }
}

/// `session_policy_sessiontimeoutpolicy` since Label Studio 1.20, its environment before.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_as_long_as_a_login_of_that_organization() {
    let max_age = |answer: &crate::app::Answer| -> u64 {
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
        app.check("/", &format!("ls_auth_token={}", native(user)))
            .await
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
    // The cookie's own age, where that is shorter.
    let answer = login(
        &database,
        &[("SESSION_COOKIE_AGE", "600")],
        "short@example.com",
    )
    .await;
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
