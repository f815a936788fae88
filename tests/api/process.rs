//! The service as a process of its own, with a settings file that a test rewrites.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::app::{Answer, PATIENT, TestApp};
use crate::support::gate::{GateProcess, gate_command};
use crate::support::listens;
use crate::support::token::SECRET_KEY;

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Applied,
    Rejected,
}

/// A running service.
pub struct Service {
    pub app: TestApp,
    process: GateProcess,
    home: TempDir,
}

impl Service {
    /// Starts it, patient as a [`World`](crate::world::World), with a settings file and with variables. The file `secret_key` in its directory
    /// holds `SECRET_KEY`.
    pub fn start(settings: &str, variables: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("gate.toml"), settings).unwrap();
        std::fs::write(home.path().join("secret_key"), SECRET_KEY).unwrap();
        let mut command = gate_command();
        command
            .current_dir(home.path())
            .env_remove("SECRET_KEY")
            .env("GATE_CONFIG", "gate.toml")
            .env("GATE_HTTP_WORKERS", "2")
            .env("SECRET_KEY_FILE", "secret_key")
            .envs(PATIENT)
            .envs(variables.iter().copied());
        let process = GateProcess::start(&command, &home.path().join("log"), None);
        Self {
            app: TestApp::at(process.port),
            process,
            home,
        }
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// What it has logged since its output was `start` bytes long. A thread of its own writes that in
    /// order, so it is all there when a rejected reload is.
    pub async fn logged_since(&self, start: usize) -> String {
        let settings = std::fs::read_to_string(self.path("gate.toml")).unwrap();
        assert_eq!(self.reload("not TOML").await, Reload::Rejected);
        self.write("gate.toml", &settings);
        self.log()[start..].to_owned()
    }

    /// The sum of the metrics whose name and labels begin like this.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.app.get("/metrics").await.body;
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Sends a signal, by its option to `kill`.
    pub fn signal(&self, option: &str) {
        self.process.signal(option.trim_start_matches('-'));
    }

    /// The bytes of its memory that are resident, without those of files.
    pub fn memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.process.pid());
        let status = std::fs::read_to_string(status).unwrap();
        let anonymous = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = anonymous.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<usize>().unwrap() * 1024
    }

    /// A connection of its own.
    pub async fn connect(&self) -> TcpStream {
        let address = ("127.0.0.1", self.process.port);
        TcpStream::connect(address).await.unwrap()
    }

    /// Whether it accepts connections.
    pub fn listens(&self) -> bool {
        listens(self.process.port)
    }

    /// Whether it has ended, as it should.
    pub fn has_ended(&mut self) -> bool {
        self.process.status().is_some_and(|status| {
            assert_eq!(status, 0, "{}", self.log());
            true
        })
    }

    /// Sends SIGHUP with this settings file, and waits for what becomes of it.
    pub async fn reload(&self, settings: &str) -> Reload {
        self.write("gate.toml", settings);
        let (applied, rejected) = self.reloads("signal").await;
        self.hang_up();
        self.outcome("signal", applied, rejected).await
    }

    /// Waits for what becomes of `change` without a signal.
    pub async fn notices(&self, change: impl FnOnce(&Path)) -> Reload {
        let (applied, rejected) = self.reloads("files").await;
        change(self.home.path());
        self.outcome("files", applied, rejected).await
    }

    async fn outcome(&self, trigger: &str, applied: f64, rejected: f64) -> Reload {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (now_applied, now_rejected) = self.reloads(trigger).await;
            if now_applied > applied {
                return Reload::Applied;
            }
            if now_rejected > rejected && self.has_logged_rejections().await {
                return Reload::Rejected;
            }
            assert!(Instant::now() < until, "no reload: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the log says all that it will about rejected reloads: it is written by a thread of its
    /// own, after they are counted.
    async fn has_logged_rejections(&self) -> bool {
        let (_, by_signal) = self.reloads("signal").await;
        let (_, by_files) = self.reloads("files").await;
        let log = self.log();
        let ends = log.matches("the previous settings stay in force");
        ends.count() as f64 >= by_signal + by_files
    }

    /// Reloads that were applied and rejected so far.
    pub async fn reloads(&self, trigger: &str) -> (f64, f64) {
        let count = async |outcome: &str| {
            let name = "label_studio_gate_settings_reloads_total";
            let labels = format!("{{trigger=\"{trigger}\",outcome=\"{outcome}\"}}");
            self.metric(&format!("{name}{labels}")).await
        };
        (count("applied").await, count("rejected").await)
    }

    /// The check of a request with this token.
    pub async fn login(&self, token: &str) -> Answer {
        self.app.check("/", &format!("ls_auth_token={token}")).await
    }
}
