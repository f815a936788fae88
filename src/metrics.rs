//! Counters for `/metrics`.
//!
//! The counters of the check are created at startup and indexed by reason, so counting a request
//! takes neither a lock nor a lookup.

use std::fmt::Write as _;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::gate::reason::Reason;

/// The service's counters.
pub struct Metrics {
    registry: Registry,
    checks: Vec<Counter>,
    tokens: Family<StatusLabel, Counter>,
    sign_ins: Family<ReasonLabel, Counter>,
    suppressed_lines: Counter,
    lost_lines: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

impl Metrics {
    /// Counters at zero. `started` is the start time of the process, in seconds since the epoch.
    pub fn new(started: f64) -> Self {
        let mut registry = Registry::with_prefix("label_studio_gate");
        let reasons = Family::<ReasonLabel, Counter>::default();
        let checks = Reason::all()
            .map(|reason| {
                let label = ReasonLabel {
                    reason: reason.code(),
                };
                reasons.get_or_create(&label).clone()
            })
            .collect();
        registry.register("checks", "Answered checks, by reason", reasons);
        let tokens = Family::default();
        registry.register(
            "token_requests",
            "Requests to POST /api/sso/token, by response status",
            tokens.clone(),
        );
        let sign_ins = Family::default();
        registry.register(
            "sign_ins",
            "Requests to /sso/login and to pages with a token in the URL, by reason",
            sign_ins.clone(),
        );
        let suppressed_lines = Counter::default();
        registry.register(
            "log_lines_suppressed",
            "Refusals not logged because the peer exceeded its log limit",
            suppressed_lines.clone(),
        );
        let lost_lines = Counter::default();
        registry.register(
            "log_lines_lost",
            "Log lines that could not be written, or that nobody read in time",
            lost_lines.clone(),
        );
        registry.register(
            "build",
            "Version of the service",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "start_time_seconds",
            "Start time of the process, in seconds since the epoch",
            ConstGauge::new(started),
        );
        Self {
            registry,
            checks,
            tokens,
            sign_ins,
            suppressed_lines,
            lost_lines,
        }
    }

    /// Counts an answered check.
    pub fn count_check(&self, reason: Reason) {
        if let Some(counter) = self.checks.get(reason.index()) {
            counter.inc();
        }
    }

    /// Counts an answered sign-in.
    pub fn count_sign_in(&self, reason: Reason) {
        let reason = reason.code();
        self.sign_ins.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts an answered token request.
    pub fn count_token_request(&self, status: u16) {
        self.tokens.get_or_create(&StatusLabel { status }).inc();
    }

    /// Counts a refusal that was not logged.
    pub fn count_suppressed_line(&self) {
        self.suppressed_lines.inc();
    }

    /// Counts log lines that were lost.
    pub fn count_lost_lines(&self, lines: usize) {
        self.lost_lines
            .inc_by(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = write!(text, "# EOF");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let metrics = Metrics::new(0.0);
        for (n, reason) in Reason::all().enumerate() {
            for _ in 0..=n {
                metrics.count_check(reason);
            }
        }
        let text = metrics.encode();
        for (n, reason) in Reason::all().enumerate() {
            let line = format!(
                "label_studio_gate_checks_total{{reason=\"{}\"}} {}\n",
                reason.code(),
                n + 1
            );
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }
}
