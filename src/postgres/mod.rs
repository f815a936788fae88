//! Adapter: Label Studio's Postgres database.
//!
//! [`Postgres`] implements the gate's ports for users, sessions and API tokens; [`CachedPostgres`] adds a
//! short-lived cache. This is the only module that uses SQL, and every statement is a file in
//! `sql/`.
//!
//! The way of a statement, from the outside in:
//!
//! - `users`, `sessions`, `logins`, `tokens`, `accounts` and `audit` implement the ports with it, and read
//!   its rows with `row`;
//! - `batch` lets requests that arrive at the same time share it;
//! - `connection` sends it, and once more after a failure that is not its own (`failure`);
//! - `queue` decides who waits for a connection and for how long;
//! - `lease` holds a connection until it has answered;
//! - `link` is the connection: it prepares and sends.
//!
//! Connections come from `hosts`, which finds the primary (`race`) with `dial`, `tls` and `names`.
//! `schema` reads which tables there are; some statements (`statement`) depend on that. If the tables or
//! grants are not as expected, `mismatch` says what to do about it, and `cure` about other failures.

mod accounts;
mod audit;
mod batch;
mod cached;
mod connection;
mod cure;
mod dial;
mod failure;
mod folded;
mod hosts;
mod lease;
mod link;
mod lock_waits;
mod logins;
mod measures;
mod mismatch;
mod names;
mod parameter;
mod purge;
mod queue;
mod race;
mod row;
mod schema;
mod sessions;
mod statement;
mod tls;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub use self::accounts::{AccountsUnavailable, MAY_CREATE_ACCOUNTS, NewAccount};
use self::batch::Batches;
pub use self::cached::{CachedPostgres, OwnerOf};
use self::connection::Connections;
pub use self::failure::DatabaseFault;
pub use self::folded::AddressLookup;
use self::folded::FoldedLookup;
pub use self::mismatch::MIGRATE;
use self::parameter::Parameter;
use self::row::{column, columns, only_row};
pub use self::schema::{Schema, SchemaError};
pub use self::sessions::LoadedSession;
use self::statement::{Statement, sql};
pub use self::tls::TlsError;
pub use self::users::MAY_SET_STAFF;
use crate::cache::Cache;
use crate::gate::Readiness;
use crate::gate::reason::Outage;
use crate::metrics::{Page, Source};
use crate::settings::Database;

/// The users, sessions and API tokens of one Label Studio.
#[derive(Clone)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    connections: Connections,
    schema: schema::Known,
    folded_lookup: FoldedLookup,
    session_policies: Cache<i32, Duration>,
    /// How long recording a login may take.
    longest_login: Duration,
    users_by_id: Batches<users::ById>,
    users_by_email: Batches<users::ByEmail>,
    sessions: Batches<sessions::Load>,
    row_logins: Batches<logins::RowLogin>,
    cookie_logins: Batches<logins::CookieLogin>,
}

/// How long an organization's session policy is cached. Administrators rarely change it.
const POLICY_TTL: Duration = Duration::from_secs(60);

impl Postgres {
    /// Creates the pool without connecting: the service starts without Postgres and connects once
    /// it is up.
    pub fn connect(settings: &Database) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Inner {
            connections: Connections::new(settings)?,
            schema: schema::Known::default(),
            folded_lookup: FoldedLookup::new(&settings.limits),
            session_policies: Cache::new(
                "session_policies",
                settings.limits.cache_capacity,
                POLICY_TTL,
            ),
            // The time limit holds for each of the lock, the statement behind it and COMMIT.
            longest_login: 3 * *settings.limits.statement_timeout_ms,
            users_by_id: Batches::default(),
            users_by_email: Batches::default(),
            sessions: Batches::default(),
            row_logins: Batches::default(),
            cookie_logins: Batches::default(),
        })))
    }

    /// The server's clock.
    pub async fn server_time(&self) -> Result<SystemTime, Outage> {
        let statement = sql!("server_time");
        let rows = self.0.connections.query(statement, &[]).await?;
        let row = only_row(&rows)?;
        column(row, "now")
    }

    /// Opens a connection, unless one is open. The error says what Postgres or the network
    /// answered.
    pub async fn reach(&self) -> Result<(), DatabaseFault> {
        self.0.connections.reach().await
    }

    /// Why the latest request to Postgres failed, once. It tells a command that asks one thing after
    /// another what the log says.
    pub fn take_fault(&self) -> Option<DatabaseFault> {
        self.0.connections.measures().take_fault()
    }

    /// Creates the gate's own tables and grants `role` access to them. If audit events are not kept
    /// forever, `deletes_audit_events`, the role may delete them.
    pub async fn migrate(
        &self,
        role: Option<&str>,
        deletes_audit_events: bool,
    ) -> Result<(), Outage> {
        let mut statements = sql!("gate_schema").text.to_owned();
        if let Some(role) = role {
            let quoted = format!("\"{}\"", role.replace('"', "\"\""));
            let mut grants = sql!("gate_grants").text.to_owned();
            if deletes_audit_events {
                grants.push_str(sql!("gate_grants_retention").text);
            }
            statements.push_str(&grants.replace("/* role */", &quoted));
        }
        self.0.connections.migrate(&statements).await
    }

    /// The roles besides their owner that may use the gate's own tables.
    pub async fn own_table_roles(&self) -> Result<Vec<String>, Outage> {
        let rows = self.query(sql!("own_table_roles"), &[]).await?;
        columns(&rows, "role")
    }

    /// Whether a connection pooler is between the gate and Postgres, as the settings say or as a
    /// connection has shown.
    pub fn is_pooled(&self) -> bool {
        self.0.connections.is_pooled()
    }

    async fn query(
        &self,
        statement: Statement<'_>,
        parameters: &[&dyn Parameter],
    ) -> Result<Vec<tokio_postgres::Row>, Outage> {
        self.0.connections.query(statement, parameters).await
    }
}

#[async_trait]
impl Readiness for Postgres {
    async fn ready(&self) -> Result<(), Outage> {
        self.server_time().await?;
        let schema = self.schema_that(|schema| !schema.locks_out()).await?;
        match schema.locks_out() {
            true => Err(Outage::DatabaseUnavailable),
            false => Ok(()),
        }
    }
}

impl Source for Postgres {
    fn report(&self, page: &mut Page) {
        self.0.connections.report(page);
        self.0.sessions.report(page);
        self.0.row_logins.report(page);
        self.0.cookie_logins.report(page);
        self.0.users_by_email.report(page);
        self.0.users_by_id.report(page);
        self.0.session_policies.report(page);
        self.0.folded_lookup.report(page);
    }
}
