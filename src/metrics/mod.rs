//! What Prometheus reads at `/metrics`.
//!
//! [`family`] declares the metrics. [`Metrics`] holds the counters of the service itself, which
//! last as long as the process. Components (the database, key servers, the host application's API)
//! keep their own, and tell them as a [`Source`] when a scrape asks.
//!
//! Counting takes neither a lock nor an allocation: counters are arrays of atomics, indexed by what
//! is counted.

mod cache;
pub mod family;
mod histogram;
mod page;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::cache::CacheUse;
pub use self::histogram::Histogram;
pub use self::page::{Page, Source};
use crate::gate::reason::Reason;
use crate::gate::verdict::{Grant, Rejection};
use crate::gate::verify::Method;

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A route whose answers are timed.
#[derive(Debug, Clone, Copy)]
enum Route {
    Check,
    SignIn,
    Token,
}

/// The label of each route, in their order.
const ROUTES: [&str; 3] = ["check", "sign_in", "token"];

/// How a request ended, as far as its duration depends on it.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Passed,
    LoggedIn,
    Issued,
    Refused,
    Outage,
}

/// The label of each outcome, in their order.
const OUTCOMES: [&str; 5] = ["passed", "logged_in", "issued", "refused", "outage"];

impl Outcome {
    const fn of(verdict: &Result<Grant, Rejection>) -> Self {
        match verdict {
            Ok(grant) if grant.login().is_some() => Self::LoggedIn,
            Ok(_) => Self::Passed,
            Err(Rejection::Denial(_) | Rejection::SignInRequired(_)) => Self::Refused,
            Err(Rejection::Outage(_)) => Self::Outage,
        }
    }

    const fn of_token_request(status: u16) -> Self {
        match status {
            200 => Self::Issued,
            503 => Self::Outage,
            _ => Self::Refused,
        }
    }
}

/// The label of each method, in the order of [`method_index`].
const METHODS: [&str; 4] = ["none", "external", "native", "session"];

const fn method_index(method: Option<Method>) -> usize {
    match method {
        None => 0,
        Some(Method::External) => 1,
        Some(Method::Native) => 2,
        Some(Method::Session) => 3,
    }
}

/// Counts decisions by reason and method.
#[derive(Debug)]
struct Decisions([[Counter; METHODS.len()]; Reason::COUNT]);

impl Default for Decisions {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

impl Decisions {
    fn count(&self, verdict: &Result<Grant, Rejection>) {
        let (reason, method) = match verdict {
            Ok(grant) => (grant.reason(), grant.login().map(|login| login.method)),
            Err(rejection) => (rejection.reason(), None),
        };
        if let Some(methods) = self.0.get(reason.index()) {
            methods[method_index(method)].increment();
        }
    }

    /// Reports every reason, so that a rate is known from its first occurrence, and the methods
    /// that occurred.
    fn report(&self, page: &mut Page, family: &'static family::Family) {
        for (reason, counters) in Reason::all().zip(&self.0) {
            for (method, counter) in METHODS.into_iter().zip(counters) {
                let count = counter.get();
                if count > 0 || method == "none" {
                    page.counter(family, &[reason.code(), method], count);
                }
            }
        }
    }
}

/// The service's counters.
#[derive(Debug)]
pub struct Metrics {
    started: f64,
    checks: Decisions,
    sign_ins: Decisions,
    /// By status, from 100 to 599.
    token_requests: Vec<Counter>,
    durations: [[Histogram; OUTCOMES.len()]; ROUTES.len()],
    suppressed_lines: Counter,
    lost_lines: Counter,
}

/// The statuses of HTTP.
const STATUSES: std::ops::Range<u16> = 100..600;

impl Metrics {
    /// Counters at zero. `started` is the start time of the process, in seconds since the epoch.
    pub fn new(started: f64) -> Self {
        Self {
            started,
            checks: Decisions::default(),
            sign_ins: Decisions::default(),
            token_requests: STATUSES.map(|_| Counter::default()).collect(),
            durations: Default::default(),
            suppressed_lines: Counter::default(),
            lost_lines: Counter::default(),
        }
    }

