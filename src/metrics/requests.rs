//! How long answers take.

use std::time::Duration;

use super::family::REQUEST_DURATION;
use super::{Histogram, Page};
use crate::gate::verdict::{Grant, Rejection};

/// A route whose answers are timed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Route {
    Check,
    SignIn,
    Token,
}

/// The label of each route, in their order.
const ROUTES: [&str; 3] = ["check", "sign_in", "token"];

/// How a request ended, as far as its duration depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Passed,
    LoggedIn,
    Issued,
    Refused,
    Outage,
}

/// The label of each outcome, in their order.
const OUTCOMES: [&str; 5] = ["passed", "logged_in", "issued", "refused", "outage"];

impl Outcome {
    pub(super) const fn of(verdict: &Result<Grant, Rejection>) -> Self {
        match verdict {
            Ok(grant) if grant.logged_in_by().is_some() => Self::LoggedIn,
            Ok(_) => Self::Passed,
            Err(Rejection::Denial(_) | Rejection::SignInRequired(_)) => Self::Refused,
            Err(Rejection::Outage(_)) => Self::Outage,
        }
    }

    pub(super) const fn of_token_request(status: u16) -> Self {
        match status {
            200 => Self::Issued,
            503 => Self::Outage,
            _ => Self::Refused,
        }
    }
}

/// Times answers by route and outcome.
#[derive(Debug, Default)]
pub(super) struct RequestTimes([[Histogram; OUTCOMES.len()]; ROUTES.len()]);

impl RequestTimes {
    pub(super) fn observe(&self, route: Route, outcome: Outcome, duration: Duration) {
        self.0[route as usize][outcome as usize].observe(duration);
    }

    pub(super) fn report(&self, page: &mut Page) {
        for (route, outcomes) in ROUTES.iter().zip(&self.0) {
            for (outcome, durations) in OUTCOMES.iter().zip(outcomes) {
                page.histogram_if_used(&REQUEST_DURATION, &[route, outcome], durations);
            }
        }
    }
}
