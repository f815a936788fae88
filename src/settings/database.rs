//! `[database]`: where Postgres is, by a URL or in parts, and how long anything about it may take.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::database_url::from_url;
use super::reader::Reader;

/// Postgres.
#[derive(Clone)]
pub struct Database {
    /// Host, port, database, user and password.
    pub config: tokio_postgres::Config,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections at most.
    pub pool_size: usize,
    /// How many more requests may wait for one.
    pub queue: usize,
    /// How long a request waits for a connection.
    pub wait_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How old a user's row may be; zero: it is always read.
    pub cache_ttl: Duration,
    /// How many rows are remembered.
    pub cache_capacity: u64,
}

/// Without the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("hosts", &self.config.get_hosts())
            .field("ports", &self.config.get_ports())
            .field("dbname", &self.config.get_dbname())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// libpq's `sslmode` (PostgreSQL 15, §34.19.1), as far as it says something about security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not encrypted.
    Disable,
    /// Encrypted; the certificate is not looked at, unless there is a file of certificates to trust.
    Require,
    /// Encrypted, and the certificate proves the host's name.
    VerifyFull,
}

pub(super) const MODES: &[(&str, Tls)] = &[
    ("disable", Tls::Disable),
    ("require", Tls::Require),
    ("verify-full", Tls::VerifyFull),
];

impl Database {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let tls = reader.choice("database.tls", MODES);
        let url = reader.secret("database.url");
        let (config, tls_of_url) = if url.expose_secret().is_empty() {
            (parts(reader), None)
        } else {
            from_url(reader, &url)
        };
        let tls = tls_of_url.unwrap_or(tls);
        let ca_file = reader.optional("database.tls_ca_file").map(PathBuf::from);
        if ca_file.is_some() && tls == Tls::Disable {
            let why = "is named, and the connection is not encrypted: set database.tls to require or verify-full";
            reader.refuse("database.tls_ca_file", why);
        }
        Self {
            config,
            tls,
            ca_file,
            pool_size: reader.number("database.pool_size", 1..=1000),
            queue: reader.number("database.queue", 0..=100_000),
            wait_timeout: reader.milliseconds("database.wait_timeout_ms", 1..=60_000),
            connect_timeout: reader.milliseconds("database.connect_timeout_ms", 1..=60_000),
            statement_timeout: reader.milliseconds("database.statement_timeout_ms", 1..=60_000),
            cache_ttl: reader.seconds("database.cache_seconds", 0..=300),
            cache_capacity: reader.number("database.cache_capacity", 0..=10_000_000),
        }
    }
}

/// Nothing but the name under which Postgres lists the connection.
pub(super) fn named() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.application_name("label-studio-gate");
    config
}

fn parts(reader: &mut Reader) -> tokio_postgres::Config {
    let mut config = named();
    config
        .host(reader.filled("database.host"))
        .port(reader.number("database.port", 1..=u16::MAX))
        .dbname(reader.filled("database.name"))
        .user(reader.filled("database.user"))
        .password(reader.secret("database.password").expose_secret());
    config
}
