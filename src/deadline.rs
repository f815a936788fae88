//! The time limit of a decision: queueing, statements, key server and host application together.
//!
//! [`decide_within`] starts it. Adapters wrap each wait in [`wait_for`], which ends the wait with
//! the outage of that dependency when the time is up, so that the answer names what was waited for.
//! Outside of a decision (`doctor`, background tasks), waits have only their own limits.

use std::cell::Cell;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::gate::reason::Outage;

tokio::task_local! {
    static DECISION: Decision;
}

/// A decision under way. Most are made without a wait and never read the clock.
struct Decision {
    limit: Duration,
    ends: Cell<Option<Instant>>,
    waiting_for: Cell<Option<Outage>>,
    used_database: Cell<bool>,
}

impl Decision {
    fn ends(&self) -> Instant {
        let ends = self.ends.get();
        let ends = ends.unwrap_or_else(|| Instant::now() + self.limit);
        self.ends.set(Some(ends));
        ends
    }
}

/// Runs `decision` for at most `limit`. If the time is up, the outcome is the outage of the
/// dependency that was waited for.
pub async fn decide_within<T, E: From<Outage>>(
    limit: Duration,
    decision: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let state = Decision {
        limit,
        ends: Cell::new(None),
        waiting_for: Cell::new(None),
        used_database: Cell::new(false),
    };
    let mut decision = pin!(DECISION.scope(state, decision));
    // The timer is set only if there is something to wait for.
    let at_once = std::future::poll_fn(|context| Poll::Ready(decision.as_mut().poll(context)));
    if let Poll::Ready(outcome) = at_once.await {
        return outcome;
    }
    // Adapters end their waits at the same time, and `timeout` asks them first. This limit is for a
    // wait that nobody wrapped.
    if let Ok(outcome) = timeout(limit, decision.as_mut()).await {
        return outcome;
    }
    let state = decision.as_mut().take_value();
    let waiting_for = state.and_then(|state| state.waiting_for.get());
    Err(waiting_for.unwrap_or(Outage::Overloaded).into())
}

/// Waits for a dependency until the decision's time is up.
pub async fn wait_for<T>(dependency: Outage, wait: impl Future<Output = T>) -> Result<T, Outage> {
    wait_until(dependency, |decision| decision.ends(), wait).await
}

/// Like [`wait_for`], but keeps a quarter of the time for what the caller does instead.
pub async fn wait_with_alternative<T>(
    dependency: Outage,
    wait: impl Future<Output = T>,
) -> Result<T, Outage> {
    wait_until(
        dependency,
        |decision| decision.ends() - decision.limit / 4,
        wait,
    )
    .await
}

async fn wait_until<T>(
    dependency: Outage,
    ends: impl FnOnce(&Decision) -> Instant,
    wait: impl Future<Output = T>,
) -> Result<T, Outage> {
    let ends = DECISION.try_with(|decision| {
        decision.waiting_for.set(Some(dependency));
        ends(decision)
    });
    let Ok(ends) = ends else {
        return Ok(wait.await);
    };
    let waited = timeout_at(ends, wait).await;
    let _ = DECISION.try_with(|decision| decision.waiting_for.set(None));
    waited.map_err(|_| {
        tracing::warn!(
            waited_for = dependency.code(),
            "the time for this decision is up"
        );
        dependency
    })
}

/// Whether this decision has used the database before. From now on, it has.
///
/// What is begun should be finished: a decision that waited for its first statement must not be
/// sent to the end of the queue with its second.
pub fn continues_in_database() -> bool {
    let used = DECISION.try_with(|decision| decision.used_database.replace(true));
    used.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_outcome_names_the_dependency_that_was_waited_for() {
        let begun = Instant::now();
        let outcome = decide_within(LIMIT, async {
            wait_for(Outage::DatabaseUnavailable, seconds(2)).await?;
            wait_for(Outage::KeyServerUnavailable, seconds(2)).await
        });
        assert_eq!(outcome.await, Err(Outage::KeyServerUnavailable));
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_nobody_wrapped_ends_too() {
        let begun = Instant::now();
        let outcome: Result<(), Outage> = decide_within(LIMIT, async {
            seconds(60).await;
            Ok(())
        })
        .await;
        assert_eq!(outcome, Err(Outage::Overloaded));
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_application_leaves_time_for_the_session() {
        let outcome = decide_within(LIMIT, async {
            let asked = wait_with_alternative(Outage::ApplicationApiUnavailable, seconds(60));
            assert_eq!(asked.await, Err(Outage::ApplicationApiUnavailable));
            wait_for(Outage::DatabaseUnavailable, tokio::time::sleep(LIMIT / 8)).await
        });
        assert_eq!(outcome.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn outside_of_a_decision_nothing_is_cut_short() {
        assert_eq!(
            wait_for(Outage::DatabaseUnavailable, seconds(60)).await,
            Ok(())
        );
        assert!(!continues_in_database() && !continues_in_database());
        let outcome: Result<_, Outage> = decide_within(LIMIT, async {
            Ok((continues_in_database(), continues_in_database()))
        })
        .await;
        assert_eq!(outcome, Ok((false, true)));
    }
}
