//! What `/metrics` tells about the API.

use std::time::Duration;

use super::answer::Verdict;
use crate::metrics::{Counter, Histogram, Page, family};

/// The label of each kind of answer, in the order of [`outcome`].
const OUTCOMES: [&str; 4] = ["user", "nobody", "unusable", "failed"];

const fn outcome(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Somebody(_) => 0,
        Verdict::Nobody(_) => 1,
        Verdict::Unusable(_) => 2,
        Verdict::Failed(_) => 3,
    }
}

/// Counts and times requests to the API.
#[derive(Debug, Default)]
pub(super) struct Measures {
    durations: [Histogram; OUTCOMES.len()],
    /// Requests for which there was no room.
    pub(super) shed: Counter,
}

impl Measures {
    /// Records how long an answer took.
    pub(super) fn observe(&self, verdict: &Verdict, duration: Duration) {
        self.durations[outcome(verdict)].observe(duration);
    }

    pub(super) fn report(&self, page: &mut Page) {
        for (outcome, durations) in OUTCOMES.iter().zip(&self.durations) {
            page.histogram(&family::CLIENT_API_DURATION, &[outcome], durations);
        }
        page.counter(&family::SHED, &["client_api"], self.shed.get());
    }
}
