//! A Postgres server that faults can stop, kill, freeze, fill and promote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{lives, signal, tree};
use crate::support::cluster::{find_bin, postgres_command, root, run};
use crate::support::leash::Leash;
use crate::support::{free_port, wait_until};

/// The gates' database and the password of their role.
pub const DATABASE: &str = "label_studio";
pub const PASSWORD: &str = "the-password-of-the-gates";
/// How many connections a server accepts.
pub const CONNECTIONS: usize = 150;
/// The size of the file system under a server.
const DISK: &str = "size=600m,mode=0755";

/// Everybody but the superuser needs a password. It is sent as it is: SCRAM takes a debug build of the
/// gate a tenth of a second, in which a worker does nothing else.
const WHO_MAY_CONNECT: &str = "\
local all all trust
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 password
";

const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
fsync = on
shared_buffers = 64MB
min_wal_size = 32MB
max_wal_size = 128MB
wal_keep_size = 64MB
max_wal_senders = 4
log_line_prefix = '%m [%p] '
log_min_duration_statement = 500
log_lock_waits = on
";

/// A server. It runs, or has been stopped.
pub struct Postgres {
    pub port: u16,
    home: PathBuf,
    /// Whether its data are on a file system of their own, which can be filled.
    pub has_own_disk: bool,
    leash: Option<Leash>,
    pid: u32,
}

