//! A PgBouncer in front of the tests' cluster.

use std::path::PathBuf;
use std::process::Command;

use super::cluster::{CLUSTER, GATE_ROLE, own, postgres_command};
use super::leash::Leash;
use super::{free_port, listens, wait_until};

/// A running PgBouncer in transaction mode.
pub struct PgBouncer {
    pub port: u16,
    log: PathBuf,
    _leash: Leash,
}

impl PgBouncer {
    /// Starts one with `connections` to the server for each database. `more`: further lines of its
    /// configuration.
    pub fn start(connections: u32, more: &str) -> Self {
        let home = tempfile::Builder::new()
            .prefix("gate-test-")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp")
            .keep();
        let port = free_port();
        let log = home.join("log");
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 500\n{more}\n",
            server = CLUSTER.port(),
            users = home.join("users").display(),
        );
        let write =
            |name: &str, text: &str| std::fs::write(home.join(name), text).expect("written");
        write("pgbouncer.ini", &configuration);
        write("users", &format!("\"{GATE_ROLE}\" \"\"\n"));
        own(&home);
        let mut command = postgres_command(&program());
        command.arg(home.join("pgbouncer.ini")).current_dir("/");
        let leash = Leash::start(&command, "INT", &log, Some(&home));
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until(|| listens(port), said);
        Self {
            port,
            log,
            _leash: leash,
        }
    }

    /// The connection URL of the gate's role for `database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{GATE_ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        })
        .expect("PgBouncer is not installed (tests/run installs it)")
}
