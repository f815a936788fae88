//! Deletes expired sessions, which Label Studio never deletes, and the gate's own expired rows.

use std::time::Duration;

use super::Postgres;
use super::row::{column, only_row};
use super::statement::sql;
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
            let row = only_row(&rows)?;
            let batch: Option<i64> = column(row, "deleted")?;
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
            let row = only_row(&rows)?;
            let may_be_more: bool = column(row, "may_be_more")?;
            if !may_be_more {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
