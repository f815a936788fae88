//! Requests share a statement that cannot go on, and then something fails. Each of them is answered
//! by itself.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use futures_util::future::join_all;

use super::{ROUNDS, another_token, login, owner, value};
use crate::app::{Answer, TestApp};
use crate::process::Service;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;
use crate::world::{NO_CACHE, World, eventually};

/// Enough for several statements, of which the later ones carry more than one request.
const CROWD: usize = 12;

/// A kind of statement, and the table whose lock holds it up.
#[derive(Clone, Copy)]
struct Kind {
    statement: &'static str,
    table: &'static str,
}

const LOGINS: Kind = Kind {
    statement: "record_login",
    table: "django_session",
};
const LOOK_UPS: Kind = Kind {
    statement: "user_by_id",
    table: "htx_user",
};

/// Users who log in at a gate all at once.
struct Crowd<'w> {
    world: &'w World,
    app: &'w TestApp,
    kind: Kind,
    users: Vec<i32>,
}

impl<'w> Crowd<'w> {
    async fn new(world: &'w World, app: &'w TestApp, kind: Kind) -> Self {
        // The gate has a connection, and has read the schema.
        let first = login(app, &another_token(world.ann.id, 0)).await;
        first.expect_status(200);
        let users = world.database.crowd(CROWD, world.organization).await;
        Self {
            world,
            app,
            kind,
            users,
        }
    }

    /// Repeats `round` until requests have shared a statement, which a busy machine may keep from
    /// happening.
    async fn until_shared(&self, round: impl AsyncFn(usize)) {
        for n in 0..ROUNDS {
            round(n).await;
            if self.has_shared().await {
                return;
            }
        }
        panic!("no two requests have shared {}", self.kind.statement);
    }

    async fn has_shared(&self) -> bool {
        let page = self.app.get("/metrics").await.body;
        let labels = format!("{{statement=\"{}\"}}", self.kind.statement);
        let of = |sample: &str| value(&page, &format!("statement_requests_{sample}{labels}"));
        of("sum") > of("count")
    }

    /// Everybody logs in while nobody can. Has `fault` happen once all of them wait, and then lets
    /// them go on.
    async fn log_in_during(&self, round: usize, fault: impl AsyncFnOnce()) -> Vec<(i32, Answer)> {
        self.lock().await;
        let (answers, ()) = tokio::join!(self.log_in(round), async {
            self.wait_for(CROWD, 3).await;
            fault().await;
            self.unlock().await;
        });
        answers
    }

    async fn log_in(&self, round: usize) -> Vec<(i32, Answer)> {
        let logins = self.users.iter().map(async |id| {
            let answer = login(self.app, &another_token(*id, round)).await;
            (*id, answer)
        });
        join_all(logins).await
    }

    /// Nothing of this kind goes on.
    async fn lock(&self) {
        let table = self.kind.table;
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        self.world.database.run(&lock).await;
    }

    async fn unlock(&self) {
        self.world.database.run("COMMIT").await;
    }

    /// Waits until so many requests wait for Postgres, in so many statements or for one of them. What
    /// waited while two were under way shares the third.
    async fn wait_for(&self, requests: usize, statements: usize) {
        eventually("all of them wait", async || {
            waiting(self.app).await >= requests && self.world.stuck() >= statements
        })
        .await;
    }

    /// Nothing is left of what failed, and everybody can log in.
    async fn expect_all_well(&self) {
        eventually("nobody waits", async || waiting(self.app).await == 0).await;
        eventually("no open transaction", async || {
            CLUSTER.gate_connections(&self.world.database.name, "state LIKE '%transaction%'") == 0
        })
        .await;
        for (id, answer) in self.log_in(ROUNDS).await {
            expect_own_session(self.world, id, &answer).await;
        }
    }
}

/// The number of this gate's requests that Postgres has not answered.
async fn waiting(app: &TestApp) -> usize {
    let page = app.get("/metrics").await.body;
    value(&page, "pool_waiting") + value(&page, "pool_connections{state=\"in_use\"}")
}

