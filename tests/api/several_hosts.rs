//! A database with several hosts: the gate uses the one that accepts writes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::actors::Browser;
use crate::app::{Answer, TestApp, TestDatabase};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::free_port;
use crate::support::replica::Pair;
use crate::support::token::native;
use crate::world::{NO_CACHE, REQUIRE, World};

async fn login(app: &TestApp, user: i32) -> Answer {
    Browser::of(app).with_token(&native(user)).get("/").await
}

/// A host that accepts connections and says nothing.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_silent_closed_or_unknown_holds_up_nobody() {
    let world = World::new(&[]).await;
    let (_listener, silent) = silent();
    let (closed, right) = (free_port(), CLUSTER.port());
    let name = &world.database.name;
    for hosts in [
        format!("127.0.0.1:{silent},127.0.0.1:{right}"),
        format!("127.0.0.1:{closed},127.0.0.1:{right}"),
        format!("no-such-host.invalid:{right},127.0.0.1:{right}"),
        format!("127.0.0.1:{silent},127.0.0.1:{closed},no-such-host.invalid,127.0.0.1:{right}"),
        format!("127.0.0.1:{right},127.0.0.1:{silent}"),
    ] {
        let url = format!("postgres://{GATE_ROLE}@{hosts}/{name}");
        let app = TestApp::start(&url, &[]);
        let answers = join_all((0..8).map(|_| login(&app, world.ann.id))).await;
        for answer in answers {
            answer.expect_status(200).expect_user(&world.ann);
        }
    }
    // None of them answers: refused, not hung.
    let url = format!("postgres://{GATE_ROLE}@127.0.0.1:{silent},127.0.0.1:{closed}/{name}");
    let app = TestApp::start(&url, &[("GATE_DATABASE_CONNECT_TIMEOUT_MS", "300")]);
    login(&app, world.ann.id)
        .await
        .expect(503, "database_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_spelled_as_in_libpq_everywhere() {
    let world = World::new(&[]).await;
    let (closed, right) = (free_port(), CLUSTER.port());
    let name = world.database.name.as_str();
    let ports = format!("{closed},{right}");
    let with_ports = format!("127.0.0.1:{closed},127.0.0.1:{right}");
    let own = [
        ("GATE_DATABASE_HOST", "127.0.0.1,localhost"),
        ("GATE_DATABASE_PORT", &ports),
    ];
    let label_studios = [
        ("POSTGRE_HOST", "127.0.0.1,localhost"),
        ("POSTGRE_PORT", &ports),
    ];
    let together = [("GATE_DATABASE_HOST", with_ports.as_str())];
    for spelling in [&own[..], &label_studios, &together] {
        let parts = [
            ("DATABASE_URL", ""),
            ("GATE_DATABASE_NAME", name),
            ("GATE_DATABASE_USER", GATE_ROLE),
        ];
        let app = TestApp::start("", &[&parts, spelling].concat());
        login(&app, world.ann.id).await.expect_status(200);
    }
    let lists = format!("host=127.0.0.1,localhost&port={ports}");
    for url in [
        format!("postgres://{GATE_ROLE}@{with_ports}/{name}?target_session_attrs=read-write"),
        format!("postgres:///{name}?user={GATE_ROLE}&{lists}&target_session_attrs=primary"),
    ] {
        let app = TestApp::start(&url, &[]);
        login(&app, world.ann.id).await.expect_status(200);
    }
}

/// Too many connections, a changed password, a changed pg_hba.conf: all of them concern new connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_a_new_connection_keeps_the_open_ones() {
    let world = World::new(&[]).await;
    let (closed, right) = (free_port(), CLUSTER.port());
    let name = &world.database.name;
    let url = format!("postgres://{GATE_ROLE}@127.0.0.1:{right},127.0.0.1:{closed}/{name}");
    let app = TestApp::start(&url, &[NO_CACHE]);
    login(&app, world.bob.id).await.expect_status(200);
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT 0");
    world.database.run(&limit).await;
    world.lock(world.ann.id).await;
    // Long enough that the gate asks whether the host is still there.
    let (answer, ()) = tokio::join!(login(&app, world.ann.id), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.unlock().await;
    });
    answer.expect(200, "session_opened");
}

