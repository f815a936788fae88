//! How much of the log one visitor can fill.
//!
//! Refusals are logged up to [`LINES_PER_MINUTE`] for each network; the rest of the minute is counted, in the log and in
//! `label_studio_gate_log_lines_suppressed_total`. Outages are no visitor's doing and are always logged.

use std::sync::Arc;
use std::time::Instant;

use super::peer_address::PeerAddress;
use super::per_network::PerNetwork;
use crate::metrics::Metrics;

/// Enough to see what somebody tries, and a page that loads fifty files with an expired token is told from an attack.
const LINES_PER_MINUTE: u32 = 30;

/// Decides whether a refusal is logged.
pub struct RefusalLog {
    lines: PerNetwork,
    metrics: Arc<Metrics>,
}

impl RefusalLog {
    /// One that counts in `metrics` what it suppresses.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            lines: PerNetwork::default(),
            metrics,
        }
    }

    /// Whether one more refusal of that peer is logged.
    pub(super) fn admits(&self, peer: PeerAddress) -> bool {
        let network = peer.network();
        let count = self.lines.count(network, Instant::now());
        if let Some(suppressed) = count.ended.and_then(above_the_limit) {
            tracing::warn!(peer = %network, suppressed, "refusals were not logged");
        }
        match above_the_limit(count.events) {
            None => return true,
            Some(1) => {
                tracing::warn!(peer = %network, "refusals are not logged for the rest of this minute");
            }
            Some(_) => {}
        }
        self.metrics.count_suppressed_line();
        false
    }
}

fn above_the_limit(events: u32) -> Option<u32> {
    events.checked_sub(LINES_PER_MINUTE).filter(|n| *n > 0)
}
