//! What Label Studio's tables are like: one binary serves 1.7 to 1.23.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accounts::NewAccount;
use super::connection::Connections;
use super::statement::{Statements, sql};
use super::unexpected;
use crate::gate::reason::Outage;

/// What differs between the versions of Label Studio, as far as the gate needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// JWT API tokens, and the switches for both kinds (since 1.17).
    pub has_jwt_tokens: bool,
    /// Session policies by organization (since 1.20).
    pub has_session_policy: bool,
    /// The gate's own tables (`label-studio-gate migrate`).
    pub has_own_tables: bool,
    /// What a missing row of `jwt_auth_jwtsettings` means for legacy tokens; JWT tokens are the opposite.
    pub legacy_tokens_by_default: bool,
    /// How accounts are created, or why they cannot be.
    pub accounts: Result<NewAccount, String>,
    pub(super) statements: Statements,
}

/// The schema, once it was read.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<Arc<Schema>>>);

impl Known {
    /// Reads it at the first time that Postgres is there.
    ///
    /// It doesn't change while Label Studio runs; after an upgrade of Label Studio the gate is restarted, as its role's grants are renewed.
    pub(super) async fn get(&self, connections: &Connections) -> Result<Arc<Schema>, Outage> {
        if let Some(schema) = self.lock().clone() {
            return Ok(schema);
        }
        let schema = Arc::new(read(connections).await?);
        tracing::info!(
            has_jwt_tokens = schema.has_jwt_tokens,
            has_session_policy = schema.has_session_policy,
            can_create_accounts = schema.accounts.is_ok(),
            "read the schema"
        );
        *self.lock() = Some(schema.clone());
        Ok(schema)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Schema>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            "this database holds no tables of Label Studio: has it migrated, and is this its database?"
        );
        return Err(Outage::DatabaseUnavailable);
    }
    let has_jwt_tokens = column("has_jwt_tokens")?;
    let has_own_tables = column("has_own_tables")?;
    if column("has_some_own_tables")? && !has_own_tables {
        tracing::error!(
            "the gate's own tables are those of an earlier release: run label-studio-gate migrate again"
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
