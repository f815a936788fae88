//! SIGHUP for a gate behind nginx, with people at work in Label Studio.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::browser::Browser;
use crate::login::fresh;
use crate::nginx::{Nginx, binaries};
use crate::stack::{GateProcess, Stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::token::native;
use crate::support::wait_until;

/// Logs in again and again: a new user each time, a request with their session, and one by nobody.
async fn work(stack: &'static Stack, url: String, rounds: Arc<AtomicUsize>, done: Arc<AtomicBool>) {
    while !done.load(Ordering::Relaxed) {
        let email = format!("reload{}@example.test", fresh());
        let browser = Browser::new(&url).with_token(&native(stack.user(&email)));
        for _ in 0..2 {
            assert_eq!(browser.whoami().await.as_ref(), Some(&email));
        }
        assert_eq!(Browser::new(&url).whoami().await, None);
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_interrupt_nobody() {
    for stack in stacks() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("gate.toml");
        let write = |pool: usize| {
            std::fs::write(&file, format!("[database]\npool_size = {pool}\n")).unwrap();
        };
        write(16);
        let settings = [("GATE_CONFIG", file.to_str().unwrap())];
        let gate =
            GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings);
        let binary = &binaries()[0];
        let proxy = Nginx::start(binary, &[gate.port], stack.label_studio.port);
        let (rounds, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let workers: Vec<_> = (0..3)
            .map(|_| tokio::spawn(work(stack, proxy.url.clone(), rounds.clone(), done.clone())))
            .collect();
        for n in 1..=10 {
            write(n);
            let before = rounds.load(Ordering::Relaxed);
            gate.hang_up();
            let reloaded = || gate.log().matches("\"reloaded the settings\"").count() == n;
            let worked = || rounds.load(Ordering::Relaxed) > before;
            wait_until(|| reloaded() && worked(), || gate.log());
        }
        done.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.unwrap();
        }
        let log = gate.log();
        assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    }
}
