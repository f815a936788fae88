//! `[database]`: where Postgres is, by a URL or in parts, and how long anything about it may take.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

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

const MODES: &[(&str, Tls)] = &[
    ("disable", Tls::Disable),
    ("require", Tls::Require),
    ("verify-full", Tls::VerifyFull),
];

/// The settings that a URL stands for.
const PARTS: [&str; 5] = [
    "database.host",
    "database.port",
    "database.name",
    "database.user",
    "database.password",
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
        Self {
            config,
            tls: tls_of_url.unwrap_or(tls),
            ca_file: reader.optional("database.tls_ca_file").map(PathBuf::from),
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

fn named() -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.application_name("label-studio-gate");
    config
}

fn parts(reader: &mut Reader) -> tokio_postgres::Config {
    let mut config = named();
    config
        .host(reader.text("database.host"))
        .port(reader.number("database.port", 1..=u16::MAX))
        .dbname(reader.text("database.name"))
        .user(reader.text("database.user"))
        .password(reader.secret("database.password").expose_secret());
    config
}

/// Reads the URL. tokio-postgres does not know all of libpq's modes of `sslmode`, so that is read here.
fn from_url(reader: &mut Reader, secret: &SecretString) -> (tokio_postgres::Config, Option<Tls>) {
    let name = "database.url";
    let Some((url, mode)) = without_sslmode(secret.expose_secret()) else {
        reader.refuse(
            name,
            "must be a URL: postgres://user:password@host:port/name",
        );
        return (named(), None);
    };
    let tls = match mode.as_deref() {
        None => None,
        Some("disable" | "allow" | "prefer") => Some(Tls::Disable),
        Some("require") => Some(Tls::Require),
        Some("verify-full") => Some(Tls::VerifyFull),
        Some(other) => {
            reader.refuse(
                name,
                format!("has sslmode={other:?}: known are disable, require and verify-full"),
            );
            None
        }
    };
    match url.parse::<tokio_postgres::Config>() {
        Ok(mut config) => {
            if config.get_application_name().is_none() {
                config.application_name("label-studio-gate");
            }
            contradictions(reader, &config);
            (config, tls)
        }
        Err(_) => {
            // The parser's error could hold a part of the password.
            reader.refuse(
                name,
                "must be a URL that libpq would take: postgres://user:password@host:port/name",
            );
            (named(), None)
        }
    }
}

fn without_sslmode(text: &str) -> Option<(String, Option<String>)> {
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "postgres" | "postgresql") || url.host_str().is_none() {
        return None;
    }
    let mut mode = None;
    let rest: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, value)| {
            let is_mode = name == "sslmode";
            if is_mode {
                mode = Some(value.clone().into_owned());
            }
            !is_mode
        })
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    Some((url.into(), mode))
}

/// A URL and parts that say something else: nobody knows which is meant.
fn contradictions(reader: &mut Reader, config: &tokio_postgres::Config) {
    for name in PARTS {
        if !reader.is_set(name) {
            continue;
        }
        let part = reader.text(name);
        let same = match name {
            "database.host" => config.get_hosts().iter().any(
                |host| matches!(host, tokio_postgres::config::Host::Tcp(host) if *host == part),
            ),
            "database.port" => config
                .get_ports()
                .iter()
                .any(|port| port.to_string() == part),
            "database.name" => config.get_dbname() == Some(part.as_str()),
            "database.user" => config.get_user() == Some(part.as_str()),
            _ => config.get_password() == Some(part.as_bytes()),
        };
        if !same {
            let both = "says something else than database.url: set one or the other";
            reader.refuse(name, both);
        }
    }
}
