//! Limits how much of the log one peer can fill.
//!
//! Each network gets [`LINES_PER_MINUTE`] lines about refusals per minute. Further refusals are
//! only counted, in the log and in `label_studio_gate_log_lines_suppressed_total`. Outages are not
//! caused by peers and are always logged.

use std::sync::Arc;
use std::time::Instant;

use super::peer_address::PeerAddress;
use super::per_network::PerNetwork;
use crate::metrics::Metrics;

/// Enough to see what a peer tries, and to tell a page that loads fifty files with an expired token
/// from an attack.
const LINES_PER_MINUTE: u32 = 30;

/// Tells whether a refusal is logged.
pub struct RefusalLog {
    lines: PerNetwork,
    metrics: Arc<Metrics>,
}

impl RefusalLog {
    /// Counts suppressed lines in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            lines: PerNetwork::default(),
            metrics,
        }
    }

    /// Whether another refusal of this peer is logged.
    pub(super) fn admits(&self, peer: PeerAddress) -> bool {
        let network = peer.network();
        let count = self.lines.count(network, Instant::now());
        if let Some(suppressed) = count.ended.and_then(above_the_limit) {
            tracing::warn!(peer = %network, suppressed, "refusals were not logged in the previous minute");
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