    /// Counts a check that took this long.
    pub fn count_check(&self, verdict: &Result<Grant, Rejection>, duration: Duration) {
        self.checks.count(verdict);
        self.observe(Route::Check, Outcome::of(verdict), duration);
    }

    /// Counts a sign-in that took this long.
    pub fn count_sign_in(&self, verdict: &Result<Grant, Rejection>, duration: Duration) {
        self.sign_ins.count(verdict);
        self.observe(Route::SignIn, Outcome::of(verdict), duration);
    }

    /// Counts a token request that was answered with this status.
    pub fn count_token_request(&self, status: u16, duration: Duration) {
        let index = usize::from(status.saturating_sub(STATUSES.start));
        if let Some(counter) = self.token_requests.get(index) {
            counter.increment();
        }
        self.observe(Route::Token, Outcome::of_token_request(status), duration);
    }

    fn observe(&self, route: Route, outcome: Outcome, duration: Duration) {
        self.durations[route as usize][outcome as usize].observe(duration);
    }

    /// Counts a refusal that was not logged.
    pub fn count_suppressed_line(&self) {
        self.suppressed_lines.increment();
    }

    /// Counts log lines that were lost.
    pub fn count_lost_lines(&self, lines: usize) {
        self.lost_lines
            .add(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    /// All metrics, with those of `sources`, in the OpenMetrics text format.
    pub fn encode(&self, sources: &[Arc<dyn Source>]) -> String {
        let mut page = Page::default();
        self.report(&mut page);
        for source in sources {
            source.report(&mut page);
        }
        page.finish()
    }
}

impl Source for Metrics {
    fn report(&self, page: &mut Page) {
        self.checks.report(page, &family::CHECKS);
        self.sign_ins.report(page, &family::SIGN_INS);
        for (status, counter) in STATUSES.zip(&self.token_requests) {
            let count = counter.get();
            if count > 0 {
                page.counter(&family::TOKEN_REQUESTS, &[&status.to_string()], count);
            }
        }
        for (route, outcomes) in ROUTES.iter().zip(&self.durations) {
            for (outcome, durations) in OUTCOMES.iter().zip(outcomes) {
                page.histogram_if_used(&family::REQUEST_DURATION, &[route, outcome], durations);
            }
        }
        let (suppressed, lost) = (self.suppressed_lines.get(), self.lost_lines.get());
        page.counter(&family::LOG_LINES_SUPPRESSED, &[], suppressed);
        page.counter(&family::LOG_LINES_LOST, &[], lost);
        page.info(&family::BUILD, &[env!("CARGO_PKG_VERSION")]);
        page.gauge(&family::START_TIME, &[], self.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let metrics = Metrics::new(0.0);
        for (n, reason) in Reason::all().enumerate() {
            metrics.checks.0[reason.index()][0].add(n as u64 + 1);
        }
        let text = metrics.encode(&[]);
        for (n, reason) in Reason::all().enumerate() {
            let line = format!(
                "label_studio_gate_checks_total{{reason=\"{}\",method=\"none\"}} {}\n",
                reason.code(),
                n + 1
            );
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }

    #[test]
    fn methods_have_the_name_of_the_log() {
        for method in [Method::External, Method::Native, Method::Session] {
            assert_eq!(METHODS[method_index(Some(method))], method.as_str());
        }
    }

    #[test]
    fn requests_are_counted_and_timed() {
        let metrics = Metrics::new(0.0);
        metrics.count_check(&Err(Rejection::malformed()), Duration::from_micros(80));
        metrics.count_token_request(200, Duration::from_millis(2));
        metrics.count_token_request(503, Duration::from_secs(3));
        let text = metrics.encode(&[]);
        for line in [
            "checks_total{reason=\"request_malformed\",method=\"none\"} 1\n",
            "token_requests_total{status=\"200\"} 1\n",
            "request_duration_seconds_bucket{route=\"check\",outcome=\"refused\",le=\"0.0001\"} 1\n",
            "request_duration_seconds_bucket{route=\"token\",outcome=\"issued\",le=\"0.0025\"} 1\n",
            "request_duration_seconds_bucket{route=\"token\",outcome=\"outage\",le=\"2.5\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
