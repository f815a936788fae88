//! A circuit breaker, which stops requests to an API that keeps failing.
//!
//! | state | meaning | transition |
//! |---|---|---|
//! | closed | every request is sent | [`MAX_FAILURES`] consecutive failures open it |
//! | open | no request is sent | after [`PAUSE`] it is half-open |
//! | half-open | one trial request is sent | an answer closes it, a failure opens it |
//!
//! If the trial request has not finished after another [`PAUSE`], the next request is a trial too.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Consecutive failures that open it.
const MAX_FAILURES: u32 = 5;

/// How long it stays open.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts failures and tells whether a request may be sent.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// `None`: closed. In the past: half-open.
    open_until: Option<Instant>,
}

impl Breaker {
    /// Every state.
    pub(super) const STATES: [&str; 3] = ["closed", "half_open", "open"];

    /// Whether a request may be sent. While half-open, the first caller sends the trial request and
    /// the breaker is open for the others.
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

    /// Its state, as one of [`Self::STATES`].
    pub(super) fn state(&self) -> &'static str {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            None => "closed",
            Some(until) if Instant::now() < until => "open",
            Some(_) => "half_open",
        }
    }

    /// Records an answer, whatever it says.
    pub(super) fn succeeded(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open_until.is_some() {
            tracing::info!("the host application's API answers again");
        }
        *state = State::default();
    }

    /// Records that the API did not answer, or said that it cannot.
    pub(super) fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures < MAX_FAILURES {
            return;
        }
        if state.open_until.is_none() {
            tracing::error!(
                failures = state.failures,
                pause_seconds = PAUSE.as_secs(),
                "the host application's API keeps failing: pausing requests to it"
            );
        }
        state.open_until = Some(Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_and_allows_one_trial_after_the_pause() {
        let breaker = Breaker::default();
        for _ in 0..MAX_FAILURES {
            assert!(breaker.allows());
            breaker.failed();
        }
        assert!(!breaker.allows());
        assert_eq!(breaker.state(), "open");
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.state(), "half_open");
        assert!(breaker.allows(), "the trial request");
        assert!(!breaker.allows(), "only one");
        breaker.failed();
        tokio::time::advance(PAUSE / 2).await;
        assert!(!breaker.allows());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.allows());
        breaker.succeeded();
        assert_eq!(breaker.state(), "closed");
        assert!(breaker.allows() && breaker.allows());
    }

    #[tokio::test]
    async fn a_success_between_failures_resets_the_count() {
        let breaker = Breaker::default();
        for _ in 0..3 * MAX_FAILURES {
            breaker.failed();
            breaker.succeeded();
        }
        assert!(breaker.allows());
    }
}