/// A primary with a replica, the tables of Label Studio, and a user.
async fn replicated() -> (Pair, TestDatabase, i32) {
    let pair = Pair::start();
    let name = "replicated";
    crate::app::make_database(
        &|database, arguments| pair.primary.psql(database, arguments),
        name,
        "1.23.2",
        "",
    );
    let database = TestDatabase::at(&pair.primary.url("postgres", name), name).await;
    let organization = database.organization().await;
    let user = database.user("ann@example.com", organization).await;
    (pair, database, user)
}

fn both(pair: &Pair) -> String {
    let (first, second) = (pair.primary.port, pair.standby.port);
    format!("postgres://{GATE_ROLE}@127.0.0.1:{first},127.0.0.1:{second}/replicated")
}

fn sessions(server: &crate::support::replica::Server) -> i64 {
    let count = server.psql("replicated", &["-c", "SELECT count(*) FROM django_session"]);
    count.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_is_left_when_its_replica_is_promoted() {
    let (pair, database, user) = replicated().await;
    drop(database);
    // As short as in service: what was sent to a frozen server fails after it.
    let limit = ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "3000");
    let app = TestApp::start(&both(&pair), &[NO_CACHE, REQUIRE, limit]);
    // Every connection of the pool is in use once.
    for answer in join_all((0..16).map(|_| login(&app, user))).await {
        answer.expect_status(200);
    }
    let kept = login(&app, user).await;
    let kept = kept.session().unwrap().to_owned();
    pair.catch_up();

    pair.primary.freeze();
    // A replica accepts no writes, and the gate answers that it cannot decide.
    login(&app, user).await.expect(503, "database_unavailable");
    pair.standby.promote();
    let promoted = Instant::now();
    while login(&app, user).await.status != 200 {
        assert!(promoted.elapsed() < Duration::from_secs(30), "not back");
    }
    let back = promoted.elapsed();
    let before = sessions(&pair.standby);
    for answer in join_all((0..16).map(|_| login(&app, user))).await {
        answer.expect_status(200);
    }
    // A session from before lives on.
    let visit = Browser::of(&app).with_cookie("sessionid", &kept);
    visit.get("/").await.expect(200, "session_valid");

    // The old primary comes back and would accept writes too. It gets none.
    pair.primary.thaw();
    let stale = sessions(&pair.primary);
    for answer in join_all((0..16).map(|_| login(&app, user))).await {
        answer.expect_status(200);
    }
    assert_eq!(sessions(&pair.primary), stale);
    assert_eq!(sessions(&pair.standby), before + 32);
    eprintln!("back {} ms after the promotion", back.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_never_used_wherever_it_is_in_the_list() {
    let (pair, database, user) = replicated().await;
    drop(database);
    let (first, second) = (pair.primary.port, pair.standby.port);
    let url = format!("postgres://{GATE_ROLE}@127.0.0.1:{second},127.0.0.1:{first}/replicated");
    let app = TestApp::start(&url, &[NO_CACHE]);
    login(&app, user).await.expect_status(200);

    // A connection that becomes read-only is closed, and its requests go to the new primary, also
    // those that share a statement.
    pair.catch_up();
    pair.standby.promote();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let demote = "ALTER SYSTEM SET default_transaction_read_only = on";
    pair.primary.psql("postgres", &["-c", demote]);
    pair.primary
        .psql("postgres", &["-c", "SELECT pg_reload_conf()"]);
    let before = sessions(&pair.standby);
    let until = Instant::now() + Duration::from_secs(30);
    while sessions(&pair.standby) == before {
        for answer in join_all((0..12).map(|_| login(&app, user))).await {
            answer.expect_status(200);
        }
        assert!(Instant::now() < until, "logins still go to the old primary");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_leaves_no_answer_for_the_next() {
    let mut world = World::new(&[NO_CACHE, ("GATE_DATABASE_POOL_SIZE", "1")]).await;
    login(&world.app, world.ann.id).await.expect_status(200);
    let lock = world.database.owner.transaction().await.unwrap();
    let exclusive = "LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(exclusive).await.unwrap();
    // The browser goes away while its statement waits for the lock.
    let given_up = login(&world.app, world.ann.id);
    tokio::time::timeout(Duration::from_millis(300), given_up)
        .await
        .unwrap_err();
    lock.rollback().await.unwrap();
    for user in [&world.bob, &world.staff, &world.ann] {
        let answer = login(&world.app, user.id).await;
        answer.expect_status(200).expect_user(user);
    }
}
