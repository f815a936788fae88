//! Adapter: Postgres, the only place that speaks SQL. Every statement is a file in `sql/`.

mod accounts;
mod connection;
mod purge;
mod recent;
mod schema;
mod sessions;
mod statement;
mod tls;
mod tokens;
mod users;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use moka::sync::Cache;

use self::connection::Connections;
pub use self::recent::{OwnerOf, Recent};
pub use self::schema::Schema;
use self::statement::{Statement, sql};
pub use self::tls::TlsError;
use crate::gate::Readiness;
use crate::gate::reason::Outage;
use crate::settings::Database;

/// Users, sessions and API tokens of one Label Studio.
#[derive(Clone)]
pub struct Postgres(Arc<Inner>);

struct Inner {
    connections: Connections,
    schema: schema::Known,
    session_policies: Cache<i32, Duration>,
}

/// How long the session policy of an organization is remembered: an administrator changes it once in a while.
const POLICY_TTL: Duration = Duration::from_secs(60);

impl Postgres {
    /// Makes the pool. Nothing is connected yet: the service starts without Postgres and finds it when it is there.
    pub fn connect(settings: &Database) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Inner {
            connections: Connections::new(settings)?,
            schema: schema::Known::default(),
            session_policies: Cache::builder()
                .max_capacity(settings.limits.cache_capacity)
                .time_to_live(POLICY_TTL)
                .build(),
        })))
    }

    /// The server's clock.
    pub async fn server_time(&self) -> Result<SystemTime, Outage> {
        let statement = sql!("server_time");
        let rows = self.0.connections.query(statement, &[]).await?;
        let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
        row.try_get("now").map_err(|_| Outage::DatabaseUnavailable)
    }

    /// What Label Studio's tables are like.
    pub async fn schema(&self) -> Result<Arc<Schema>, Outage> {
        self.0.schema.get(&self.0.connections).await
    }

    /// Makes the gate's own tables, and gives `role` the rights to them.
    pub async fn migrate(&self, role: Option<&str>) -> Result<(), Outage> {
        let mut statements = sql!("gate_schema").text.to_owned();
        if let Some(role) = role {
            let quoted = format!("\"{}\"", role.replace('"', "\"\""));
            let grants = sql!("gate_grants").text;
            statements.push_str(&grants.replace("/* role */", &quoted));
        }
        self.0.connections.run(&statements).await
    }

    async fn query(
        &self,
        statement: Statement<'_>,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Outage> {
        self.0.connections.query(statement, parameters).await
    }
}

#[async_trait]
impl Readiness for Postgres {
    async fn ready(&self) -> Result<(), Outage> {
        self.server_time().await?;
        self.schema().await.map(|_| ())
    }
}

/// A column that isn't as expected: the statement and the code don't fit each other, or the schema has changed.
fn unexpected(error: &tokio_postgres::Error) -> Outage {
    tracing::error!(%error, "a row is not as expected");
    Outage::DatabaseUnavailable
}
