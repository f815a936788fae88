//! What Prometheus reads at `/metrics`.
//!
//! [`family`] declares the metrics. [`Metrics`] holds the counters of the service itself, which
//! last as long as the process. Components (the database, key servers, the host application's API)
//! keep their own, and report them as a [`Source`] on each scrape.
//!
//! Counting takes neither a lock nor an allocation: counters are arrays of atomics, indexed by what
//! is counted.

mod cache;
mod decisions;
pub mod family;
mod histogram;
mod page;
mod reloads;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::cache::CacheUse;
use self::decisions::Decisions;
pub use self::histogram::{Histogram, Sizes};
pub use self::page::{Page, Source};
pub use self::reloads::ReloadTrigger;
use self::reloads::Reloads;
use self::requests::{Outcome, RequestTimes, Route};
use crate::gate::verdict::{Grant, Rejection};

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

/// The service's counters.
#[derive(Debug)]
pub struct Metrics {
    started: f64,
    checks: Decisions,
    sign_ins: Decisions,
    /// By status, from 100 to 599.
    token_requests: Vec<Counter>,
    times: RequestTimes,
    suppressed_lines: Counter,
    lost_lines: Counter,
    spans: [Counter; SPAN_FATES.len()],
    reloads: Reloads,
    lost_audit_events: Counter,
    /// Withdrawn and granted.
    staff_changes: [Counter; 2],
}

/// What became of a finished span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanFate {
    /// The collector has it.
    Exported,
    /// It was lost, because too many were waiting.
    QueueFull,
    /// It was lost, because the collector did not take it.
    NotAccepted,
}

/// The label of each fate, in their order.
const SPAN_FATES: [&str; 3] = ["exported", "queue_full", "not_accepted"];

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
            times: RequestTimes::default(),
            suppressed_lines: Counter::default(),
            lost_lines: Counter::default(),
            spans: Default::default(),
            reloads: Reloads::new(started),
            lost_audit_events: Counter::default(),
            staff_changes: Default::default(),
        }
    }

    /// Counts a check that took this long.
    pub fn count_check(&self, verdict: &Result<Grant, Rejection>, duration: Duration) {
        self.checks.count(verdict);
        let outcome = Outcome::of(verdict);
        self.times.observe(Route::Check, outcome, duration);
    }

    /// Counts a sign-in that took this long.
    pub fn count_sign_in(&self, verdict: &Result<Grant, Rejection>, duration: Duration) {
        self.sign_ins.count(verdict);
        let outcome = Outcome::of(verdict);
        self.times.observe(Route::SignIn, outcome, duration);
    }

    /// Counts a token request that was answered with this status.
    pub fn count_token_request(&self, status: u16, duration: Duration) {
        let index = usize::from(status.saturating_sub(STATUSES.start));
        if let Some(counter) = self.token_requests.get(index) {
            counter.increment();
        }
        let outcome = Outcome::of_token_request(status);
        self.times.observe(Route::Token, outcome, duration);
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

    /// Counts finished spans.
    pub fn count_spans(&self, fate: SpanFate, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.spans[fate as usize].add(spans);
    }

    /// Counts a reload that put settings in force at `time`, in seconds since the epoch.
    pub fn count_reload(&self, trigger: ReloadTrigger, time: f64) {
        self.reloads.applied(trigger, time);
    }

    /// Counts a reload that kept the previous settings.
    pub fn count_rejected_reload(&self, trigger: ReloadTrigger) {
        self.reloads.rejected(trigger);
    }

    /// Counts audit events that are missing from the table.
    pub fn count_lost_audit_events(&self, events: u64) {
        self.lost_audit_events.add(events);
    }

    /// Counts a user who became staff, or is no longer.
    pub fn count_staff_change(&self, is_staff: bool) {
        self.staff_changes[usize::from(is_staff)].increment();
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
        self.times.report(page);
        let (suppressed, lost) = (self.suppressed_lines.get(), self.lost_lines.get());
        page.counter(&family::LOG_LINES_SUPPRESSED, &[], suppressed);
        page.counter(&family::LOG_LINES_LOST, &[], lost);
        for (fate, spans) in SPAN_FATES.iter().zip(&self.spans) {
            page.counter(&family::SPANS, &[fate], spans.get());
        }
        self.reloads.report(page);
        let lost = self.lost_audit_events.get();
        page.counter(&family::AUDIT_EVENTS_LOST, &[], lost);
        for (change, count) in ["withdrawn", "granted"].iter().zip(&self.staff_changes) {
            page.counter(&family::STAFF_CHANGES, &[change], count.get());
        }
        page.info(&family::BUILD, &[env!("CARGO_PKG_VERSION")]);
        page.gauge(&family::START_TIME, &[], self.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
