//! Sessions that have expired, and what the gate remembers of tokens that have: Label Studio never deletes the former.

use std::time::Duration;

use super::statement::sql;
use super::{Postgres, unexpected};
use crate::gate::reason::Outage;

/// Between two batches others get their turn.
const PAUSE: Duration = Duration::from_millis(50);

impl Postgres {
    /// Deletes what has expired, in small batches; how many sessions there were. `None`: another gate is at it.
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
            self.query(sql!("purge_tokens"), &[]).await?;
        }
        Ok(Some(deleted))
    }
}
