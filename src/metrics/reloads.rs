//! What became of reloads of the settings.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::family::{RELOAD_SUCCESSFUL, RELOAD_TIME, RELOADS};
use super::{Counter, Page, Source};

/// Why settings are reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadTrigger {
    /// SIGHUP.
    Signal,
    /// New contents of a file that the settings name.
    Files,
}

impl ReloadTrigger {
    /// Its name in the log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Files => "files",
        }
    }
}

/// The reloads of each trigger.
#[derive(Debug)]
pub(super) struct Reloads([Outcomes; 2]);

#[derive(Debug)]
struct Outcomes {
    trigger: ReloadTrigger,
    applied: Counter,
    rejected: Counter,
    successful: AtomicBool,
    /// The bits of the time of the last success.
    time: AtomicU64,
}

impl Reloads {
    /// The start of the process counts as the first success.
    pub(super) fn new(started: f64) -> Self {
        let outcomes = |trigger| Outcomes {
            trigger,
            applied: Counter::default(),
            rejected: Counter::default(),
            successful: AtomicBool::new(true),
            time: AtomicU64::new(started.to_bits()),
        };
        Self([ReloadTrigger::Signal, ReloadTrigger::Files].map(outcomes))
    }

    pub(super) fn applied(&self, trigger: ReloadTrigger, time: f64) {
        let outcomes = &self.0[trigger as usize];
        outcomes.applied.increment();
        outcomes.successful.store(true, Ordering::Relaxed);
        outcomes.time.store(time.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn rejected(&self, trigger: ReloadTrigger) {
        let outcomes = &self.0[trigger as usize];
        outcomes.rejected.increment();
        outcomes.successful.store(false, Ordering::Relaxed);
    }
}

impl Source for Reloads {
    fn report(&self, page: &mut Page) {
        for outcomes in &self.0 {
            let trigger = outcomes.trigger.as_str();
            page.counter(&RELOADS, &[trigger, "applied"], outcomes.applied.get());
            page.counter(&RELOADS, &[trigger, "rejected"], outcomes.rejected.get());
            let successful = outcomes.successful.load(Ordering::Relaxed);
            page.gauge(&RELOAD_SUCCESSFUL, &[trigger], f64::from(successful));
            let time = f64::from_bits(outcomes.time.load(Ordering::Relaxed));
            page.gauge(&RELOAD_TIME, &[trigger], time);
        }
    }
}
