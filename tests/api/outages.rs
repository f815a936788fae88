//! Postgres is away, slow or busy: the gate answers 503, never yes, and recovers by itself.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use crate::actors::{Browser, Caller};
use crate::app::{Answer, TestApp};
use crate::metrics::Samples;
use crate::support::cable::Cable;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;
use crate::world::{NO_CACHE, User, World, eventually};

async fn login(app: &TestApp, user: &User) -> Answer {
    let browser = Browser::of(app).with_token(&user.token());
    browser.get("/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_is_an_outage_that_ends_when_it_is_plugged_in() {
    let world = World::new(&[]).await;
    let cable = Cable::to(CLUSTER.port()).await;
    let (port, database) = (cable.port, &world.database.name);
    let url = format!("postgres://{GATE_ROLE}@127.0.0.1:{port}/{database}");
    let app = TestApp::start(&url, &[NO_CACHE]);
    login(&app, &world.ann).await.expect_status(200);

    cable.plugged.send_replace(false);
    for _ in 0..3 {
        let asked = Instant::now();
        let answer = login(&app, &world.ann).await;
        answer
            .expect(503, "database_unavailable")
            // The token is good, so the browser keeps it.
            .expect_header("X-Gate-Set-Cookie-2", None);
        assert!(asked.elapsed() < Duration::from_secs(8));
    }
    for cookies in ["", "ls_auth_token=rubbish"] {
        let answer = app.check("/", cookies).await;
        answer.expect_status(200);
    }
    app.get("/health/ready").await.expect_status(503);
    app.get("/health/live").await.expect_status(200);
    let administrator = Caller::of(&app).with_authorization(&world.superuser.authorization());
    let answer = administrator.issue(&world.ann.email).await;
    answer.expect_status(503);

    cable.plugged.send_replace(true);
    login(&app, &world.ann).await.expect_status(200);
    app.get("/health/ready").await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_notices_that_the_server_ended_every_connection() {
    let world = World::new(&[]).await;
    let logins = || join_all((0..16).map(|_| login(&world.app, &world.ann)));
    logins().await;
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE";
    let database = &world.database.name;
    world
        .database
        .run(&format!(
            "{terminate} usename = '{GATE_ROLE}' AND datname = '{database}'"
        ))
        .await;
    for answer in logins().await {
        answer.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_lock_is_limited_and_a_full_queue_answers_at_once() {
    let world = World::new(&[
        ("GATE_DATABASE_POOL_SIZE", "1"),
        ("GATE_DATABASE_QUEUE", "1"),
        ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "6000"),
        ("GATE_DATABASE_WAIT_TIMEOUT_MS", "6000"),
    ])
    .await;
    login(&world.app, &world.ann).await.expect_status(200);
    let lock = "BEGIN; LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE";
    world.database.run(lock).await;
    let (app, token) = (world.app.clone(), world.ann.token());
    let first = tokio::spawn(async move { Browser::of(&app).with_token(&token).get("/").await });
    eventually("it waits for the lock", async || world.stuck() > 0).await;
    let others = (0..11).map(|_| login(&world.app, &world.ann));
    let mut others: FuturesUnordered<_> = others.collect();
    for _ in 0..8 {
        let answer = others.next().await.unwrap();
        answer.expect(503, "overloaded");
    }
    assert!(!first.is_finished(), "they have waited for the first");
    let first = first.await.unwrap();
    first.expect(503, "database_unavailable");
    while let Some(answer) = others.next().await {
        answer.expect_status(503);
    }
    world.database.run("ROLLBACK").await;
    login(&world.app, &world.ann).await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_notices_that_a_migration_made_every_prepared_statement_stale() {
    let mut world = World::new(&[NO_CACHE]).await;
    login(&world.app, &world.ann).await.expect_status(200);
    let crowd = world.database.crowd(40, world.organization).await;
    let connections = async || {
        let samples = Samples::of(&world.app).await;
        let in_state = |state| samples.value(&format!("pool_connections{{state=\"{state}\"}}"));
        in_state("in_use") + in_state("idle")
    };
    // While statements wait for a lock, those of later requests go to other connections, which
    // prepare them too.
    let lock = world.database.owner.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE htx_user IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let logins = join_all(crowd.iter().map(async |user| {
        let browser = Browser::of(&world.app).with_token(&native(*user));
        browser.get("/").await
    }));
    let unlock = async {
        eventually("others have prepared it too", async || {
            connections().await > 4.0
        })
        .await;
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(logins, unlock);
    for answer in &answers {
        answer.expect_status(200);
    }
    assert!(connections().await > 4.0);
    for length in [130, 132] {
        let alter = format!("ALTER TABLE htx_user ALTER COLUMN password TYPE varchar({length})");
        world.database.run(&alter).await;
        login(&world.app, &world.ann).await.expect_status(200);
    }
}