fn psql(port: u16, database: &str) -> Command {
    let mut command = Command::new(find_bin().join("psql"));
    let url = format!("postgres://postgres@127.0.0.1:{port}/{database}?connect_timeout=5");
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .arg(url)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The answer of the server on this port, unless it does not answer in time.
pub fn ask(port: u16, database: &str, question: &str) -> Option<String> {
    let limits = "-c lock_timeout=2s -c statement_timeout=5s";
    let mut command = psql(port, database);
    command.args(["-c", question]).env("PGOPTIONS", limits);
    let output = command.output().expect("psql runs");
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(answer)
}

impl Postgres {
    /// A place for a server that has no data yet.
    fn at(home: PathBuf) -> Self {
        std::fs::create_dir_all(&home).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "gate-chaos"]);
        let mounted = root()
            && mount
                .arg(&home)
                .status()
                .is_ok_and(|status| status.success());
        if root() {
            run(Command::new("chown").arg("postgres").arg(&home));
        }
        Self {
            port: free_port(),
            home,
            has_own_disk: mounted,
            leash: None,
            pid: 0,
        }
    }

    /// A new primary.
    pub fn primary(home: PathBuf) -> Self {
        let mut server = Self::at(home);
        run(postgres_command(&find_bin().join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "--pgdata"])
            .arg(server.data())
            .current_dir("/"));
        let append = |name: &str, text: &str| {
            let path = server.data().join(name);
            let before = std::fs::read_to_string(&path).expect("a file of initdb");
            let text = match name {
                "pg_hba.conf" => text.to_owned(),
                _ => before + text,
            };
            std::fs::write(path, text).expect("written");
        };
        append("pg_hba.conf", WHO_MAY_CONNECT);
        append("postgresql.conf", SETTINGS);
        server.start();
        server
    }

    /// A streaming replica of `primary`.
    pub fn replica(home: PathBuf, primary: &Self) -> Self {
        let mut server = Self::at(home);
        server.follow(primary);
        server
    }

    /// Throws away what this server has and makes it a replica of `primary`.
    pub fn follow(&mut self, primary: &Self) {
        self.kill();
        let _ = std::fs::remove_dir_all(self.data());
        let source = format!("host=127.0.0.1 port={} user=postgres", primary.port);
        run(postgres_command(&find_bin().join("pg_basebackup"))
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d"])
            .arg(source)
            .arg("-D")
            .arg(self.data())
            .current_dir("/"));
        self.start();
        let states = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        wait_until(
            || primary.sql(states) == "1",
            || "the replica does not stream".to_owned(),
        );
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The file that says how many milliseconds `fsync` takes longer.
    pub fn slow_fsync(&self) -> PathBuf {
        self.home.join("slow-fsync")
    }

    /// Starts the server and waits until it answers.
    pub fn start(&mut self) {
        let mut command = postgres_command(&find_bin().join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.home);
        for setting in [
            format!("port={}", self.port),
            format!("max_connections={CONNECTIONS}"),
        ] {
            command.args(["-c", &setting]);
        }
        command
            .current_dir("/")
            .env("LD_PRELOAD", library(&self.home))
            .env("SLOW_FSYNC", self.slow_fsync());
        let log = self.home.with_extension("log");
        let leash = Leash::start(&command, "INT", &log, None);
        self.pid = leash.pid();
        self.leash = Some(leash);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until(|| self.answers(), said);
    }

    fn answers(&self) -> bool {
        ask(self.port, "postgres", "SELECT 1").is_some()
    }

    /// Whether the server's first process lives.
    pub fn lives(&self) -> bool {
        lives(self.pid)
    }

    /// A fast shutdown, as an upgrade or `systemctl stop` does it.
    pub fn stop(&mut self) {
        self.leash = None;
    }

    /// Kills all processes of the server at once.
    pub fn kill(&mut self) {
        if self.leash.is_some() && self.lives() {
            let all = tree(self.pid);
            signal("KILL", &all);
        }
        self.leash = None;
    }

    /// Stops all processes of the server where they are.
    pub fn freeze(&self) {
        // A process that is started meanwhile is frozen by the second call.
        for _ in 0..2 {
            signal("STOP", &tree(self.pid));
        }
    }

    pub fn thaw(&self) {
        signal("CONT", &tree(self.pid));
    }

    /// Runs statements as the superuser. They fail if one fails, but not if there is no connection
    /// for a while.
    pub fn sql(&self, statements: &str) -> String {
        /// psql's exit status without a connection.
        const NO_CONNECTION: Option<i32> = Some(2);
        let mut command = psql(self.port, DATABASE);
        command.args(["-c", statements]);
        for _ in 0..20 {
            let output = command.output().expect("psql runs");
            if output.status.code() != NO_CONNECTION {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{statements}: {said}");
                return String::from_utf8_lossy(&output.stdout).trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("no connection to Postgres: {statements}")
    }

    /// The same in the database `postgres`, and without stopping the run if it fails.
    pub fn try_sql(&self, statements: &str) -> bool {
        let outcome = psql(self.port, "postgres")
            .args(["-c", statements])
            .output();
        outcome.is_ok_and(|output| output.status.success())
    }

    /// Runs a file of the project, with variables of psql.
    pub fn file(&self, file: &str, variables: &[&str]) {
        let mut command = psql(self.port, DATABASE);
        for variable in variables {
            command.args(["-v", variable]);
        }
        run(command.args(["-f", file]));
    }

    /// Makes a replica the primary.
    pub fn promote(&self) {
        assert!(self.try_sql("SELECT pg_promote(true, 30)"), "no promotion");
    }

    /// Fills the disk until nothing fits any more.
    pub fn fill_disk(&self) {
        let ballast = self.home.join("ballast");
        let fill = format!("head -c 2G /dev/zero > '{}'", ballast.display());
        let full = Command::new("bash").args(["-c", &fill]).output();
        assert!(!full.expect("bash runs").status.success(), "a full disk");
    }

    pub fn empty_disk(&self) {
        let _ = std::fs::remove_file(self.home.join("ballast"));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if self.has_own_disk {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(&self.home)
                .status();
        }
    }
}

/// The library that makes `fsync` slow, compiled once.
fn library(home: &Path) -> PathBuf {
    let library = home.with_file_name("slow_fsync.so");
    if !library.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/slow_fsync.c");
        run(Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args([source, "-ldl"]));
    }
    library
}
