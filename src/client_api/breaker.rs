//! A circuit breaker: who has failed several times in a row is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which nobody asks any more.
const TOLERATED: u32 = 5;

/// How long nobody asks; then one request may try.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts failures.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether asking makes sense. After a pause the first one may, and the pause begins anew for the others.
    pub(super) fn allows(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.closed_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                state.closed_until = Some(Instant::now() + PAUSE);
                true
            }
            None => true,
        }
    }

    /// Notes how it went.
    pub(super) fn note(&self, succeeded: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            if state.closed_until.is_some() {
                tracing::info!("the client's API answers again");
            }
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= TOLERATED {
            if state.closed_until.is_none() {
                tracing::error!(
                    failures = state.failures,
                    pause_seconds = PAUSE.as_secs(),
                    "the client's API fails again and again: it is not asked for a while"
                );
            }
            state.closed_until = Some(Instant::now() + PAUSE);
        }
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
            breaker.note(false);
        }
        assert!(!breaker.allows());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.allows(), "one may try");
        assert!(!breaker.allows(), "and one alone");
        breaker.note(false);
        tokio::time::advance(PAUSE / 2).await;
        assert!(!breaker.allows());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.allows());
        breaker.note(true);
        assert!(breaker.allows() && breaker.allows());
    }

    #[tokio::test]
    async fn a_success_between_failures_resets_the_count() {
        let breaker = Breaker::default();
        for _ in 0..3 * TOLERATED {
            breaker.note(false);
            breaker.note(true);
        }
        assert!(breaker.allows());
    }
}
