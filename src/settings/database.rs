//! `[database]`: the connection to Postgres, as a URL or in parts, and its limits.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::database_hosts::{DatabaseHost, Ports, add_hosts};
use super::database_url::{OnlyInUrl, from_url};
use super::input::Input;
use super::types::{Milliseconds, Seconds, Secret};

/// Label Studio's database.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DatabaseSection {
    /// `postgres://user:password@host:port/name`, instead of the five parts below. A part completes
    /// what the URL leaves out, and must not contradict it. Several hosts:
    /// `postgres://user:password@host1:port1,host2:port2/name`.
    #[schemars(extend("x-env" = ["DATABASE_URL"]))]
    pub(super) url: Secret,
    /// Host of Postgres, or the directory of its socket. Of several (`db1,db2` or
    /// `db1:5432,db2:5433`), the gate uses the one that accepts writes.
    #[schemars(extend("default" = "localhost", "x-env" = [
        "LABEL_STUDIO_POSTGRE_HOST",
        "HEARTEX_POSTGRE_HOST",
        "POSTGRE_HOST",
    ]))]
    pub(super) host: String,
    /// Port of Postgres, or one for each host (`5432,5433`).
    #[schemars(extend("default" = 5432, "x-env" = [
        "LABEL_STUDIO_POSTGRE_PORT",
        "HEARTEX_POSTGRE_PORT",
        "POSTGRE_PORT",
    ]))]
    pub(super) port: Ports,
    /// Name of Label Studio's database.
    #[schemars(extend("default" = "postgres", "x-env" = [
        "LABEL_STUDIO_POSTGRE_NAME",
        "HEARTEX_POSTGRE_NAME",
        "POSTGRE_NAME",
    ]))]
    pub(super) name: String,
    /// Role to connect as. `sql/role.sql` creates one with the least privileges.
    #[schemars(extend("default" = "postgres", "x-env" = [
        "LABEL_STUDIO_POSTGRE_USER",
        "HEARTEX_POSTGRE_USER",
        "POSTGRE_USER",
    ]))]
    pub(super) user: String,
    /// Password of the role. Empty: none, where the server asks for none.
    #[schemars(extend("default" = "postgres", "x-env" = [
        "LABEL_STUDIO_POSTGRE_PASSWORD",
        "HEARTEX_POSTGRE_PASSWORD",
        "POSTGRE_PASSWORD",
    ], "x-empty-file" = true))]
    pub(super) password: Secret,
    /// Whether the connection is encrypted. The `sslmode` of a URL takes precedence.
    #[schemars(extend("default" = "disable"))]
    pub(super) tls: Tls,
    /// File with the certificates to trust instead of the system's (PEM).
    tls_ca_file: Option<PathBuf>,
    /// Whether statements are prepared on each connection. Switch it off if a connection pooler in
    /// transaction mode (PgBouncer) is in between.
    #[schemars(extend("default" = true))]
    prepared_statements: bool,
    #[serde(flatten)]
    limits: DatabaseLimits,
}

/// Limits of the use of the database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct DatabaseLimits {
    /// Maximum number of connections.
    #[schemars(range(min = 1, max = 1000), extend("default" = 16))]
    pub pool_size: usize,
    /// How many requests may wait for a connection. Beyond that, the answer is 503 at once.
    #[schemars(range(max = 100_000), extend("default" = 10_000))]
    pub queue: usize,
    /// How long a request waits for a connection. Then the answer is 503, `overloaded` if the
    /// database answers other requests.
    #[schemars(range(min = 1, max = 60_000), extend("default" = 2000))]
    pub wait_timeout_ms: Milliseconds,
    /// Time limit for connecting to a host.
    #[schemars(range(min = 1, max = 60_000), extend("default" = 2000))]
    pub connect_timeout_ms: Milliseconds,
    /// Time limit for a statement.
    #[schemars(range(min = 1, max = 60_000), extend("default" = 3000))]
    pub statement_timeout_ms: Milliseconds,
    /// How long rows of users, sessions and API tokens are cached. 0: they are read on every
    /// request. Opening a session always checks the stored row of its user.
    #[schemars(range(max = 300), extend("default" = 5))]
    pub cache_seconds: Seconds,
    /// Maximum number of cached rows, and of signed session cookies that are not read again.
    #[schemars(range(max = 10_000_000), extend("default" = 10_000))]
    pub cache_capacity: usize,
}

impl DatabaseLimits {
    /// How many rows are cached for `cache_seconds`.
    pub fn cached_rows(&self) -> usize {
        match *self.cache_seconds {
            Duration::ZERO => 0,
            _ => self.cache_capacity,
        }
    }
}

/// Whether the connection is encrypted: libpq's `sslmode` (PostgreSQL 15, §34.19.1), as far as it
/// affects security.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Not encrypted.
    Disable,
    /// Encrypted; the certificate is verified only if there is a `tls_ca_file`.
    Require,
    /// Encrypted, and the certificate must prove the host's name.
    VerifyFull,
}

/// Where Postgres is, and the limits of its use.
#[derive(Clone)]
pub struct Database {
    /// Database, user and password: from the URL, the parts, or both.
    pub config: tokio_postgres::Config,
    /// The hosts, in the order in which they are tried.
    pub hosts: Vec<DatabaseHost>,
    /// Options that the server applies to each connection: name and value.
    pub options: Vec<(String, String)>,
    /// Whether a host must accept writes to be used.
    pub writable: bool,
    /// Whether statements are prepared; not behind a connection pooler.
    pub prepared_statements: bool,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// Certificates to trust instead of the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// Limits.
    pub limits: DatabaseLimits,
}

/// Without the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("hosts", &self.hosts)
            .field("dbname", &self.config.get_dbname())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Database {
    pub(super) fn new(section: DatabaseSection, input: &mut Input) -> Self {
        let (config, in_url) = if section.url.expose_secret().is_empty() {
            (section.parts(input), OnlyInUrl::default())
        } else {
            from_url(input, &section)
        };
        let hosts = DatabaseHost::all(&config).unwrap_or_else(|why| {
            input.refuse("database.port", why);
            Vec::new()
        });
        let tls = in_url.tls.unwrap_or(section.tls);
        if section.tls_ca_file.is_some() && tls == Tls::Disable {
            input.refuse(
                "database.tls_ca_file",
                "is set, but the connection is not encrypted: set database.tls to require or \
                 verify-full",
            );
        } else {
            let file = section.tls_ca_file.as_deref();
            input.check_certificates("database.tls_ca_file", file);
        }
        Self {
            config,
            // The gate writes sessions, so a standby is of no use.
            writable: in_url.writable || hosts.len() > 1,
            hosts,
            options: in_url.options,
            prepared_statements: section.prepared_statements,
            tls,
            tls_ca_file: section.tls_ca_file,
            limits: section.limits,
        }
    }
}

impl DatabaseSection {
    fn parts(&self, input: &mut Input) -> tokio_postgres::Config {
        for (name, text) in [
            ("database.host", &self.host),
            ("database.name", &self.name),
            ("database.user", &self.user),
        ] {
            if text.is_empty() {
                input.refuse(name, "must not be empty");
            }
        }
        let mut config = unconfigured();
        if let Err(why) = add_hosts(&self.host, &self.port, &mut config) {
            input.refuse("database.host", why);
        }
        config
            .dbname(&self.name)
            .user(&self.user)
            .password(self.password.expose_secret());
        config
    }
}

/// A configuration with only the name under which Postgres lists the connection.
pub(super) fn unconfigured() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.application_name("label-studio-gate");
    config
}
