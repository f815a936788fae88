//! A primary and its streaming replica, which tests freeze and promote.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::cluster::{find_bin, initdb, own, postgres_command, run};
use super::leash::Leash;
use super::{free_port, wait_until};

/// A Postgres server with its data in a directory of its own.
pub struct Server {
    pub port: u16,
    data: PathBuf,
    _leash: Leash,
    /// Holds the logs, and is removed with the last server in it.
    _home: Arc<TempDir>,
}

/// A primary and a replica that streams from it.
pub struct Pair {
    pub primary: Server,
    pub standby: Server,
}

impl Pair {
    /// Starts both. The replica begins as a copy of the primary's files.
    pub fn start() -> Self {
        let home = tempfile::Builder::new()
            .prefix("gate-test-")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        let home = Arc::new(home);
        let (first, second) = (home.path().join("first"), home.path().join("second"));
        own(home.path());
        initdb(&first);
        run(Command::new("cp").arg("-a").arg(&first).arg(&second));
        let (first_port, second_port) = (free_port(), free_port());
        let follow = format!("host=127.0.0.1 port={first_port} user=postgres");
        std::fs::write(second.join("standby.signal"), "").expect("written");
        own(home.path());
        let primary = Server::start(&home, first, first_port, &[]);
        let follow = format!("primary_conninfo={follow}");
        let standby = Server::start(&home, second, second_port, &["-c", &follow]);
        let pair = Self { primary, standby };
        let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let streams = || pair.primary.psql("postgres", &["-c", streaming]).trim() == "1";
        wait_until(streams, || "the replica does not stream".to_owned());
        pair
    }

    /// Waits until the replica has everything that the primary has.
    pub fn catch_up(&self) {
        let now = self
            .primary
            .psql("postgres", &["-c", "SELECT pg_current_wal_lsn()"]);
        let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", now.trim());
        let is_there = || self.standby.psql("postgres", &["-c", &caught_up]).trim() == "t";
        wait_until(is_there, || "the replica does not catch up".to_owned());
    }
}

impl Server {
    fn start(home: &Arc<TempDir>, data: PathBuf, port: u16, options: &[&str]) -> Self {
        let mut server = postgres_command(&find_bin().join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(home.path());
        server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        server.args(["-c", "fsync=off", "-c", "max_connections=200"]);
        server.args(options).current_dir("/");
        let log = home.path().join(format!("{port}.log"));
        let leash = Leash::start(&server, "QUIT", &log, Some(&data));
        let server = Self {
            port,
            data,
            _leash: leash,
            _home: home.clone(),
        };
        let answers = || server.try_psql("postgres", &["-c", "SELECT 1"]).is_ok();
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until(answers, said);
        server
    }

    /// The connection URL of `role` for `database`.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    fn try_psql(&self, database: &str, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(super::cluster::psql())
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .arg(self.url("postgres", database))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Runs psql as the superuser; fails if a statement fails.
    pub fn psql(&self, database: &str, arguments: &[&str]) -> String {
        self.try_psql(database, arguments)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// Makes the replica the primary, and returns once it accepts writes.
    pub fn promote(&self) {
        assert_eq!(
            self.psql("postgres", &["-c", "SELECT pg_promote()"]).trim(),
            "t"
        );
    }

    /// Stops all processes of the server; they keep their connections. The kernel accepts new ones
    /// until the queue is full.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).expect("it runs");
        let server = file.lines().next().expect("the process ID is first");
        let kill = |process: &str| {
            // A process may have ended meanwhile.
            let _ = Command::new("kill").args(["-s", signal, process]).status();
        };
        kill(server);
        // A server that is stopped starts no further processes.
        for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
            let name = entry.file_name();
            let process = name.to_string_lossy();
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // The parent is the second field after the name in parentheses.
            let parent = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(server) {
                kill(&process);
            }
        }
    }
}

/// A frozen server does not see the signal to end.
impl Drop for Server {
    fn drop(&mut self) {
        if self.data.join("postmaster.pid").exists() {
            self.thaw();
        }
    }
}
