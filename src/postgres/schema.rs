//! The differences between the schemas of Label Studio 1.8.2 to 1.23, all of which one binary
//! serves.
//!
//! In: Postgres' catalog and Label Studio's list of migrations. Out: a [`Schema`], cached. It is
//! read again every few minutes, when a statement fails for lack of a right or a column, and before
//! something is refused because of it. So a grant, an upgrade of Label Studio and the gate's own
//! tables take effect without a restart.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::accounts::{AccountsUnavailable, NewAccount};
use super::connection::Connections;
use super::row::{column, only_row};
use super::statement::{Statements, sql};
use super::{MIGRATE, Postgres};
use crate::gate::reason::Outage;

/// How old the cached schema may become.
const INTERVAL: Duration = Duration::from_secs(300);

/// Minimum time between two readings, however many statements fail.
const COOLDOWN: Duration = Duration::from_secs(2);

/// The properties of Label Studio's tables that differ between versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// JWT API tokens, and the switches for both kinds of tokens (since 1.17).
    pub has_jwt_tokens: bool,
    /// Session policies per organization (since 1.20).
    pub has_session_policy: bool,
    /// Whether the role may write `htx_user.is_staff`.
    pub may_set_staff: bool,
    /// The gate's own tables (`label-studio-gate migrate`).
    pub has_own_tables: bool,
    /// Whether the role may use them. If not, statements that need them fail: revocations and used
    /// tokens are never ignored.
    pub may_use_own_tables: bool,
    /// Whether the audit table has a column for providers, which `migrate` adds.
    pub audit_has_provider: bool,
    /// Whether an organization without a row in `jwt_auth_jwtsettings` accepts legacy tokens. JWT
    /// tokens are the opposite.
    pub legacy_tokens_by_default: bool,
    /// How accounts are created, or why they cannot be.
    pub accounts: Result<NewAccount, AccountsUnavailable>,
    pub(super) statements: Statements,
}

/// Why the gate cannot work with this database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It cannot be read.
    #[error(transparent)]
    Outage(#[from] Outage),
    /// It is another database.
    #[error("the database {database:?} has no tables of Label Studio")]
    NotLabelStudio {
        /// Its name.
        database: String,
    },
    /// Its tables are in a schema that the role does not look at.
    #[error(
        "Label Studio's tables are in the schema {schema:?}, which is not in the search_path of \
         this role"
    )]
    NotInSearchPath {
        /// The schema.
        schema: String,
    },
    /// Its tables are in a schema that the role may not use.
    #[error("the role may not use the schema {schema:?} with Label Studio's tables")]
    SchemaClosed {
        /// The schema.
        schema: String,
    },
    /// Label Studio 1.7 to 1.8.1 ignores `SECRET_KEY`.
    #[error(
        "Label Studio is older than 1.8.2: it signs its sessions with a constant in its source \
         code, with which anybody can forge them"
    )]
    PublicSecretKey,
}

impl Schema {
    /// Whether every login fails, because the role may not use the gate's own tables, where revocations
    /// may be.
    pub const fn locks_out(&self) -> bool {
        self.has_own_tables && !self.may_use_own_tables
    }
}

impl SchemaError {
    /// What to do about it.
    pub fn cure(&self) -> String {
        let cure = match self {
            Self::NotInSearchPath { schema } => {
                return format!(
                    "ALTER ROLE … SET search_path = \"{schema}\" as a superuser or the role itself, \
                     or set it in database.url (?options=-c%20search_path%3D{schema})"
                );
            }
            Self::Outage(_) | Self::SchemaClosed { .. } => {
                "run sql/role.sql as the owner of Label Studio's tables"
            }
            Self::NotLabelStudio { .. } => {
                "set the name of Label Studio's database (database.url, POSTGRE_NAME), or let \
                 Label Studio migrate it"
            }
            Self::PublicSecretKey => {
                "upgrade Label Studio to 1.8.2 or later and let it migrate; give both services \
                 the same SECRET_KEY"
            }
        };
        cure.to_owned()
    }
}

/// The schema, once it has been read. Reading the cached value takes no lock.
pub(super) struct Known {
    schema: ArcSwapOption<Schema>,
    born: Instant,
    /// When the schema was last read, or would have been: milliseconds since `born`.
    attempted: AtomicU64,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            schema: ArcSwapOption::empty(),
            born: Instant::now(),
            attempted: AtomicU64::new(0),
        }
    }
}

