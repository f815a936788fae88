//! Deletes expired sessions, which Label Studio never deletes, and the gate's own expired rows.

use std::time::Duration;

use super::statement::sql;
use super::{Postgres, unexpected};
use crate::gate::reason::Outage;

/// Pause between two batches, so that other statements are not held up.
const PAUSE: Duration = Duration::from_millis(50);

impl Postgres {
    /// Deletes expired rows in small batches and returns the number of sessions. `None`: another
    /// gate is already deleting them.
    pub async fn purge(&self) -> Result<Option<u64>, Outage> {
        let mut deleted = 0;
        loop {
            let rows = self.query(sql!("purge_sessions"), &[]).await?;
            let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
            let batch: Option<i64> = row.try_get("deleted").map_err(|error| unexpected(&error))?;
            match batch {
                None => return Ok(None),
                Some(0) => break,
                Some(batch) => deleted += batch.unsigned_abs(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        if self.schema().await?.has_own_tables {
            self.purge_tokens().await?;
        }
        Ok(Some(deleted))
    }

    async fn purge_tokens(&self) -> Result<(), Outage> {
        loop {
            let rows = self.query(sql!("purge_tokens"), &[]).await?;
            let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
            let may_be_more = row.try_get("may_be_more");
            if !may_be_more.map_err(|error| unexpected(&error))? {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
