//! A log that cannot be written, or that nobody reads, holds up nothing.

use std::fs::File;
use std::process::Stdio;

use futures_util::future::join_all;

use crate::app::PATIENT;
use crate::support::client;
use crate::support::gate::{GateProcess, gate_command};
use crate::support::token::native;
use crate::world::{World, eventually};

/// A gate whose log goes to `log`.
struct Service(GateProcess);

impl Service {
    fn start(world: &World, log: Stdio) -> Self {
        let mut command = gate_command();
        command
            .env("DATABASE_URL", world.database.gate_url())
            .env("GATE_LOG_LEVEL", "debug")
            .envs(PATIENT);
        Self(GateProcess::start_into(&command, log))
    }

    /// Logs in so often, each time with another token.
    async fn log_in(&self, user: i32, times: usize) {
        let cookie = || format!("ls_auth_token={}", native(user));
        self.check(times, cookie).await;
    }

    /// Sends as many requests as the log can hold lines, and more: the pipe holds some hundred, the
    /// queue some thousand.
    async fn flood(&self) {
        self.check(12_000, String::new).await;
    }

    async fn check(&self, times: usize, cookie: impl Fn() -> String) {
        let client = client();
        for _ in 0..times.div_ceil(50) {
            let checks = (0..50).map(|_| {
                client
                    .get(format!("{}/auth/nginx", self.0.url()))
                    .header("X-Original-URI", "/projects/".to_owned() + &"x".repeat(200))
                    .header("Cookie", cookie())
                    .send()
            });
            for answer in join_all(checks).await {
                assert_eq!(answer.unwrap().status(), 200);
            }
        }
    }

    /// The value of a metric.
    async fn metric(&self, name: &str) -> u64 {
        let answer = client().get(format!("{}/metrics", self.0.url())).send();
        let text = answer.await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Ends it as an operator does.
    fn stop(self) {
        assert_eq!(self.0.terminate(), 0);
    }
}

const LOST: &str = "label_studio_gate_log_lines_lost_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_log_fails_no_login() {
    let world = World::new(&[]).await;
    let full = File::options().write(true).open("/dev/full").unwrap();
    let service = Service::start(&world, full.into());
    service.log_in(world.ann.id, 250).await;
    eventually("each login has lost a line", async || {
        service.metric(LOST).await >= 250
    })
    .await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_gone_fails_no_login() {
    let world = World::new(&[]).await;
    let (reader, writer) = std::io::pipe().unwrap();
    let service = Service::start(&world, writer.into());
    drop(reader);
    service.log_in(world.ann.id, 250).await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing_and_tells_later_what_it_lost() {
    let world = World::new(&[]).await;
    let (reader, writer) = std::io::pipe().unwrap();
    let service = Service::start(&world, writer.into());
    service.flood().await;
    service.log_in(world.ann.id, 50).await;
    let live = client().get(format!("{}/health/live", service.0.url()));
    assert_eq!(live.send().await.unwrap().status(), 200);
    let is_lost = async || service.metric(LOST).await > 0;
    eventually("lines are lost", is_lost).await;

    // Somebody reads again.
    let reading = std::thread::spawn(move || {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(reader).lines();
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("log lines were lost"))
    });
    eventually("the log tells what it lost", async || {
        service.log_in(world.ann.id, 1).await;
        reading.is_finished()
    })
    .await;
    service.stop();
    assert!(reading.join().unwrap(), "the log has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_log_does_not_hold_up_the_end() {
    let world = World::new(&[]).await;
    let (_reader, writer) = std::io::pipe().unwrap();
    let service = Service::start(&world, writer.into());
    service.flood().await;
    service.stop();
}
