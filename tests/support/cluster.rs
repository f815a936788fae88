//! A private Postgres cluster for each run of a test target, and its databases.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::leash::Leash;
use super::{free_port, wait_until};

/// The gate's role in the tests, created by `sql/role.sql`.
pub const GATE_ROLE: &str = "label_studio_gate";

/// The cluster of this run.
pub static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

/// A running cluster.
pub struct Cluster {
    bin: PathBuf,
    port: u16,
    certificates: PathBuf,
    _server: Leash,
}

/// Whether the tests run as root.
pub fn root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0\n")
}

/// A Postgres command, run as another user because the server refuses to run as root.
pub fn postgres_command(program: &Path) -> Command {
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

/// Where PostgreSQL's programs may be: `GATE_TEST_POSTGRES_BIN`, then Debian's directories, the newest
/// version first, then `PATH`.
fn bins() -> Vec<PathBuf> {
    let named = std::env::var_os("GATE_TEST_POSTGRES_BIN").map(PathBuf::from);
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = named.into_iter().chain(debian.into_iter().rev());
    places.chain(std::env::split_paths(&path)).collect()
}

/// The directory of initdb and postgres.
pub fn find_bin() -> PathBuf {
    let found = bins()
        .into_iter()
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists());
    found.expect("PostgreSQL's server is not installed (tests/run installs it)")
}

/// psql. Some builds of the server come without it. In `PATH`, Debian has a slow script of that name.
pub fn psql() -> PathBuf {
    let mut programs = bins().into_iter().map(|bin| bin.join("psql"));
    programs.find(|psql| psql.exists()).expect("psql")
}

/// Where a cluster's files go: into memory if that has room for them, because each test copies a
/// database, which takes seconds on a busy disk.
fn place() -> &'static str {
    const LEAST: u64 = 4 << 30;
    let free = rustix::fs::statvfs("/dev/shm").map(|shm| shm.f_bavail * shm.f_frsize);
    if free.is_ok_and(|bytes| bytes >= LEAST) {
        "/dev/shm"
    } else {
        "/tmp"
    }
}

/// Gives a directory to the user that the server runs as, and lets others read it.
pub fn own(home: &Path) {
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home, open).expect("mode 755");
    if root() {
        run(Command::new("chown").args(["-R", "postgres"]).arg(home));
    }
}

/// Creates the files of a server.
pub fn initdb(data: &Path) {
    run(postgres_command(&find_bin().join("initdb"))
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ])
        .arg("--pgdata")
        .arg(data)
        .current_dir("/"));
}

/// A certificate for `localhost`, the CA's certificate, and that of another CA.
fn make_certificates(home: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::os::unix::fs::PermissionsExt as _;

    let write = |name: &str, text: &str| std::fs::write(home.join(name), text).expect("written");
    let authority = |name: &str| {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        write(name, &parameters.self_signed(&key).expect("signed").pem());
        Issuer::new(parameters, key)
    };
    authority("other-ca.crt");
    let authority = authority("ca.crt");
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    write(
        "server.crt",
        &parameters
            .signed_by(&key, &authority)
            .expect("signed")
            .pem(),
    );
    write("server.key", &key.serialize_pem());
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(home.join("server.key"), private).expect("mode 600");
}

/// Runs a command to its end, and fails with its output if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Cluster {
    /// Creates and starts a cluster.
    pub fn start() -> Self {
        let bin = find_bin();
        let home = tempfile::Builder::new()
            .prefix("gate-test-")
            .tempdir_in(place())
            .expect("a directory")
            .keep();
        make_certificates(&home);
        own(&home);
        let data = home.join("data");
        initdb(&data);
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
        server.args(["-c", "max_connections=1000", "-c", "full_page_writes=off"]);
        server.args(["-c", "max_wal_size=128MB", "-c", "ssl=on"]);
        for (setting, file) in [
            ("ssl_cert_file", "server.crt"),
            ("ssl_key_file", "server.key"),
        ] {
            let path = home.join(file);
            server
                .arg("-c")
                .arg(format!("{setting}={}", path.display()));
        }
        let log =
            std::env::temp_dir().join(format!("gate-test-postgres-{}.log", std::process::id()));
        let server = Leash::start(&server, "INT", &log, Some(&home));
        let cluster = Self {
            bin,
            port,
            certificates: home,
            _server: server,
        };
        let said = || format!("Postgres did not start: {}", log.display());
        wait_until(|| cluster.answers(), said);
        let _ = std::fs::remove_file(log);
        cluster
    }

    fn answers(&self) -> bool {
        Command::new(psql())
            .args(["-X", "-q", "-c", "SELECT 1"])
            .arg(self.url("postgres", "postgres"))
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// The path of a certificate: `ca.crt` signed the server's certificate for `localhost`,
    /// `other-ca.crt` signed nothing.
    pub fn certificate(&self, name: &str) -> String {
        self.certificates
            .join(name)
            .to_str()
            .expect("text")
            .to_owned()
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A `PATH` with this cluster's psql.
    pub fn path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        std::env::join_paths(places).expect("a path")
    }

    /// The connection URL of `role` for `database`.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs psql as the superuser; fails if a statement fails.
    pub fn psql(&self, database: &str, arguments: &[&str]) -> String {
        run(Command::new(psql())
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .arg(self.url("postgres", database))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR")))
    }

    /// The number of gates' connections to `database` for which a condition holds. Asked over another
    /// connection, because `pg_stat_activity` does not change during a transaction.
    pub fn gate_connections(&self, database: &str, condition: &str) -> usize {
        let count = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND usename = '{GATE_ROLE}' AND {condition}"
        );
        let count = self.psql("postgres", &["-c", &count]);
        count.trim().parse().expect("a number")
    }

    /// The major version of the server.
    pub fn version(&self) -> u32 {
        let version = self.psql("postgres", &["-c", "SHOW server_version_num"]);
        version.trim().parse::<u32>().expect("a number") / 10_000
    }

    /// A database name that is unique in this run.
    pub fn fresh_name(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Drops a database, whoever uses it. The test that it belonged to may have failed.
    pub fn forget(&self, database: &str) {
        let drop = format!("DROP DATABASE {database} WITH (FORCE)");
        let url = self.url("postgres", "postgres");
        let dropped = Command::new(psql())
            .args(["-X", "-q", "-c", &drop, &url])
            .status();
        if !dropped.is_ok_and(|status| status.success()) {
            eprintln!("{database} is still there");
        }
    }

    /// Grants the gate's role its privileges in `database`.
    pub fn grant(&self, database: &str) {
        self.grant_with(database, "create_users=on");
    }

    /// The same with one more option of `sql/role.sql`.
    pub fn grant_with(&self, database: &str, option: &str) {
        grant(
            &|database, arguments| self.psql(database, arguments),
            database,
            option,
        );
    }
}

/// Creates the gate's role with its privileges in `database`, with an option of `sql/role.sql`.
/// `psql` runs psql in a database, with arguments.
pub fn grant(psql: &dyn Fn(&str, &[&str]) -> String, database: &str, option: &str) {
    let _turn = roles();
    let role = format!("role={GATE_ROLE}");
    psql(database, &["-v", &role, "-v", option, "-f", "sql/role.sql"]);
    psql(database, &["-c", &format!("ALTER ROLE {GATE_ROLE} LOGIN")]);
}

/// Roles belong to the whole cluster, and two sessions that create one at the same time conflict.
pub fn roles() -> std::sync::MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let turn = ONE_AT_A_TIME.lock();
    turn.unwrap_or_else(std::sync::PoisonError::into_inner)
}
