//! The queue in front of the pool.
//!
//! In: a request for a connection. Out: a connection, or an outage that says whether there are too
//! many requests or the database stands still.
//!
//! The number of waiting requests is limited, and so is each one's time. A decision that has used
//! the database before does not queue again: under overload, every decision would otherwise wait
//! for its first statement and be given up while it waits for its second.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::Status;
use deadpool::managed::{Object, Pool, PoolError, TimeoutType};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::failure::{DatabaseFault, chain};
use super::hosts::{Hosts, NoConnection};
use super::measures::{Measures, PoolFailure};
use crate::deadline;
use crate::gate::reason::Outage;
use crate::settings::DatabaseLimits;

tokio::task_local! {
    /// Set while the statement of a batch is sent, whose requests have places in the queue already: whether
    /// one of them continues a decision.
    static ON_BEHALF: bool;
}

/// Sends the statement of a batch. Each of its requests has a place in the queue, and the statement
/// needs none: it must not fail because they fill the queue. If one of them `continues` a decision,
/// the statement does not wait behind those that begin one.
pub(super) async fn on_behalf<T>(continues: bool, statement: impl Future<Output = T>) -> T {
    ON_BEHALF.scope(continues, statement).await
}

/// Who gets a connection next.
pub(super) struct Queue {
    /// One for each request that waits for a connection or has one.
    places: Semaphore,
    capacity: usize,
    /// One for each connection that decisions may use for their first statement.
    turns: Semaphore,
    limit: Duration,
    started: Instant,
    /// When the server last answered a statement, in milliseconds since `started`.
    answered: AtomicU64,
}

/// A place in the queue, until dropped.
pub(super) struct Place<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _turn: Option<SemaphorePermit<'a>>,
}

/// A request that waits until others of its kind have been answered ([`super::batch`]).
pub(super) struct BatchWait<'a> {
    queue: &'a Queue,
    measures: &'a Measures,
    begun: u64,
    _place: SemaphorePermit<'a>,
}

impl BatchWait<'_> {
    /// How long it may wait.
    pub(super) const fn limit(&self) -> Duration {
        self.queue.limit
    }

    /// Why it has waited in vain.
    pub(super) fn given_up(&self) -> Outage {
        self.queue.given_up(self.begun, self.measures)
    }
}

impl Queue {
    pub(super) fn new(limits: &DatabaseLimits) -> Self {
        let capacity = limits.pool_size + limits.queue;
        Self {
            places: Semaphore::new(capacity),
            capacity,
            turns: Semaphore::new(limits.pool_size),
            limit: *limits.wait_timeout_ms,
            started: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Waits for a turn. A full queue is an outage at once.
    pub(super) async fn enter(&self, measures: &Measures) -> Result<Place<'_>, Outage> {
        let on_behalf = ON_BEHALF.try_with(|continues| *continues).ok();
        let place = match on_behalf {
            Some(_) => None,
            None => Some(self.place(measures)?),
        };
        let turn = match on_behalf.unwrap_or_else(deadline::continues_in_database) {
            true => None,
            false => Some(self.turn(measures).await?),
        };
        Ok(Place {
            _place: place,
            _turn: turn,
        })
    }

    /// A place for a request that shares a statement with others. A full queue is an outage at once.
    pub(super) fn wait_for_a_batch<'a>(
        &'a self,
        measures: &'a Measures,
    ) -> Result<BatchWait<'a>, Outage> {
        let place = self.place(measures)?;
        Ok(BatchWait {
            queue: self,
            measures,
            begun: self.now(),
            _place: place,
        })
    }

    fn place(&self, measures: &Measures) -> Result<SemaphorePermit<'_>, Outage> {
        self.places.try_acquire().map_err(|_| {
            measures.count_shed();
            Outage::Overloaded
        })
    }

    async fn turn(&self, measures: &Measures) -> Result<SemaphorePermit<'_>, Outage> {
        let turn = self.wait_for(self.turns.acquire(), measures).await?;
        turn.map_err(|_| Outage::Overloaded)
    }

    /// Waits for `turn`, as long as a request may wait.
    pub(super) async fn wait_for<T>(
        &self,
        turn: impl Future<Output = T>,
        measures: &Measures,
    ) -> Result<T, Outage> {
        let begun = self.now();
        let turn = pin!(tokio::time::timeout(self.limit, turn));
        match deadline::wait_for(Outage::Overloaded, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(self.given_up(begun, measures)),
        }
    }

    /// A connection for a request with a place.
    pub(super) async fn connection(
        &self,
        pool: &Pool<Hosts>,
        measures: &Measures,
    ) -> Result<Object<Hosts>, Outage> {
        let begun = self.now();
        let connection = pin!(pool.get());
        match deadline::wait_for(Outage::DatabaseUnavailable, connection).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Timeout(TimeoutType::Wait))) | Err(_) => {
                Err(self.given_up(begun, measures))
            }
            Ok(Err(error)) => {
                measures.count_pool_failure(PoolFailure::Unreachable);
                let fault = no_connection(&error);
                let cure = fault.cure;
                tracing::warn!(error = %fault, cure, "cannot connect to Postgres");
                measures.blame(fault);
                Err(Outage::DatabaseUnavailable)
            }
        }
    }

    /// Records that the server answered a statement.
    pub(super) fn answered(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The number of requests that wait for a connection.
    pub(super) fn waiting(&self, pool: &Status) -> usize {
        let in_use = pool.size.saturating_sub(pool.available);
        let held = self.capacity - self.places.available_permits();
        held.saturating_sub(in_use)
    }

    /// Why a wait that began at `begun` was in vain: the server has answered others in its second
    /// half, or nobody.
    fn given_up(&self, begun: u64, measures: &Measures) -> Outage {
        measures.count_pool_failure(PoolFailure::Timeout);
        let half_time = begun.midpoint(self.now());
        if self.answered.load(Ordering::Relaxed) < half_time {
            let what = "Postgres answers on none of the connections";
            tracing::warn!("{what}");
            measures.blame(DatabaseFault {
                what: what.to_owned(),
                cure: None,
            });
            Outage::DatabaseUnavailable
        } else {
            Outage::Overloaded
        }
    }
}

/// Why the pool has no connection.
pub(super) fn no_connection(error: &PoolError<NoConnection>) -> DatabaseFault {
    match error {
        PoolError::Backend(NoConnection(fault)) => fault.clone(),
        error => DatabaseFault {
            what: chain(error),
            cure: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let limits = serde_json::json!({
            "pool_size": 1,
            "queue": 1,
            "wait_timeout_ms": 60_000,
            "connect_timeout_ms": 1,
            "statement_timeout_ms": 1,
            "cache_seconds": 0,
            "cache_capacity": 0,
        });
        Queue::new(&serde_json::from_value(limits).expect("limits"))
    }

    #[tokio::test]
    async fn requests_that_wait_for_a_batch_do_not_keep_it_from_being_sent() {
        let (queue, measures) = (queue(), Measures::default());
        let _waiting = [(); 2].map(|()| queue.wait_for_a_batch(&measures).expect("a place"));
        let full = queue.enter(&measures).await.err();
        assert_eq!(full, Some(Outage::Overloaded));
        assert!(on_behalf(false, queue.enter(&measures)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_continues_decisions_does_not_wait_behind_those_that_begin() {
        let (queue, measures) = (queue(), Measures::default());
        let _turn = queue.enter(&measures).await.expect("the only turn");
        assert!(on_behalf(true, queue.enter(&measures)).await.is_ok());
        assert!(on_behalf(false, queue.enter(&measures)).await.is_err());
    }
}
