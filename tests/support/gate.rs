//! A gate as a process of its own, on a port that the kernel chooses.

use std::path::Path;
use std::process::{Command, Stdio};

use super::leash::Leash;
use super::token::SECRET_KEY;
use super::wait_until;

/// A running gate. Dropping it ends the process.
pub struct GateProcess {
    pub port: u16,
    leash: Leash,
}

/// The gate's binary with Label Studio's key.
pub fn gate_command() -> Command {
    gate_command_of(env!("CARGO_BIN_EXE_label-studio-gate"))
}

/// The same with a program that becomes the gate.
pub fn gate_command_of(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("GATE_HTTP_LISTEN", "127.0.0.1:0")
        .env("SECRET_KEY", SECRET_KEY);
    command
}

impl GateProcess {
    /// Starts a gate that writes to `log`, and waits until it listens. `remove`: a directory to remove
    /// when it has ended.
    pub fn start(command: &Command, log: &Path, remove: Option<&Path>) -> Self {
        let leash = Leash::start(command, "TERM", log, remove);
        Self::listening(leash, || std::fs::read_to_string(log).unwrap_or_default())
    }

    /// Starts a gate whose log goes elsewhere.
    pub fn start_into(command: &Command, log: Stdio) -> Self {
        let leash = Leash::start_into(command, "TERM", log, None);
        Self::listening(leash, String::new)
    }

    fn listening(leash: Leash, said: impl Fn() -> String) -> Self {
        let port = || listening_port(leash.pid());
        let started = || port().is_some() || leash.status().is_some();
        wait_until(started, || format!("the gate does not listen: {}", said()));
        let port = port();
        let port = port.unwrap_or_else(|| panic!("the gate has ended: {}", said()));
        Self { port, leash }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    pub fn signal(&self, signal: &str) {
        self.leash.signal(signal);
    }

    /// The exit status if it has ended by itself.
    pub fn status(&self) -> Option<u32> {
        self.leash.status()
    }

    /// Ends it as an operator does, and returns its exit status.
    pub fn terminate(&self) -> u32 {
        self.leash.end("TERM")
    }
}

/// The port of the socket with which the process listens (proc_pid_net(5)).
fn listening_port(pid: u32) -> Option<u16> {
    const LISTEN: &str = "0A";
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let sockets: Vec<String> = files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_its = *state == LISTEN && sockets.contains(&format!("socket:[{inode}]"));
        let (_, port) = address.split_once(':').filter(|_| is_its)?;
        u16::from_str_radix(port, 16).ok()
    })
}
