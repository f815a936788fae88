//! A log that cannot be written, or that nobody reads, holds up nothing.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::app::PATIENT;
use crate::support::token::{SECRET_KEY, native};
use crate::support::{client, free_port, listens, wait_until};
use crate::world::World;

/// The service as a process of its own, whose log goes to `log`.
struct Service {
    process: Child,
    url: String,
}

impl Service {
    fn start(world: &World, log: Stdio) -> Self {
        let port = free_port();
        let process = Command::new(env!("CARGO_BIN_EXE_label-studio-gate"))
            .env("GATE_HTTP_LISTEN", format!("127.0.0.1:{port}"))
            .env("SECRET_KEY", SECRET_KEY)
            .env("DATABASE_URL", world.database.gate_url())
            .env("GATE_LOG_LEVEL", "debug")
            .envs(PATIENT)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let service = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        wait_until(|| listens(port), || "it did not start".to_owned());
        service
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
                    .get(format!("{}/auth/nginx", self.url))
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
        let answer = client().get(format!("{}/metrics", self.url)).send();
        let text = answer.await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .trim()
            .parse()
            .unwrap()
    }

    /// Ends it as an operator does.
    fn stop(mut self) {
        let asked = Instant::now();
        let pid = self.process.id().to_string();
        Command::new("kill").arg(&pid).status().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

const LOST: &str = "label_studio_gate_log_lines_lost_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_log_fails_no_login() {
    let world = World::new(&[]).await;
    let full = File::options().write(true).open("/dev/full").unwrap();
    let service = Service::start(&world, full.into());
    service.log_in(world.ann.id, 250).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let lost = service.metric(LOST).await;
    assert!(lost >= 250, "{lost}");
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
    let live = client().get(format!("{}/health/live", service.url));
    assert_eq!(live.send().await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(service.metric(LOST).await > 0);

    // Somebody reads again.
    let reading = std::thread::spawn(move || {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(reader).lines();
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("log lines were lost"))
    });
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        service.log_in(world.ann.id, 1).await;
    }
    service.stop();
    assert!(reading.join().unwrap(), "nobody told what was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_log_does_not_hold_up_the_end() {
    let world = World::new(&[]).await;
    let (_reader, writer) = std::io::pipe().unwrap();
    let service = Service::start(&world, writer.into());
    service.flood().await;
    service.stop();
}
