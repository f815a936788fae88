//! The look-up of an address in any case, which scans the table of users unless its owner made the
//! index of `sql/indexes.sql`.
//!
//! In: an address whose ASCII letters are in lower case, and the look-up. Out: its answer. There is
//! one look-up per address at a time, all of them together use a small part of the pool, and an
//! address that names nobody is remembered for seconds. What is remembered only refuses: a user is
//! always read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Postgres;
use super::row::{column, only_row};
use super::statement::sql;
use crate::cache::Cache;
use crate::deadline;
use crate::gate::reason::Outage;
use crate::gate::user::UserRow;
use crate::metrics::{Page, Source};
use crate::settings::DatabaseLimits;
use crate::single_flight::SingleFlight;

/// An address that names nobody is remembered for `database.cache_seconds`, but not longer than
/// this.
const LONGEST: Duration = Duration::from_secs(10);

/// The part of the pool that the look-ups may use: one connection in so many, at least one.
const SHARE: usize = 8;

/// The limits of the look-ups, and the addresses that recently named nobody.
pub(super) struct FoldedLookup {
    /// By the digest of the address, so that an entry is small.
    nobody: Cache<[u8; 32], ()>,
    under_way: SingleFlight<[u8; 32], Result<Option<Arc<UserRow>>, Outage>>,
    slots: Semaphore,
    patience: Duration,
}

impl FoldedLookup {
    pub(super) fn new(limits: &DatabaseLimits) -> Self {
        Self {
            nobody: Cache::new(
                "unknown_addresses",
                limits.cached_rows(),
                LONGEST.min(*limits.cache_seconds),
            ),
            under_way: SingleFlight::default(),
            slots: Semaphore::new((limits.pool_size / SHARE).max(1)),
            patience: *limits.wait_timeout_ms,
        }
    }

    /// A turn for a statement that may scan the table of users.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Outage> {
        let turn = tokio::time::timeout(self.patience, self.slots.acquire());
        let turn = deadline::wait_for(Outage::Overloaded, turn).await?;
        turn.ok().and_then(Result::ok).ok_or(Outage::Overloaded)
    }

    /// The user that `look_up` finds for this address. `is_stored`: a user has exactly this address
    /// now, so that an earlier answer does not count.
    pub(super) async fn find<F>(
        &self,
        address: &str,
        is_stored: bool,
        look_up: F,
    ) -> Result<Option<Arc<UserRow>>, Outage>
    where
        F: Future<Output = Result<Option<Arc<UserRow>>, Outage>>,
    {
        let key = Sha256::digest(address.as_bytes()).into();
        if is_stored {
            self.nobody.invalidate(&key);
        }
        let look_up = async {
            if self.nobody.get(&key).is_some() {
                return Ok(None);
            }
            let _turn = self.turn().await?;
            let before = self.nobody.before_reading();
            let found = look_up.await?;
            if found.is_none() {
                self.nobody.insert(key, (), before);
            }
            Ok(found)
        };
        self.under_way.run(key, look_up).await
    }
}

impl Source for FoldedLookup {
    fn report(&self, page: &mut Page) {
        self.nobody.report(page);
    }
}

/// What looking up an unknown address costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressLookup {
    /// About how many users there are.
    pub users: i64,
    /// Whether there is an index for it.
    pub has_index: bool,
    /// How long one took.
    pub duration: Duration,
}

impl Postgres {
    /// Looks up an address that no user has.
    pub async fn address_lookup(&self) -> Result<AddressLookup, Outage> {
        let rows = self.query(sql!("users_and_index"), &[]).await?;
        let row = only_row(&rows)?;
        let schema = self.schema().await?;
        let statement = schema.statements.user_by_folded_email.statement();
        // The first time, the statement is prepared.
        self.query(statement, &[&""]).await?;
        let _turn = self.0.folded_lookup.turn().await?;
        let start = Instant::now();
        self.query(statement, &[&""]).await?;
        Ok(AddressLookup {
            users: column(row, "users")?,
            has_index: column(row, "has_index")?,
            duration: start.elapsed(),
        })
    }
}
