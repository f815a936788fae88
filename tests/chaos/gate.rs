//! A gate: the project's binary as a process that faults can stop, kill, freeze and limit.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{lives, signal, tree};
use crate::support::leash::Leash;
use crate::support::token::SECRET_KEY;
use crate::support::{free_port, listens, wait_until};

/// Django's session engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    SignedCookies,
    Database,
}

impl Engine {
    pub const BOTH: [Self; 2] = [Self::SignedCookies, Self::Database];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SignedCookies => "signed_cookies",
            Self::Database => "db",
        }
    }
}

/// Environment variables.
pub type Variables = Vec<(String, String)>;

/// A gate. It runs, or has been stopped.
pub struct Gate {
    pub port: u16,
    pub log: PathBuf,
    settings: Variables,
    /// What starts the gate: its binary, or a program that starts it.
    before: Vec<String>,
    binary: PathBuf,
    leash: Option<Leash>,
    pub pid: u32,
}

/// The gate to test: `GATE_TEST_BINARY`, or the one that cargo built beside this program.
pub fn binary() -> PathBuf {
    std::env::var_os("GATE_TEST_BINARY").map_or_else(
        || env!("CARGO_BIN_EXE_label-studio-gate").into(),
        PathBuf::from,
    )
}

/// Whether the gate knows this setting, which an earlier version does not.
pub fn knows(name: &str, value: &str) -> bool {
    let mut command = Command::new(binary());
    command.arg("check-config").env("SECRET_KEY", SECRET_KEY);
    let output = command.env(name, value).output();
    output.is_ok_and(|output| output.status.success())
}

impl Gate {
    /// A gate that does not run yet; its log is in `home`.
    pub fn new(home: &Path, settings: Variables, before: Vec<String>) -> Self {
        let port = free_port();
        Self {
            port,
            log: home.join(format!("gate-{port}.log")),
            settings,
            before,
            binary: binary(),
            leash: None,
            pid: 0,
        }
    }

    /// The same settings on a port of its own.
    pub fn twin(&self, more: &[(&str, &str)]) -> Self {
        let home = self.log.parent().expect("a directory");
        let mut twin = Self::new(home, self.settings.clone(), self.before.clone());
        twin.set(more);
        twin
    }

    /// Adds settings, which the next start uses.
    pub fn set(&mut self, more: &[(&str, &str)]) {
        for (name, value) in more {
            self.settings.retain(|(known, _)| known != name);
            self.settings
                .push(((*name).to_owned(), (*value).to_owned()));
        }
    }

    /// Removes a setting, which the next start leaves out.
    pub fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| known != name);
    }

    /// Has the next start use another binary.
    pub fn use_binary(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// The command that starts this gate.
    pub fn command(&self) -> Command {
        let binary = self.binary.display().to_string();
        let mut words = self.before.iter().chain([&binary]);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .env("GATE_HTTP_LISTEN", format!("127.0.0.1:{}", self.port))
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn start(&mut self) {
        let log = self.log.clone();
        self.start_with(&log);
    }

    /// Starts the gate with its log in this file, and waits until it listens.
    pub fn start_with(&mut self, log: &Path) {
        self.start_by(&self.command(), log);
    }

    /// Starts the gate by this command.
    pub fn start_by(&mut self, command: &Command, log: &Path) {
        let leash = Leash::start(command, "TERM", log, None);
        self.pid = leash.pid();
        self.leash = Some(leash);
        let said = || std::fs::read_to_string(&self.log).unwrap_or_default();
        let said = || format!("the gate does not start: {}", said());
        wait_until(|| listens(self.port), said);
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        self.leash = None;
    }

    pub fn kill(&mut self) {
        signal("KILL", &tree(self.pid));
        self.leash = None;
    }

    pub fn freeze(&self) {
        signal("STOP", &tree(self.pid));
    }

    pub fn thaw(&self) {
        signal("CONT", &tree(self.pid));
    }

    /// Starts the gate again as it was, if it does not run.
    pub fn revive(&mut self) {
        if self.leash.is_none() || !lives(self.pid) {
            self.leash = None;
            self.start();
        }
    }
}
