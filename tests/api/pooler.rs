//! PgBouncer in transaction mode between the gate and Postgres.

use futures_util::future::join_all;

use crate::actors::Browser;
use crate::app::{TestApp, settings};
use crate::doctor::examine;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::pgbouncer::PgBouncer;
use crate::world::{NO_CACHE, REQUIRE, User, World, eventually};

const UNPREPARED: (&str, &str) = ("GATE_DATABASE_PREPARED_STATEMENTS", "false");

/// What Postgres itself refuses is accepted and dropped.
const IGNORING: &str = "ignore_startup_parameters = options,extra_float_digits";

/// Sends logins and visits of two users to several gates at once, and checks each answer.
async fn busy(world: &World, gates: &[TestApp]) {
    let users = [&world.ann, &world.bob, &world.staff];
    let visitor = async |n: usize| {
        let (user, gate): (&User, &TestApp) = (users[n % users.len()], &gates[n % gates.len()]);
        let browser = Browser::of(gate).with_token(&user.token());
        browser.get("/").await.expect_status(200).expect_user(user);
        for _ in 0..5 {
            browser.get("/projects").await.expect(200, "session_valid");
            let again = Browser::of(gate).with_token(&user.token());
            again
                .get("/projects")
                .await
                .expect_status(200)
                .expect_user(user);
        }
    };
    join_all((0..60).map(visitor)).await;
}

async fn report(url: &str, more: &[(&str, &str)]) -> String {
    examine(&settings(url, more)).await.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gates_share_a_pool_in_transaction_mode() {
    let world = World::new(&[]).await;
    let pooler = PgBouncer::start(3, "");
    let url = pooler.url(&world.database.name);
    let gates =
        [(); 2].map(|()| world.gate(&[("DATABASE_URL", &url), UNPREPARED, NO_CACHE, REQUIRE]));
    busy(&world, &gates).await;
    let told = report(&url, &[UNPREPARED]).await;
    assert!(!told.contains("pooler"), "{told}");
    assert!(
        !pooler.log().contains("unsupported startup"),
        "{}",
        pooler.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_is_not_in_the_settings_is_recognized() {
    let world = World::new(&[]).await;
    let name = &world.database.name;
    // It refuses the options of the start, or drops them.
    for more in ["", IGNORING] {
        let pooler = PgBouncer::start(3, more);
        let url = pooler.url(name);
        let gates = [(); 2].map(|()| world.gate(&[("DATABASE_URL", &url), NO_CACHE, REQUIRE]));
        busy(&world, &gates).await;
        let told = report(&url, &[]).await;
        assert!(
            told.contains("WARN  a connection pooler is between"),
            "{more}: {told}"
        );
        assert!(
            told.contains("GATE_DATABASE_PREPARED_STATEMENTS=false"),
            "{told}"
        );
    }
    // The limit is the role's own, so the first sign is a statement that is not there.
    let limit = format!("ALTER ROLE {GATE_ROLE} IN DATABASE {name} SET statement_timeout = '3s'");
    world.database.run(&limit).await;
    let pooler = PgBouncer::start(3, IGNORING);
    let url = pooler.url(name);
    let gates = [(); 2].map(|()| world.gate(&[("DATABASE_URL", &url), NO_CACHE, REQUIRE]));
    busy(&world, &gates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_of_a_statement_holds_behind_a_pooler() {
    let mut world = World::new(&[]).await;
    let pooler = PgBouncer::start(2, "");
    // Nothing but the lock keeps a statement for so long, not even a busy machine.
    let limit = ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "5000");
    let app = TestApp::start(
        &pooler.url(&world.database.name),
        &[UNPREPARED, NO_CACHE, limit],
    );
    let login = async || {
        Browser::of(&app)
            .with_token(&world.ann.token())
            .get("/")
            .await
    };
    login().await.expect_status(200);
    let lock = world.database.owner.transaction().await.unwrap();
    let exclusive = "LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(exclusive).await.unwrap();
    let login = Browser::of(&app).with_token(&world.ann.token());
    login.get("/").await.expect(503, "database_unavailable");
    // The server itself has ended the statement.
    let name = &world.database.name;
    eventually("the statement ends", async || {
        CLUSTER.gate_connections(name, "state <> 'idle'") == 0
    })
    .await;
    lock.rollback().await.unwrap();
    login.get("/").await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_url_hold_with_and_without_a_pooler() {
    let world = World::new(&[]).await;
    let name = &world.database.name;
    world
        .database
        .run("ALTER SCHEMA public RENAME TO \"la bel\"; CREATE SCHEMA public")
        .await;
    let pooler = PgBouncer::start(2, "");
    let options = "options=-c%20search_path%3D%22la%5C%20bel%22,%5C%20public";
    for (url, more) in [
        (world.database.gate_url(), &[][..]),
        (pooler.url(name), &[UNPREPARED][..]),
    ] {
        let app = TestApp::start(&format!("{url}?{options}"), more);
        let browser = Browser::of(&app).with_token(&world.ann.token());
        browser
            .get("/")
            .await
            .expect_status(200)
            .expect_user(&world.ann);
    }
}
