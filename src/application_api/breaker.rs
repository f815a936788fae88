//! A circuit breaker, which stops requests to an API that keeps failing.
//!
//! | state | meaning | transition |
//! |---|---|---|
//! | closed | every request is sent | [`MAX_FAILURES`] consecutive failures open it |
//! | open | no request is sent | after a pause it is half-open |
//! | half-open | one trial request is sent | an answer closes it, a failure opens it |
//!
//! The pause is short at first, because most outages are restarts, and doubles with each failed
//! trial up to [`LONGEST_PAUSE`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Consecutive failures that open it.
const MAX_FAILURES: u32 = 5;

/// The pause before the first trial request.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two trial requests: an API that is back is noticed this soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Counts failures and tells whether a request may be sent.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// `None`: closed.
    open: Option<Open>,
}

struct Open {
    pause: Duration,
    /// From then on it is half-open.
    until: Instant,
    /// Whether a trial request is on its way. There is at most one at a time.
    trial: bool,
}

impl Open {
    fn for_pause(pause: Duration) -> Self {
        Self {
            pause,
            until: Instant::now() + pause,
            trial: false,
        }
    }
}

/// The permission to send one request. Dropped without an outcome, it counts as a failure.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    is_trial: bool,
    is_reported: bool,
}

impl Breaker {
    /// Every state.
    pub(super) const STATES: [&str; 3] = ["closed", "half_open", "open"];

    /// Permits a request. While half-open, the first caller gets the trial request and the breaker
    /// is open for the others.
    pub(super) fn permit(&self) -> Option<Permit<'_>> {
        let mut state = self.lock();
        let is_trial = match &mut state.open {
            None => false,
            Some(open) if open.trial || Instant::now() < open.until => return None,
            Some(open) => {
                open.trial = true;
                true
            }
        };
        Some(Permit {
            breaker: self,
            is_trial,
            is_reported: false,
        })
    }

    /// Its state, as one of [`Self::STATES`].
    pub(super) fn state(&self) -> &'static str {
        match &self.lock().open {
            None => "closed",
            Some(open) if !open.trial && Instant::now() < open.until => "open",
            Some(_) => "half_open",
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, is_trial: bool) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let failures = state.failures;
        match &mut state.open {
            // Sent before it opened.
            Some(_) if !is_trial => {}
            Some(open) => *open = Open::for_pause((open.pause * 2).min(LONGEST_PAUSE)),
            None if failures >= MAX_FAILURES => {
                tracing::error!(
                    failures,
                    "the host application's API keeps failing: pausing requests to it"
                );
                state.open = Some(Open::for_pause(FIRST_PAUSE));
            }
            None => {}
        }
    }
}

impl Permit<'_> {
    /// Records an answer, whatever it says.
    pub(super) fn succeeded(mut self) {
        self.is_reported = true;
        let mut state = self.breaker.lock();
        if state.open.is_some() {
            tracing::info!("the host application's API answers again");
        }
        *state = State::default();
    }

    /// Records that the API did not answer, or said that it cannot.
    pub(super) fn failed(self) {
        drop(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_reported {
            self.breaker.failed(self.is_trial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(breaker.state(), "closed");
            breaker.permit().expect("closed").failed();
        }
        assert!(breaker.permit().is_none());
        assert_eq!(breaker.state(), "open");
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn trials_follow_each_other_after_growing_pauses_and_one_at_a_time() {
        let breaker = open();
        for pause in [250, 500, 1000, 2000, 2000, 2000] {
            tokio::time::advance(Duration::from_millis(pause - 1)).await;
            assert!(breaker.permit().is_none(), "before {pause} ms");
            tokio::time::advance(Duration::from_millis(1)).await;
            let trial = breaker.permit().expect("the trial request");
            assert_eq!(breaker.state(), "half_open");
            // However long it takes.
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(breaker.permit().is_none(), "only one");
            trial.failed();
        }
        tokio::time::advance(LONGEST_PAUSE).await;
        breaker.permit().expect("the trial request").succeeded();
        let (_one, _two) = (breaker.permit().expect("closed"), breaker.permit());
        assert_eq!(breaker.state(), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_sent_before_it_opened_do_not_move_the_trial() {
        let breaker = Breaker::default();
        let late: Vec<_> = (0..3).filter_map(|_| breaker.permit()).collect();
        for _ in 0..MAX_FAILURES {
            breaker.permit().expect("closed").failed();
        }
        tokio::time::advance(FIRST_PAUSE / 2).await;
        drop(late);
        tokio::time::advance(FIRST_PAUSE / 2).await;
        assert!(breaker.permit().is_some());
    }

    #[tokio::test]
    async fn a_success_between_failures_resets_the_count() {
        let breaker = Breaker::default();
        for _ in 0..3 * MAX_FAILURES {
            breaker.permit().expect("closed").failed();
            breaker.permit().expect("closed").succeeded();
        }
        assert_eq!(breaker.state(), "closed");
    }
}