/// The process IDs of the gate's connections.
fn connections(world: &World) -> BTreeSet<String> {
    let database = &world.database.name;
    let query = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND usename = '{GATE_ROLE}'"
    );
    let pids = CLUSTER.psql("postgres", &["-c", &query]);
    pids.split_whitespace().map(str::to_owned).collect()
}

async fn expect_own_session(world: &World, id: i32, answer: &Answer) {
    answer.expect(200, "session_opened");
    assert_eq!(owner(world, answer.session().unwrap()).await, Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_cost_nobody_an_answer() {
    for kind in [LOGINS, LOOK_UPS] {
        let world = World::new(&[NO_CACHE]).await;
        let crowd = Crowd::new(&world, &world.app, kind).await;
        let (database, who) = (&world.database.name, GATE_ROLE);
        let terminate = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}' AND usename = '{who}'"
        );
        crowd
            .until_shared(async |round| {
                let before = world.sessions().await;
                let broken = async || {
                    CLUSTER.psql("postgres", &["-c", &terminate]);
                };
                for (id, answer) in crowd.log_in_during(round, broken).await {
                    expect_own_session(&world, id, &answer).await;
                }
                let opened = world.sessions().await - before;
                assert_eq!(opened, CROWD as i64, "one for each");
            })
            .await;
        crowd.expect_all_well().await;
    }
}

/// A statement goes on without those of its requests that nobody waits for any more, whether it is
/// under way or still needs a connection.
#[tokio::test(flavor = "multi_thread")]
async fn browsers_that_go_away_take_no_answer_with_them() {
    for (kind, connections) in [(LOGINS, 16), (LOGINS, 2), (LOOK_UPS, 16)] {
        let pool = connections.to_string();
        let world = World::new(&[NO_CACHE, ("GATE_DATABASE_POOL_SIZE", &pool)]).await;
        let crowd = Crowd::new(&world, &world.app, kind).await;
        let (ann, leavers) = (world.ann.id, 8);
        crowd
            .until_shared(async |round| {
                crowd.lock().await;
                let tokens = (0..leavers).map(|n| another_token(ann, 1000 * round + n));
                let browsers: Vec<TcpStream> =
                    tokens.map(|token| ask(&world.app, &token)).collect();
                let (answers, ()) = tokio::join!(crowd.log_in(round), async {
                    crowd.wait_for(CROWD + leavers, connections.min(3)).await;
                    for browser in browsers {
                        hang_up(browser);
                    }
                    eventually("the gate has noticed", async || {
                        waiting(&world.app).await <= CROWD
                    })
                    .await;
                    crowd.unlock().await;
                });
                for (id, answer) in answers {
                    expect_own_session(&world, id, &answer).await;
                }
            })
            .await;
        crowd.expect_all_well().await;
    }
}

/// A browser that asks, and does not wait for the answer yet.
fn ask(app: &TestApp, token: &str) -> TcpStream {
    let cookie = format!("Cookie: ls_auth_token={token}");
    let head =
        format!("GET /auth/nginx HTTP/1.1\r\nHost: x\r\nX-Original-URI: /\r\n{cookie}\r\n\r\n");
    send(app, &head)
}

/// Sends a request and does not wait for the answer.
pub fn send(app: &TestApp, request: &str) -> TcpStream {
    let address = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Resets the connection, which the gate notices at once.
pub fn hang_up(browser: TcpStream) {
    let socket = socket2::SockRef::from(&browser);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(browser);
}

/// Requests in a statement that timed out are sent again on their own; one that times out again gets 503.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_of_a_statement_fails_no_more_than_it() {
    let brief = ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "2000");
    for kind in [LOGINS, LOOK_UPS] {
        let world = World::new(&[NO_CACHE, brief]).await;
        let crowd = Crowd::new(&world, &world.app, kind).await;
        crowd.lock().await;
        let (answers, ()) = tokio::join!(crowd.log_in(0), async {
            eventually("statements are canceled", async || {
                let page = world.app.get("/metrics").await.body;
                value(&page, "statement_failures_total{cause=\"timeout\"}") > 2
            })
            .await;
            crowd.unlock().await;
        });
        let (right, late): (Vec<_>, Vec<_>) =
            answers.iter().partition(|(_, answer)| answer.status == 200);
        for (id, answer) in &right {
            expect_own_session(&world, *id, answer).await;
        }
        for (_, answer) in late {
            answer
                .expect(503, "database_unavailable")
                .expect_no_session();
        }
        let opened = world.sessions().await - 1;
        assert_eq!(opened, right.len() as i64, "none but theirs");
        crowd.expect_all_well().await;
    }
}

