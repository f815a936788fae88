//! Gates that freeze and restart under load, behind the real nginx.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use crate::browser::Browser;
use crate::label_studio::{database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess, gate_command};
use crate::support::cluster::CLUSTER;
use crate::support::leash::Leash;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;
use crate::support::{client_builder, free_port, wait_until};

/// Holds the port as systemd does (sd_listen_fds(3)), and starts the gate again whenever it has
/// ended.
const SOCKET_UNIT: &str = "import os, socket, subprocess, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(2**31 - 1)
os.dup2(s.fileno(), 3)
start = ['sh', '-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"', 'sh'] + sys.argv[2:]
while True:
    gate = subprocess.Popen(start, pass_fds=(3,), stderr=subprocess.DEVNULL)
    print(gate.pid, flush=True)
    gate.wait()";

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

/// Sends requests from eight browsers until `stop`, and returns how many. Fails unless each was
/// answered as the user.
async fn load(url: &str, user: i32, stop: Arc<AtomicBool>) -> usize {
    let browsers: Vec<Browser> = (0..8)
        .map(|_| Browser::new(url).with_token(&native(user)))
        .collect();
    let requests = browsers.iter().map(async |browser| {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let answer = browser.get("/").await;
            sent += 1;
            let (status, reason) = (answer.status(), format!("{:?}", answer.headers()));
            let body = answer.text().await.unwrap();
            assert!(
                status == 200 && body.contains("sessionid="),
                "{status} {reason} {body}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent
    });
    join_all(requests).await.into_iter().sum()
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
        let gates =
            [(); 2].map(|()| GateProcess::start(Engine::Database, CLUSTER.port(), &database));
        let ports = [&gates[0], &gates[1]].map(|gate| gate.port);
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
        let sent = load.await.unwrap();
        let [late, twice_late] = ports.map(|port| timeouts(&nginx, port));
        // The requests that the frozen gate had, and one for each time that nginx tries it again.
        assert!((1..=16).contains(&late), "{late} of {sent} were late");
        assert_eq!(twice_late, 0, "the other gate answers");
        assert!(sent > 100, "{sent} requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_frozen_gates_hold_up_few_requests() {
    let (database, studio) = (database(), studio());
    for binary in binaries() {
        let gates =
            [(); 2].map(|()| GateProcess::start(Engine::Database, CLUSTER.port(), &database));
        let ports = [&gates[0], &gates[1]].map(|gate| gate.port);
        let nginx = Nginx::start(&binary, &ports, studio.port);
        for gate in &gates {
            gate.signal("STOP");
        }
        let ask = async |requests: usize| {
            let before: usize = ports.map(|port| timeouts(&nginx, port)).iter().sum();
            let browsers = (0..requests).map(|_| Browser::new(&nginx.url));
            let answers = browsers.map(async |browser| browser.get("/").await.status());
            let answers = join_all(answers).await;
            assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
            let after: usize = ports.map(|port| timeouts(&nginx, port)).iter().sum();
            after - before
        };
        // nginx finds out about the two gates, and that asking them all the same is of no use.
        ask(4).await;
        ask(4).await;
        let waited = ask(20).await;
        // A few try whether a gate is back.
        assert!(waited < 20, "{}: waited {waited} times", binary.display());
        for gate in &gates {
            gate.signal("CONT");
        }
    }
}

/// How often nginx has waited in vain for the answer of the gate on this port.
fn timeouts(nginx: &Nginx, port: u16) -> usize {
    let log = nginx.read("error.log");
    let upstream = format!("upstream: \"http://127.0.0.1:{port}/");
    let of_gate = |line: &&str| line.contains("upstream timed out") && line.contains(&upstream);
    log.lines().filter(of_gate).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_the_socket_unit_loses_nothing_under_load() {
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
    let home = tempfile::tempdir().unwrap();
    let told = home.path().join("unit.log");
    // What ends the unit also ends the gate that it has started.
    let _unit = Leash::start(&unit, "TERM", &told, None);
    let started = |n: usize| {
        let pids = || std::fs::read_to_string(&told).unwrap_or_default();
        wait_until(
            || pids().lines().count() > n,
            || format!("no gate: {}", pids()),
        );
        pids().lines().nth(n).unwrap().to_owned()
    };
    let mut gates = 0;
    let mut running = started(gates);
    for binary in binaries() {
        let nginx = Nginx::start(&binary, &[port], studio.port);
        let stop = Arc::new(AtomicBool::new(false));
        let (url, flag) = (nginx.url.clone(), stop.clone());
        let load = tokio::spawn(async move { load(&url, user, flag).await });
        let knocks = tokio::spawn(knock(port, stop.clone()));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            signal(&running, "TERM");
            gates += 1;
            running = tokio::task::block_in_place(|| started(gates));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.store(true, Ordering::Relaxed);
        let sent = load.await.unwrap();
        assert!(sent > 100, "{sent} requests");
        let knocks = knocks.await.unwrap();
        assert!(knocks > 100, "{knocks} new connections");
    }
}
