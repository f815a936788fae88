//! The differences between the schemas of Label Studio 1.7 to 1.23, all of which one binary serves.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::accounts::{AccountsUnavailable, NewAccount};
use super::connection::Connections;
use super::statement::{Statements, sql};
use super::unexpected;
use crate::gate::reason::Outage;

/// The properties of Label Studio's tables that differ between versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// JWT API tokens, and the switches for both kinds of tokens (since 1.17).
    pub has_jwt_tokens: bool,
    /// Session policies per organization (since 1.20).
    pub has_session_policy: bool,
    /// The gate's own tables (`label-studio-gate migrate`).
    pub has_own_tables: bool,
    /// Whether an organization without a row in `jwt_auth_jwtsettings` accepts legacy tokens. JWT
    /// tokens are the opposite.
    pub legacy_tokens_by_default: bool,
    /// How accounts are created, or why they cannot be.
    pub accounts: Result<NewAccount, AccountsUnavailable>,
    pub(super) statements: Statements,
}

/// The schema, once it has been read. Reading the cached value takes no lock.
#[derive(Default)]
pub(super) struct Known(ArcSwapOption<Schema>);

impl Known {
    /// The cached schema, or the one that Postgres has.
    ///
    /// It does not change while Label Studio runs. After an upgrade of Label Studio, the grants are
    /// renewed and the gate is restarted.
    ///
    /// Concurrent first callers each read the schema. If they waited for one another, their
    /// timeouts would add up while Postgres is down.
    pub(super) async fn get(&self, connections: &Connections) -> Result<Arc<Schema>, Outage> {
        if let Some(schema) = self.0.load_full() {
            return Ok(schema);
        }
        let schema = Arc::new(read(connections).await?);
        tracing::info!(
            has_jwt_tokens = schema.has_jwt_tokens,
            has_session_policy = schema.has_session_policy,
            can_create_accounts = schema.accounts.is_ok(),
            "read the schema"
        );
        self.0.store(Some(schema.clone()));
        Ok(schema)
    }
}

async fn read(connections: &Connections) -> Result<Schema, Outage> {
    let rows = connections.query(sql!("schema"), &[]).await?;
    let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
    let column = |name| {
        row.try_get::<_, bool>(name)
            .map_err(|error| unexpected(&error))
    };
    if !column("is_label_studio")? {
        tracing::error!(
            "Label Studio's tables do not exist: check the database's name, and whether Label Studio has \
             migrated"
        );
        return Err(Outage::DatabaseUnavailable);
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
        has_own_tables,
        statements: Statements::new(has_own_tables),
        accounts: NewAccount::read(connections).await?,
        legacy_tokens_by_default: !has_jwt_tokens || !legacy_tokens_off(connections).await?,
    })
}

async fn legacy_tokens_off(connections: &Connections) -> Result<bool, Outage> {
    let rows = connections.query(sql!("jwt_defaults"), &[]).await?;
    let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
    row.try_get("legacy_tokens_off")
        .map_err(|error| unexpected(&error))
}
