//! What to do about a failure of Postgres, or of a connection to it.
//!
//! In: an error. Out: what an operator does about it, for the log and for `doctor`; `None` if its own
//! words are all there is to say. Tables and grants that are not what the gate has read are in
//! `mismatch`.

use std::error::Error;
use std::io;

use tokio_postgres::error::SqlState;

use crate::trust;

/// Nobody answers there.
pub(super) const REACH: &str = "check database.url, or POSTGRE_HOST and POSTGRE_PORT, and whether Postgres listens there and this \
     machine may connect (listen_addresses, firewall)";

/// The server does not accept writes.
pub(super) const PRIMARY: &str = "name the primary in database.url or POSTGRE_HOST; if it is the primary, neither the role nor the \
     database may have default_transaction_read_only = on";

const NAME: &str =
    "set database.url or POSTGRE_NAME to the name of Label Studio's database on this server";

const PASSWORD: &str = "set database.url, or POSTGRE_USER and POSTGRE_PASSWORD, to what the role has in Postgres (ALTER \
     ROLE … PASSWORD …)";

const TRUST: &str = "name the certificate of the CA that signed the server's in database.tls_ca_file; with database.tls \
     = \"verify-full\", the certificate must be for the host in database.url or POSTGRE_HOST";

/// What `migrate` needs. `CREATE SCHEMA IF NOT EXISTS` asks for the right even if the schema exists.
const MAY_MIGRATE: &str = "migrate needs a role that may create a schema in this database (GRANT CREATE ON DATABASE … TO …) \
     and that is the owner of the schema label_studio_gate, if that exists: name it in database.url or \
     POSTGRE_USER for this command";

/// What to do about a failure of `migrate`, which needs other rights than the service.
pub(super) fn of_migration(error: &tokio_postgres::Error) -> Option<&'static str> {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Some(MAY_MIGRATE),
        Some(&SqlState::UNDEFINED_OBJECT) => {
            Some("create the role first, with sql/role.sql, or correct --role")
        }
        _ => of(error),
    }
}

/// What to do about `error`.
pub(super) fn of(error: &tokio_postgres::Error) -> Option<&'static str> {
    if let Some(answer) = error.as_db_error() {
        return of_answer(answer.code(), answer.message());
    }
    if matches!(
        trust::tls_error(error),
        Some(rustls::Error::InvalidCertificate(_))
    ) {
        return Some(TRUST);
    }
    let source = error.source()?;
    // tokio-postgres has no kinds for these.
    match source.to_string().as_str() {
        "server does not support TLS" => {
            Some("set database.tls to \"disable\", or switch TLS on in Postgres (ssl = on)")
        }
        "password missing" => Some(PASSWORD),
        _ if source.is::<io::Error>() => Some(REACH),
        _ => None,
    }
}

/// What to do about an answer of Postgres, or of a connection pooler.
fn of_answer(state: &SqlState, message: &str) -> Option<&'static str> {
    let says = |words: &str| message.contains(words);
    Some(match *state {
        // PgBouncer says all that it has to say with the state of a protocol violation.
        _ if says("not allowed in statement pooling mode") => {
            "the pooler must keep a server connection for a whole transaction: pool_mode = \
             transaction (or session) in PgBouncer"
        }
        _ if says("no such database") => NAME,
        SqlState::INVALID_PASSWORD => PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            if says("no encryption") || says("SSL off") =>
        {
            "the server asks for TLS: set database.tls to \"verify-full\" or \"require\""
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if says("pg_hba.conf") => {
            "let this role connect to this database from this address in pg_hba.conf, and reload \
             Postgres"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION if says("not permitted to log in") => {
            "let the role log in: ALTER ROLE … LOGIN"
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "set database.url or POSTGRE_USER to the gate's role, which sql/role.sql creates"
        }
        SqlState::INVALID_CATALOG_NAME => NAME,
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "run sql/role.sql as the owner of Label Studio's tables"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "each gate opens up to database.pool_size connections: lower that, or raise \
             max_connections of Postgres or the role's CONNECTION LIMIT"
        }
        SqlState::CANNOT_CONNECT_NOW => {
            "wait until Postgres has started; if it does not, its own log says why"
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => PRIMARY,
        SqlState::QUERY_CANCELED => {
            "Postgres took longer than database.statement_timeout_ms: pg_stat_activity shows what \
             it waits for (locks, load)"
        }
        _ => return None,
    })
}
