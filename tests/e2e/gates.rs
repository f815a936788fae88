//! Gates that freeze and restart under load, behind the real nginx.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::browser::Browser;
use crate::label_studio::{database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, gate_command};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;
use crate::support::{client_builder, free_port, listens, wait_until};

/// Holds the port as systemd does (sd_listen_fds(3)), and starts the gate again whenever it has
/// ended.
const SOCKET_UNIT: &str = "import os, socket, subprocess, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(2**31 - 1)
os.dup2(s.fileno(), 3)
start = ['sh', '-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"', 'sh'] + sys.argv[2:]
while True:
    gate = subprocess.Popen(start, pass_fds=(3,))
    print(gate.pid, flush=True)
    gate.wait()";

/// A process that a test signals. It ends with the test.
struct Process(Child);

impl Process {
    fn gate(port: u16, database: &str) -> Self {
        let mut command = gate_command(port, Engine::Database, CLUSTER.port(), database);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let gate = Self(child.unwrap());
        wait_until(|| listens(port), || "the gate does not listen".to_owned());
        gate
    }

    fn signal(&self, name: &str) {
        signal(&self.0.id().to_string(), name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(id: &str, name: &str) {
    let sent = Command::new("kill").args(["-s", name, id]).status();
    assert!(sent.unwrap().success());
}

/// A Label Studio that answers with the cookies it got.
fn studio() -> Stub {
    Stub::start(|head| {
        let cookies = head
            .lines()
            .find(|line| line.to_lowercase().starts_with("cookie:"));
        Reply::of(200, cookies.unwrap_or_default())
    })
}

fn user(database: &str) -> i32 {
    let email = seeded("GATE_DEMO_USER_EMAIL");
    let query = format!("SELECT id FROM htx_user WHERE email = '{email}'");
    CLUSTER
        .psql(database, &["-c", &query])
        .trim()
        .parse()
        .unwrap()
}

/// Sends requests from eight browsers until `stop`. Returns how long each took. Fails unless each
/// was answered as the user.
async fn load(url: &str, user: i32, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let browsers: Vec<Browser> = (0..8)
        .map(|_| Browser::new(url).with_token(&native(user)))
        .collect();
    let requests = join_all(browsers.iter().map(async |browser| {
        let mut took = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let answer = browser.get("/").await;
            took.push(begun.elapsed());
            let (status, reason) = (answer.status(), format!("{:?}", answer.headers()));
            let body = answer.text().await.unwrap();
            assert!(
                status == 200 && body.contains("sessionid="),
                "{status} {reason} {body}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took
    }));
    let mut took = requests.await.concat();
    took.sort();
    took
}

/// Asks on a new connection each time until `stop`, and returns how often. Fails unless each was
/// answered: nginx would not ask a second time on a new connection if it has one gate.
async fn knock(port: u16, stop: Arc<AtomicBool>) -> usize {
    let client = client_builder().pool_max_idle_per_host(0).build().unwrap();
    let url = format!("http://127.0.0.1:{port}/health/live");
    let knocks = (0..8).map(async |_| {
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = client.get(&url).send().await;
            let answer = answer.unwrap_or_else(|error| panic!("a new connection: {error:?}"));
            assert_eq!(answer.status(), 200);
            answered += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answered
    });
    join_all(knocks).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_gate_delays_few_requests_and_fails_none() {
    let (database, studio) = (database(), studio());
    let user = user(&database);
    for binary in binaries() {
        let ports = [free_port(), free_port()];
        let gates = ports.map(|port| Process::gate(port, &database));
        let nginx = Nginx::start(&binary, &ports, studio.port);
        let stop = Arc::new(AtomicBool::new(false));
        let (url, flag) = (nginx.url.clone(), stop.clone());
        let load = tokio::spawn(async move { load(&url, user, flag).await });
        tokio::time::sleep(Duration::from_secs(2)).await;
        gates[0].signal("STOP");
        tokio::time::sleep(Duration::from_secs(12)).await;
        gates[0].signal("CONT");
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::Relaxed);
        let took = load.await.unwrap();
        // The requests that the frozen gate had, and one for each time that nginx tries it again.
        let late = took
            .iter()
            .filter(|time| **time > Duration::from_secs(3))
            .count();
        assert!(
            (1..=16).contains(&late),
            "{late} of {} were late",
            took.len()
        );
        let most = took.last().unwrap();
        assert!(*most < Duration::from_secs(8), "{most:?}");
        let typical = took[took.len() / 2];
        assert!(typical < Duration::from_secs(1), "{typical:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_the_socket_unit_loses_nothing_under_load() {
    use std::io::{BufRead as _, BufReader};
    let (database, studio) = (database(), studio());
    let user = user(&database);
    let port = free_port();
    let gate = gate_command(free_port(), Engine::Database, CLUSTER.port(), &database);
    let mut unit = Command::new("python3");
    unit.args(["-c", SOCKET_UNIT, &port.to_string()])
        .arg(gate.get_program());
    unit.envs(
        gate.get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let mut unit = Process(
        unit.stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut started = BufReader::new(unit.0.stdout.take().unwrap()).lines();
    let mut running = started.next().unwrap().unwrap();
    for binary in binaries() {
        let nginx = Nginx::start(&binary, &[port], studio.port);
        let stop = Arc::new(AtomicBool::new(false));
        let (url, flag) = (nginx.url.clone(), stop.clone());
        let load = tokio::spawn(async move { load(&url, user, flag).await });
        let knocks = tokio::spawn(knock(port, stop.clone()));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            signal(&running, "TERM");
            running = tokio::task::block_in_place(|| started.next().unwrap().unwrap());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.store(true, Ordering::Relaxed);
        let took = load.await.unwrap();
        assert!(took.len() > 100, "{} requests", took.len());
        let knocks = knocks.await.unwrap();
        assert!(knocks > 100, "{knocks} new connections");
    }
    // The holder first, so that it does not start another one.
    drop(unit);
    signal(&running, "TERM");
}
