//! Logins that arrive at the same time share statements. What holds for one holds for each of them.

pub mod faults;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use label_studio_gate::django::{SessionCodec, SessionEntries as _};
use serde_json::json;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::support::cluster::CLUSTER;
use crate::support::token::{SECRET_KEY, claims, native, sign, with};
use crate::world::{SIGNED_COOKIES, World, eventually};

/// How often something is tried that the machine's load may keep from happening.
const ROUNDS: usize = 50;

async fn login(app: &TestApp, token: &str) -> Answer {
    Browser::of(app).with_token(token).get("/").await
}

/// A login of a browser that still has the cookie of a session that has ended.
async fn login_with_old_session(app: &TestApp, token: &str) -> Answer {
    let browser = Browser::of(app).with_token(token);
    let ended = "0123456789abcdefghijklmnopqrstuv";
    browser.with_cookie("sessionid", ended).get("/").await
}

/// A token of its own for each call.
fn another_token(user: i32, number: usize) -> String {
    let claims = with(claims(user), &json!({"jti": number.to_string()}));
    sign(jsonwebtoken::Algorithm::HS256, SECRET_KEY, &claims)
}

/// How often this gate has sent a statement.
async fn sent(app: &TestApp, statement: &str) -> usize {
    let page = app.get("/metrics").await.body;
    let name = "statement_duration_seconds_count";
    value(&page, &format!("{name}{{statement=\"{statement}\"}}"))
}

/// The value of this sample on a page of metrics; 0 if it is not there.
fn value(page: &str, sample: &str) -> usize {
    let prefix = format!("label_studio_gate_{sample} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&prefix));
    value.map_or(0, |value| value.parse::<f64>().unwrap() as usize)
}

/// The user whose session this is, according to the row.
async fn owner(world: &World, key: &str) -> Option<i32> {
    let query = format!("SELECT session_data FROM django_session WHERE session_key = '{key}'");
    let data = world.database.text(&query).await;
    let session = SessionCodec::new(&SECRET_KEY.into()).decode_row(&data);
    session.ok().and_then(|session| session.user_id())
}

/// A crowd whose members sign in at the same time, among them twenty with one token, and users who
/// may not. Repeated until logins have shared a statement.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_a_batch_gets_their_own_session() {
    let world = World::new(&[]).await;
    let crowd = world.database.crowd(60, world.organization).await;
    world.update(&world.bob, "is_active = false").await;
    let (mut logins, mut ann_keys) = (0, BTreeSet::new());
    for round in 0..ROUNDS {
        let ann = another_token(world.ann.id, round);
        let bob = another_token(world.bob.id, round);
        let of_ann = join_all((0..20).map(async |_| login(&world.app, &ann).await));
        let of_bob = join_all((0..5).map(async |_| login(&world.app, &bob).await));
        let of_crowd = join_all(crowd.iter().map(async |id| {
            let answer = login(&world.app, &another_token(*id, round)).await;
            (*id, answer)
        }));
        let (of_ann, of_bob, of_crowd) = tokio::join!(of_ann, of_bob, of_crowd);
        let keys = of_ann.iter().map(|it| it.session().unwrap().to_owned());
        let keys: BTreeSet<String> = keys.collect();
        assert_eq!(keys.len(), 1, "one session for one token");
        for answer in &of_bob {
            answer.expect(403, "user_inactive").expect_no_session();
        }
        for (id, answer) in &of_crowd {
            answer.expect(200, "session_opened");
            assert_eq!(owner(&world, answer.session().unwrap()).await, Some(*id));
        }
        ann_keys.extend(keys);
        logins += 20 + crowd.len();
        assert_eq!(
            world.sessions().await as usize,
            (round + 1) * (crowd.len() + 1)
        );
        if sent(&world.app, "record_login").await < logins {
            break;
        }
    }
    assert!(
        sent(&world.app, "record_login").await < logins,
        "no two logins have shared a statement"
    );
    for key in ann_keys {
        assert_eq!(owner(&world, &key).await, Some(world.ann.id));
    }
    let missed = "SELECT count(*) FROM htx_user WHERE email LIKE 'crowd%' AND last_login IS NULL";
    assert_eq!(world.database.text(missed).await, "0");
}

/// A peak has opened more connections than one login after another needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_was_used_last_is_used_next() {
    let world = World::new(&[]).await;
    let crowd = world.database.crowd(20, world.organization).await;
    let open = || CLUSTER.gate_connections(&world.database.name, "true");
    for round in 0..ROUNDS {
        let peak = crowd.iter().map(async |id| {
            let token = another_token(*id, round);
            login_with_old_session(&world.app, &token).await
        });
        join_all(peak).await;
        if open() >= 3 {
            break;
        }
    }
    let after_the_peak = world.database.text("SELECT clock_timestamp()").await;
    for id in &crowd[..6] {
        let answer = login(&world.app, &another_token(*id, ROUNDS)).await;
        answer.expect(200, "session_opened");
    }
    let used = CLUSTER.gate_connections(
        &world.database.name,
        &format!("query_start > '{after_the_peak}'"),
    );
    let open = open();
    assert!(open >= 3 && used < 3, "{used} of {open} connections used");
}

