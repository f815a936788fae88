//! More requests than the database can answer: as many as possible succeed, the others are told in
//! time to try again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::metrics::Samples;
use crate::support::token::native;
use crate::world::{NO_CACHE, World};

/// One login of each of these users, all at once.
async fn logins(app: &TestApp, users: &[i32]) -> Vec<Answer> {
    let login = async |user: &i32| {
        let token = native(*user);
        Browser::of(app).with_token(&token).get("/").await
    };
    join_all(users.iter().map(login)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_logins_at_once_all_succeed() {
    // How many may wait is the default.
    let world = World::new(&[]).await;
    let crowd = world.database.crowd(1000, world.organization).await;
    for answer in logins(&world.app, &crowd).await {
        answer.expect(200, "session_opened");
    }
    assert_eq!(world.sessions().await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_too_long_are_told_to_try_again() {
    let world = World::new(&[
        ("GATE_DATABASE_POOL_SIZE", "1"),
        ("GATE_DATABASE_WAIT_TIMEOUT_MS", "3000"),
        ("GATE_HTTP_DECISION_TIMEOUT_MS", "20000"),
    ])
    .await;
    // Opening a session takes 0.1 seconds, so that a statement with several of them comes back within half
    // of the time for which others wait: a database that answers nobody for so long is an outage.
    world
        .database
        .run(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
             CREATE TRIGGER slow BEFORE INSERT ON django_session FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let crowd = world.database.crowd(600, world.organization).await;
    let begun = Instant::now();
    let answers = logins(&world.app, &crowd).await;
    // All of them in a row would take a minute, which is ten times as long as they may take together.
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let mut opened = 0;
    for answer in &answers {
        if answer.status == 200 {
            opened += 1;
            continue;
        }
        answer.expect(503, "overloaded");
        let retry: u8 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=3).contains(&retry), "{retry}");
    }
    assert!((3..600).contains(&opened), "{opened} logins");
    assert_eq!(
        world.sessions().await,
        opened,
        "each that succeeded, and no other"
    );
    // The crowd is gone.
    let answer = world
        .browser()
        .with_token(&world.ann.token())
        .get("/")
        .await;
    answer.expect(200, "session_opened");
}

/// A decision needs several statements. Under overload, one that has begun is finished before
/// another begins; otherwise all would begin and none would end.
#[tokio::test(flavor = "multi_thread")]
async fn under_overload_what_is_begun_is_finished() {
    let world = World::new(&[
        ("GATE_DATABASE_POOL_SIZE", "1"),
        ("GATE_DATABASE_WAIT_TIMEOUT_MS", "2000"),
        ("GATE_HTTP_DECISION_TIMEOUT_MS", "3000"),
        NO_CACHE,
    ])
    .await;
    world.signed_in(&world.ann).await;
    let crowd = world.database.crowd(200, world.organization).await;
    // A statement takes 0.05 seconds for each user that it finds: ten seconds for all of them.
    // Recording a login does not read this table.
    world
        .database
        .run(
            "ALTER TABLE organizations_organizationmember RENAME TO members;
             CREATE FUNCTION slowly(id int) RETURNS bool LANGUAGE plpgsql VOLATILE COST 100000
                 AS 'BEGIN PERFORM pg_sleep(0.05); RETURN true; END';
             CREATE VIEW organizations_organizationmember AS SELECT * FROM members WHERE slowly(user_id);
             GRANT SELECT ON organizations_organizationmember TO PUBLIC",
        )
        .await;
    let answers = logins(&world.app, &crowd).await;
    let opened = answers.iter().filter(|it| it.status == 200).count();
    let found = "statement_requests_sum{statement=\"user_by_id\"}";
    let found = Samples::of(&world.app).await.value(found) as usize;
    assert!(opened < crowd.len(), "no overload");
    assert!(opened * 2 > found, "{opened} of {found} that were found");
}