/// Two gates get the same token while somebody has locked the user's row: the second login waits for the
/// first and then for the row, each as long as a statement may take. Whether its gate answers it or has
/// given it up by then, no other connection suffers.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_waits_for_two_locks_costs_no_other_connection() {
    for decision in ["30000", "1000"] {
        let brief = ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "2000");
        let other_settings = [NO_CACHE, brief];
        let settings = [NO_CACHE, brief, ("GATE_HTTP_DECISION_TIMEOUT_MS", decision)];
        let world = World::new(&settings).await;
        let other = world.gate(&other_settings);
        login(&other, &native(world.bob.id)).await;
        let crowd = world.database.crowd(CROWD, world.organization).await;
        join_all(
            crowd
                .iter()
                .map(async |id| login(&world.app, &native(*id)).await),
        )
        .await;
        let before = connections(&world);
        world.lock(world.ann.id).await;
        let token = native(world.ann.id);
        let (first, second) = tokio::join!(login(&other, &token), async {
            eventually("the first waits", async || world.stuck() == 1).await;
            login(&world.app, &token).await
        });
        first.expect_status(503);
        second.expect_status(503);
        eventually("no statement waits", async || world.stuck() == 0).await;
        let after = connections(&world);
        assert!(before.is_subset(&after), "{before:?}, {after:?}");
        world.unlock().await;
    }
}

/// A request that was given up keeps its share of the pool until its statement has come back.
#[tokio::test(flavor = "multi_thread")]
async fn browsers_that_go_away_do_not_take_the_pool_with_them() {
    let world = World::new(&[NO_CACHE]).await;
    login(&world.app, &native(world.bob.id))
        .await
        .expect_status(200);
    world.lock(world.ann.id).await;
    for round in 0..3 {
        let tokens = (0..10).map(|n| another_token(world.ann.id, 10 * round + n));
        let browsers: Vec<TcpStream> = tokens.map(|token| ask(&world.app, &token)).collect();
        eventually("one of them waits for the row", async || world.stuck() == 1).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(world.stuck(), 1, "as long as it does, no other");
        browsers.into_iter().for_each(hang_up);
    }
    login(&world.app, &native(world.bob.id))
        .await
        .expect_status(200);
    world.unlock().await;
}

/// A grant is withdrawn while statements are under way: nobody gets in, and everybody does once it is
/// back.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_withdrawn_fails_each_request_with_the_reason() {
    for kind in [LOGINS, LOOK_UPS] {
        let world = World::new(&[NO_CACHE]).await;
        let crowd = Crowd::new(&world, &world.app, kind).await;
        let before = world.sessions().await;
        let right = format!("SELECT ON {}", kind.table);
        let withdrawn = async || {
            let revoke = format!("REVOKE {right} FROM {GATE_ROLE}");
            world.database.run(&revoke).await;
        };
        for (_, answer) in crowd.log_in_during(0, withdrawn).await {
            answer
                .expect(503, "database_unavailable")
                .expect_no_session();
        }
        assert_eq!(world.sessions().await, before);
        let grant = format!("GRANT {right} TO {GATE_ROLE}");
        world.database.run(&grant).await;
        crowd.expect_all_well().await;
    }
}

/// A gate that is told to stop answers those who share a statement and those who wait for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gate_answers_all_waiting_requests() {
    let world = World::new(&[]).await;
    let url = world.database.gate_url();
    let mut gate = Service::start("", &[("DATABASE_URL", &url)]);
    let app = gate.app.clone();
    let crowd = Crowd::new(&world, &app, LOGINS).await;
    let told = async || {
        gate.signal("-TERM");
        eventually("it accepts no connection", async || !gate.listens()).await;
    };
    for (id, answer) in crowd.log_in_during(0, told).await {
        expect_own_session(&world, id, &answer).await;
    }
    eventually("it ends", async || gate.has_ended()).await;
}