/// Two gates get logins of the same few users, in different orders.
#[tokio::test(flavor = "multi_thread")]
async fn batches_of_two_gates_with_the_same_users_do_not_deadlock() {
    for engine in [&[][..], &[SIGNED_COOKIES]] {
        let world = World::new(engine).await;
        let other = world.gate(engine);
        let crowd = world.database.crowd(8, world.organization).await;
        for round in 0..10 {
            let logins = (0..120).map(async |n: usize| {
                let (app, user) = match n % 2 {
                    0 => (&world.app, crowd[n / 2 % crowd.len()]),
                    _ => (&other, crowd[crowd.len() - 1 - n / 2 % crowd.len()]),
                };
                // Some come with the same token to both gates.
                let token = another_token(user, round * 1000 + n / 4);
                login(app, &token).await
            });
            for answer in join_all(logins).await {
                answer.expect(200, "session_opened");
            }
        }
        for app in [&world.app, &other] {
            let page = app.get("/metrics").await.body;
            let none = "label_studio_gate_statement_failures_total{cause=\"deadlock\"} 0";
            assert!(page.contains(none), "{page}");
        }
    }
}

/// Somebody else has locked the rows of Ann and of others. More requests wait for them than the pool has
/// connections: many of Ann's, which replace a session, and one of each of the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_waits_for_a_lock_holds_up_nobody() {
    let patient = [
        ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "60000"),
        ("GATE_DATABASE_WAIT_TIMEOUT_MS", "60000"),
        ("GATE_HTTP_DECISION_TIMEOUT_MS", "60000"),
    ];
    for engine in [None, Some(SIGNED_COOKIES)] {
        let settings: Vec<_> = patient.into_iter().chain(engine).collect();
        let world = World::new(&settings).await;
        let crowd = world.database.crowd(60, world.organization).await;
        let (locked, free) = crowd.split_at(20);
        world.lock_all(&[locked, &[world.ann.id]].concat()).await;
        let waiting = locked.iter().map(|id| (*id, 0));
        let waiting = waiting.chain((0..20).map(|n| (world.ann.id, n)));
        let waiting = join_all(waiting.map(async |(id, n)| {
            let token = another_token(id, n);
            match id == world.ann.id {
                true => login_with_old_session(&world.app, &token).await,
                false => login(&world.app, &token).await,
            }
        }));
        let mut waiting = std::pin::pin!(waiting);
        let everybody = async {
            for _ in 0..5 {
                let logins = free.iter().map(async |id| {
                    let token = native(*id);
                    match id % 2 {
                        0 => login_with_old_session(&world.app, &token).await,
                        _ => login(&world.app, &token).await,
                    }
                });
                for answer in join_all(logins).await {
                    answer.expect(200, "session_opened");
                }
            }
        };
        tokio::select! {
            _ = &mut waiting => panic!("somebody has signed in while their row is locked"),
            () = everybody => {}
        }
        world.unlock().await;
        for answer in waiting.await {
            answer.expect(200, "session_opened");
        }
    }
}

/// A user's row that changes between its reading and the login refuses that login only.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_noticed_in_a_batch() {
    let world = World::new(&[]).await;
    let crowd = world.database.crowd(30, world.organization).await;
    for round in 0..10 {
        let change = async {
            world
                .update(&world.ann, &format!("password = '!{round}'"))
                .await;
        };
        let logins = join_all(crowd.iter().chain([&world.ann.id; 10]).map(async |id| {
            let answer = login(&world.app, &another_token(*id, round)).await;
            (*id, answer)
        }));
        let (answers, ()) = tokio::join!(logins, change);
        for (id, answer) in answers {
            answer.expect(200, "session_opened");
            let session = answer.session().unwrap();
            assert_eq!(owner(&world, session).await, Some(id));
        }
        // The session of another login with the token has the password of now.
        let answer = login(&world.app, &another_token(world.ann.id, round)).await;
        let browser = world
            .browser()
            .with_token(&another_token(world.ann.id, round));
        let browser = browser.with_cookie("sessionid", answer.session().unwrap());
        browser.get("/").await.expect(200, "session_kept");
    }
}

/// A user's row changes after the statement that records the login has read it, and before it has
/// locked it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_before_it_is_locked_is_looked_at_once_more() {
    for engine in [&[][..], &[SIGNED_COOKIES]] {
        let world = World::new(engine).await;
        // Whoever reads a row in order to lock it waits while the test holds this lock.
        let hold_up = "CREATE FUNCTION hold_up() RETURNS bool LANGUAGE plpgsql VOLATILE AS '
                 BEGIN
                     IF current_query() LIKE ''%SKIP LOCKED%'' THEN
                         PERFORM pg_advisory_xact_lock_shared(1, 2);
                     END IF;
                     RETURN true;
                 END';
             ALTER TABLE htx_user ENABLE ROW LEVEL SECURITY;
             CREATE POLICY held_up ON htx_user USING (hold_up())";
        world.database.run(hold_up).await;
        for (n, change) in ["last_activity = now()", "password = '!changed'"]
            .iter()
            .enumerate()
        {
            world.update(&world.ann, "last_login = NULL").await;
            world.database.run("SELECT pg_advisory_lock(1, 2)").await;
            let token = another_token(world.ann.id, n);
            let change = async {
                eventually("the statement has read the row", async || world.stuck() > 0).await;
                world.update(&world.ann, change).await;
                world.database.run("SELECT pg_advisory_unlock(1, 2)").await;
            };
            let (answer, ()) = tokio::join!(login(&world.app, &token), change);
            answer.expect(200, "session_opened");
            let recorded = format!(
                "SELECT last_login IS NOT NULL FROM htx_user WHERE id = {}",
                world.ann.id
            );
            assert_eq!(world.database.text(&recorded).await, "t");
            let browser = world.browser().with_token(&token);
            let browser = browser.with_cookie("sessionid", answer.session().unwrap());
            browser.get("/").await.expect(200, "session_kept");
        }
    }
}
