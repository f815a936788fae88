//! Looks at the database when the service starts, and after a reload, so that the log says what is wrong
//! with it before the first user comes.
//!
//! The service does not wait for that: Postgres may be up later.

use std::time::Duration;

use crate::postgres::{MIGRATE, Postgres};

/// How long to wait before the next attempt. Requests do not depend on it.
const PAUSE: Duration = Duration::from_secs(60);

/// Reads the schema until that works; the adapter logs why it does not. `needs_own_tables`: the settings
/// ask for something that the gate's own tables hold.
pub(super) async fn look_at(postgres: Postgres, needs_own_tables: bool) {
    let schema = loop {
        // What is cached may be older than the tables that the new settings need.
        match postgres.read_schema().await {
            Ok(schema) => break schema,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    if needs_own_tables && !schema.has_own_tables {
        tracing::error!(
            cure = MIGRATE,
            "token.use is \"once\", and the gate's own tables do not exist: every login with a token \
             fails"
        );
    }
}
