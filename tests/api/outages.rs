//! Postgres away, slow or busy: 503, never a yes, and all well again by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::app::{TestApp, TestDatabase};
use crate::support::cable::Cable;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_cable_is_an_outage_and_no_answer_lasts_longer() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let key = "0123456789abcdef0123456789abcdef01234567";
    database.admin(organization, key).await;
    let cable = Cable::to(CLUSTER.port()).await;
    let url = format!(
        "postgres://{GATE_ROLE}@127.0.0.1:{}/{}",
        cable.port, database.name
    );
    let app = TestApp::start(&url, &[("GATE_DATABASE_CACHE_SECONDS", "0")]);
    let login = async || {
        app.check("/", &format!("ls_auth_token={}", native(user)))
            .await
    };
    assert_eq!(login().await.status, 200);

    cable.plugged.send_replace(false);
    for _ in 0..3 {
        let asked = Instant::now();
        let answer = login().await;
        assert_eq!(
            (answer.status, answer.reason()),
            (503, "database_unavailable")
        );
        assert_eq!(
            answer.header("X-Gate-Set-Cookie-2"),
            None,
            "the token is good and is kept"
        );
        assert!(asked.elapsed() < Duration::from_secs(8));
    }
    assert_eq!(
        app.check("/", "").await.status,
        200,
        "who brings no token passes"
    );
    assert_eq!(app.check("/", "ls_auth_token=rubbish").await.status, 200);
    assert_eq!(app.get("/health/ready").await.status, 503);
    assert_eq!(app.get("/health/live").await.status, 200);
    assert_eq!(
        app.issue(
            &format!("Token {key}"),
            "{\"email\": \"worker@example.com\"}"
        )
        .await
        .status,
        503
    );

    cable.plugged.send_replace(true);
    assert_eq!(login().await.status, 200);
    assert_eq!(app.get("/health/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ended_every_connection_is_not_even_noticed() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let app = TestApp::start(&database.gate_url(), &[]);
    let ask = || async {
        app.check("/", &format!("ls_auth_token={}", native(user)))
            .await
            .status
    };
    join_all((0..16).map(|_| ask())).await;
    database
        .run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{GATE_ROLE}' AND datname = '{}'", database.name))
        .await;
    let statuses = join_all((0..16).map(|_| ask())).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_only_so_long_and_a_full_queue_answers_at_once() {
    let mut database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let app = TestApp::start(
        &database.gate_url(),
        &[
            ("GATE_DATABASE_POOL_SIZE", "1"),
            ("GATE_DATABASE_QUEUE", "1"),
            ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "700"),
            ("GATE_DATABASE_WAIT_TIMEOUT_MS", "700"),
        ],
    );
    let ask = || async {
        app.check("/", &format!("ls_auth_token={}", native(user)))
            .await
    };
    assert_eq!(ask().await.status, 200);
    let lock = database.owner.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let answers = join_all((0..12).map(|_| ask())).await;
    let count = |reason: &str| {
        answers
            .iter()
            .filter(|answer| answer.reason() == reason)
            .count()
    };
    assert!(
        answers.iter().all(|answer| answer.status == 503),
        "{answers:?}"
    );
    assert!(
        count("overloaded") >= 8 && count("database_unavailable") >= 1,
        "{answers:?}"
    );
    lock.rollback().await.unwrap();
    assert_eq!(ask().await.status, 200);
}
