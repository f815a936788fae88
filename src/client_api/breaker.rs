//! A circuit breaker: an API that has failed several times in a row is left alone for a while.
//!
//! | state | what it means | how it ends |
//! |---|---|---|
//! | closed | every question is asked | [`TOLERATED`] failures in a row open it |
//! | open | no question is asked | after [`PAUSE`] it is half-open |
//! | half-open | one question is asked, and none until its answer is known or another [`PAUSE`] has passed | an answer closes it, a failure opens it |

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const TOLERATED: u32 = 5;

/// How long it stays open.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts failures.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// `None`: closed. A moment that has passed: half-open.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to ask. The first to be told so while it is half-open makes the attempt, and it counts as open for everybody else.
    pub(super) fn allows(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                state.open_until = Some(Instant::now() + PAUSE);
                true
            }
            None => true,
        }
    }

    /// The API has answered, whatever it said.
    pub(super) fn succeeded(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open_until.is_some() {
            tracing::info!("the client's API answers again");
        }
        *state = State::default();
    }

    /// The API has not answered, or has said that it cannot.
    pub(super) fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures < TOLERATED {
            return;
        }
        if state.open_until.is_none() {
            tracing::error!(
                failures = state.failures,
                pause_seconds = PAUSE.as_secs(),
                "the client's API fails again and again: it is not asked for a while"
            );
        }
        state.open_until = Some(Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_some_failures_it_pauses_and_then_lets_one_try() {
        let breaker = Breaker::default();
        for _ in 0..TOLERATED {
            assert!(breaker.allows());
            breaker.failed();
        }
        assert!(!breaker.allows());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.allows(), "one may try");
        assert!(!breaker.allows(), "and one alone");
        breaker.failed();
        tokio::time::advance(PAUSE / 2).await;
        assert!(!breaker.allows());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.allows());
        breaker.succeeded();
        assert!(breaker.allows() && breaker.allows());
    }

    #[tokio::test]
    async fn a_success_between_failures_resets_the_count() {
        let breaker = Breaker::default();
        for _ in 0..3 * TOLERATED {
            breaker.failed();
            breaker.succeeded();
        }
        assert!(breaker.allows());
    }
}