impl Known {
    /// Whether the caller shall read the schema, because the last attempt is this long ago. Of
    /// several callers, one gets true.
    fn is_due(&self, after: Duration) -> bool {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.attempted.load(Ordering::Relaxed);
        let is_due = u128::from(now.saturating_sub(last)) >= after.as_millis();
        is_due
            && self
                .attempted
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Reads the schema and caches it.
    ///
    /// Concurrent first callers each read it. If they waited for one another, their timeouts would
    /// add up while Postgres is down.
    async fn read(&self, connections: &Connections) -> Result<Arc<Schema>, SchemaError> {
        connections.trust_schema();
        // On the heap, so that statements, which begin with the schema, don't pay for its size.
        let schema = match Box::pin(read(connections)).await {
            Ok(schema) => Arc::new(schema),
            Err(error) => {
                // An outage says nothing about the tables, so what is known stays.
                if !matches!(error, SchemaError::Outage(_)) {
                    tracing::error!(cure = error.cure().as_str(), "{error}");
                    self.schema.store(None);
                }
                return Err(error);
            }
        };
        let known = self.schema.swap(Some(schema.clone()));
        if known.is_none_or(|known| known != schema) {
            tracing::info!(
                has_jwt_tokens = schema.has_jwt_tokens,
                has_session_policy = schema.has_session_policy,
                has_own_tables = schema.has_own_tables,
                can_create_accounts = schema.accounts.is_ok(),
                "read the schema"
            );
            if schema.locks_out() {
                tracing::error!(
                    cure = MIGRATE,
                    "the gate's own tables exist, and this role may not use them: every login fails"
                );
            }
        }
        Ok(schema)
    }
}

impl Postgres {
    /// What Label Studio's tables look like.
    pub async fn schema(&self) -> Result<Arc<Schema>, Outage> {
        let (known, connections) = (&self.0.schema, &self.0.connections);
        let Some(schema) = known.schema.load_full() else {
            return self.read_schema().await.map_err(|error| match error {
                SchemaError::Outage(outage) => outage,
                SchemaError::NotLabelStudio { .. }
                | SchemaError::NotInSearchPath { .. }
                | SchemaError::SchemaClosed { .. }
                | SchemaError::PublicSecretKey => Outage::DatabaseUnavailable,
            });
        };
        if connections.doubts_schema() && known.is_due(COOLDOWN) {
            return Ok(self.read_schema().await.unwrap_or(schema));
        }
        if known.is_due(INTERVAL) {
            let this = self.clone();
            tokio::spawn(async move { this.read_schema().await.map(drop) });
        }
        Ok(schema)
    }

    /// The schema; read again if what is known does not satisfy `suffices`, before something is
    /// refused because of it.
    pub(super) async fn schema_that(
        &self,
        suffices: impl Fn(&Schema) -> bool,
    ) -> Result<Arc<Schema>, Outage> {
        let schema = self.schema().await?;
        match !suffices(&schema) && self.0.schema.is_due(COOLDOWN) {
            true => Ok(self.read_schema().await.unwrap_or(schema)),
            false => Ok(schema),
        }
    }

    /// Reads the schema now, or says why the gate cannot work with this database.
    pub async fn read_schema(&self) -> Result<Arc<Schema>, SchemaError> {
        // On the heap: every statement asks for the schema, and hardly ever has it read.
        Box::pin(self.0.schema.read(&self.0.connections)).await
    }
}

async fn read(connections: &Connections) -> Result<Schema, SchemaError> {
    let rows = connections.query(sql!("schema"), &[]).await?;
    let row = only_row(&rows)?;
    let column = |name| column::<bool>(row, name);
    if !column("is_label_studio")? {
        return Err(not_found(row)?);
    }
    let migrations = Migrations::read(connections).await?;
    if !migrations.has_own_secret_key {
        return Err(SchemaError::PublicSecretKey);
    }
    let has_jwt_tokens = column("has_jwt_tokens")?;
    let has_own_tables = column("has_own_tables")?;
    if column("has_some_own_tables")? && !has_own_tables {
        tracing::error!(
            "the gate's own tables are from an earlier release: run label-studio-gate migrate again"
        );
    }
    Ok(Schema {
        has_jwt_tokens,
        has_session_policy: column("has_session_policy")?,
        may_set_staff: column("may_set_staff")?,
        has_own_tables,
        may_use_own_tables: column("may_use_own_tables")?,
        audit_has_provider: column("audit_has_provider")?,
        // Also if the role may not use them: a login fails rather than ignore a revocation.
        statements: Statements::new(has_own_tables),
        accounts: NewAccount::read(connections).await?,
        legacy_tokens_by_default: !has_jwt_tokens || !migrations.legacy_tokens_off,
    })
}

/// Why there are no tables of Label Studio.
fn not_found(row: &Row) -> Result<SchemaError, Outage> {
    let schema: Option<String> = column(row, "hidden_in")?;
    let may_use_schema: bool = column(row, "may_use_schema")?;
    Ok(match (schema, may_use_schema) {
        (Some(schema), true) => SchemaError::NotInSearchPath { schema },
        (Some(schema), false) => SchemaError::SchemaClosed { schema },
        (None, _) => SchemaError::NotLabelStudio {
            database: column(row, "database")?,
        },
    })
}

/// What only the list of migrations tells.
struct Migrations {
    legacy_tokens_off: bool,
    has_own_secret_key: bool,
}

impl Migrations {
    async fn read(connections: &Connections) -> Result<Self, Outage> {
        let rows = connections.query(sql!("migrations"), &[]).await?;
        let row = only_row(&rows)?;
        Ok(Self {
            legacy_tokens_off: column(row, "legacy_tokens_off")?,
            has_own_secret_key: column(row, "has_own_secret_key")?,
        })
    }
}
