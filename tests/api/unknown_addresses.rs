//! Addresses that no account has, in a Label Studio with many accounts and without an index of
//! `lower(email)`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::app::{Answer, TestApp, settings};
use crate::doctor::examine;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::users::login;
use crate::world::{CREATE_USERS, ISSUER, World, eventually};

/// A world with so many further users that Postgres uses an index where there is one.
async fn crowd(users: u32, settings: &[(&str, &str)]) -> World {
    let world = World::new(settings).await;
    let insert = format!(
        "INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                               last_activity, activity_at, phone, avatar)
         SELECT '!', false, '', 'user' || n || '@corp.test', '', '', false, true, now(), now(), now(), '', '' FROM generate_series(1, {users}) AS n"
    );
    world.database.run(&insert).await;
    world.database.run("VACUUM ANALYZE htx_user").await;
    world
}

async fn of_address(app: &TestApp, email: &str) -> Answer {
    login(app, &json!({"email": email})).await
}

/// How often the table of users has been scanned, and how often it was read by an index. A server
/// process adds to the counters when it ends, so that they are read until they are `least` or more.
async fn scans(world: &World, least: (i64, i64)) -> (i64, i64) {
    let name = &world.database.name;
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = '{GATE_ROLE}'"
    );
    world.database.run(&end).await;
    eventually("the gate's connections end", async || {
        CLUSTER.gate_connections(name, "true") == 0
    })
    .await;
    let number = async |query: &str| -> i64 {
        // A session of its own, because a session may keep the counters that it has read.
        CLUSTER.psql(name, &["-c", query]).trim().parse().unwrap()
    };
    let table = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'htx_user'";
    let index = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'htx_user'";
    // PostgreSQL 13 and 14 collect the counters in another process.
    let mut last = (-1, -1);
    let mut readings = 0;
    loop {
        let now = (number(table).await, number(index).await);
        let is_complete = now.0 >= least.0 && now.1 >= least.1 || readings > 60;
        if now == last && is_complete {
            return now;
        }
        last = now;
        readings += 1;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_do_not_starve_logins() {
    // On a busy machine a hundred scans take half a minute. Nobody waits that long for a turn, so that every scan that
    // begins also ends in time.
    let wait = ("GATE_DATABASE_WAIT_TIMEOUT_MS", "10000");
    let world = crowd(100_000, &[ISSUER, ("GATE_DATABASE_POOL_SIZE", "4"), wait]).await;
    of_address(&world.app, "ann@example.com")
        .await
        .expect_status(200);

    let done = AtomicBool::new(false);
    let slots = async {
        let name = &world.database.name;
        let scanning = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND usename = '{GATE_ROLE}'
                AND state = 'active' AND query LIKE '%lower(email%'"
        );
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            most = most.max(world.database.text(&scanning).await.parse::<i32>().unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        most
    };
    let requests = async {
        let unknown = join_all((0..100).map(async |n| {
            tokio::time::sleep(Duration::from_millis(5 * n)).await;
            of_address(&world.app, &format!("nobody{n}@corp.test")).await
        }));
        let known = join_all((0..50).map(async |n| {
            tokio::time::sleep(Duration::from_millis(10 * n)).await;
            of_address(&world.app, "ann@example.com").await
        }));
        let answers = join(unknown, known).await;
        done.store(true, Ordering::Relaxed);
        answers
    };
    let (most, (unknown, known)) = join(slots, requests).await;
    for answer in &known {
        answer.expect_status(200).expect_user(&world.ann);
    }
    for answer in &unknown {
        let expected = [(403, "user_unknown"), (503, "overloaded")];
        assert!(
            expected.contains(&(answer.status, answer.reason())),
            "{answer:?}"
        );
    }
    // One of four connections may be busy with them.
    assert_eq!(most, 1, "scans at the same time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_scanned_once_for_an_unknown_address() {
    let world = crowd(20_000, &[ISSUER]).await;
    let (scans_before, looks_before) = scans(&world, (0, 0)).await;
    let spellings = ["nobody@corp.test", "Nobody@corp.test", "NOBODY@CORP.TEST"];
    let ask = |n: usize| of_address(&world.app, spellings[n % 3]);
    for answer in join_all((0..30).map(ask)).await {
        answer.expect(403, "user_unknown");
    }
    let least = (scans_before + 1, looks_before + 1);
    let (scans_after, looks_after) = scans(&world, least).await;
    assert_eq!(scans_after - scans_before, 1);
    // The exact address and its lower-case form are looked up first.
    assert!(looks_after > looks_before, "{looks_after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_a_moment_ago_is_found() {
    let world = World::new(&[ISSUER]).await;
    for (asked, stored) in [
        ("exact@corp.test", "exact@corp.test"),
        ("Lower@corp.test", "lower@corp.test"),
        ("Same@corp.test", "Same@corp.test"),
    ] {
        for _ in 0..2 {
            of_address(&world.app, asked)
                .await
                .expect(403, "user_unknown");
        }
        let user = world.user(stored).await;
        of_address(&world.app, asked)
            .await
            .expect_status(200)
            .expect_user(&user);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_in_another_case_is_found_within_seconds() {
    let world = World::new(&[ISSUER, ("GATE_DATABASE_CACHE_SECONDS", "1")]).await;
    let asked = "new@corp.test";
    of_address(&world.app, asked)
        .await
        .expect(403, "user_unknown");
    let user = world.user("New@corp.test").await;
    eventually("the account is found", async || {
        of_address(&world.app, asked).await.status == 200
    })
    .await;
    of_address(&world.app, asked).await.expect_user(&user);
    // What is remembered admits nobody: a second account in another case makes the address
    // ambiguous for the next request that is not answered from the cache of found users.
    world.user("NEW@corp.test").await;
    of_address(&world.app, "nEW@corp.test")
        .await
        .expect(403, "user_unknown");
}

/// The statement that creates an account also compares addresses in any case.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_created_in_a_crowd() {
    let world = crowd(
        20_000,
        &[ISSUER, CREATE_USERS, ("GATE_DATABASE_POOL_SIZE", "4")],
    )
    .await;
    let first = join_all(
        (0..12).map(async |n| of_address(&world.app, &format!("New{}@corp.test", n % 4)).await),
    );
    for answer in first.await {
        answer.expect_status(200);
    }
    assert_eq!(world.users().await, (20_000 + 4 + 4).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_optional_index_nothing_is_scanned() {
    let world = crowd(20_000, &[ISSUER]).await;
    let name = &world.database.name;
    let report = async || {
        let settings = settings(&world.database.gate_url(), &[]);
        examine(&settings).await.to_string()
    };
    let told = report().await;
    let measured = "looking up an unknown email address among 200";
    assert!(told.contains(&format!("WARN  {measured}")), "{told}");
    assert!(told.contains("run sql/indexes.sql"), "{told}");
    let index = || CLUSTER.psql(name, &["-f", "sql/indexes.sql"]);
    index();
    // Again after a run that was interrupted, which leaves an index that is not used.
    let invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'label_studio_gate_email'::regclass";
    CLUSTER.psql(name, &["-c", invalid]);
    index();
    index();
    let valid =
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'label_studio_gate_email'::regclass";
    assert_eq!(world.database.text(valid).await, "t");
    let told = report().await;
    assert!(told.contains(&format!("ok    {measured}")), "{told}");

    let (before, _) = scans(&world, (0, 0)).await;
    for n in 0..10 {
        let answer = of_address(&world.app, &format!("nobody{n}@corp.test")).await;
        answer.expect(403, "user_unknown");
    }
    let user = world.user("Mixed@corp.test").await;
    of_address(&world.app, "mixed@corp.test")
        .await
        .expect_status(200)
        .expect_user(&user);
    let (after, _) = scans(&world, (before, 0)).await;
    assert_eq!(after, before);
}
