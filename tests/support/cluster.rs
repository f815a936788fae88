//! A private Postgres cluster, one for each run of a test target, and databases in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::free_port;
use super::leash::Leash;

/// The role that the gate has in the tests: the one that `sql/role.sql` makes.
pub const GATE_ROLE: &str = "label_studio_gate";

/// The cluster of this run.
pub static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A running cluster.
pub struct Cluster {
    bin: PathBuf,
    port: u16,
    _server: Leash,
}

fn root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0\n")
}

/// A command of Postgres; its server refuses to run as root.
fn postgres_command(program: &Path) -> Command {
    if root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Where initdb and postgres are: `GATE_TEST_POSTGRES_BIN`, or where Debian has them, or in PATH.
fn find_bin() -> PathBuf {
    let named = std::env::var_os("GATE_TEST_POSTGRES_BIN").map(PathBuf::from);
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    named
        .into_iter()
        .chain(debian.into_iter().rev())
        .chain(std::env::split_paths(&path))
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .expect("PostgreSQL's server is not installed (tests/run installs it)")
}

/// Runs a command to its end and fails with what it said.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Cluster {
    /// Makes and starts one.
    pub fn start() -> Self {
        let bin = find_bin();
        let home = tempfile::Builder::new()
            .prefix("gate-test-")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp")
            .keep();
        if root() {
            run(Command::new("chown").arg("postgres").arg(&home));
        }
        let data = home.join("data");
        run(postgres_command(&bin.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir("/"));
        let port = free_port();
        let mut server = postgres_command(&bin.join("postgres"));
        server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&home)
            .current_dir("/");
        let port_text = port.to_string();
        server.args([
            "-p",
            &port_text,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]);
        server.args(["-c", "max_connections=300", "-c", "full_page_writes=off"]);
        let log =
            std::env::temp_dir().join(format!("gate-test-postgres-{}.log", std::process::id()));
        let server = Leash::start(&server, "INT", &log, Some(&home));
        let cluster = Self {
            bin,
            port,
            _server: server,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !cluster.answers() {
            assert!(
                Instant::now() < until,
                "Postgres did not start: {}",
                log.display()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = std::fs::remove_file(log);
        cluster
    }

    fn answers(&self) -> bool {
        Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-c", "SELECT 1"])
            .arg(self.url("postgres", "postgres"))
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How `role` reaches `database`.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// psql as the owner of everything; fails where a statement does.
    pub fn psql(&self, database: &str, arguments: &[&str]) -> String {
        run(Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .arg(self.url("postgres", database))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR")))
    }

    /// A name that no other database of this run has.
    pub fn fresh_name(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Grants the gate's role its rights in `database`.
    pub fn grant(&self, database: &str) {
        // Roles belong to the whole cluster; two sessions that make one at once get in each other's way.
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = ONE_AT_A_TIME
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let role = format!("role={GATE_ROLE}");
        self.psql(database, &["-v", &role, "-f", "sql/role.sql"]);
        self.psql(database, &["-c", &format!("ALTER ROLE {GATE_ROLE} LOGIN")]);
    }
}
