//! Rate limits for the token route: issued tokens per administrator, and wrong credentials per
//! network.
//!
//! A credential is checked before it is counted. Many callers may share one address, and a valid
//! credential must never be blocked by wrong ones from the same network.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::peer_address::PeerAddress;
use super::per_network::PerNetwork;
use crate::gate::issue::Admin;

/// Rate limits for the administrators' routes.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Maximum tokens per second and administrator; `None`: no limit.
    pub per_second: Option<NonZeroU32>,
    /// Maximum wrong credentials per minute and network; `None`: no limit.
    pub failures_per_minute: Option<NonZeroU32>,
}

/// The rate limits and their current counts.
pub(super) struct Limiter {
    /// By primary key of the administrator, so the number of entries is bounded.
    issues: Option<DefaultKeyedRateLimiter<i32>>,
    max_failures: Option<NonZeroU32>,
    failures: PerNetwork,
}

impl Limiter {
    pub(super) fn new(limits: RateLimits) -> Self {
        Self {
            issues: limits
                .per_second
                .map(|n| RateLimiter::keyed(Quota::per_second(n))),
            max_failures: limits.failures_per_minute,
            failures: PerNetwork::default(),
        }
    }

    /// Whether the administrator may issue a token now. The error says how long to wait.
    pub(super) fn may_issue(&self, admin: &Admin) -> Result<(), Duration> {
        let Some(issues) = &self.issues else {
            return Ok(());
        };
        issues
            .check_key(&admin.user_id())
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Counts a wrong credential. The error says how long to wait, because the limit is exceeded.
    pub(super) fn count_failure(&self, caller: PeerAddress, now: Instant) -> Result<(), Duration> {
        let Some(most) = self.max_failures.map(NonZeroU32::get) else {
            return Ok(());
        };
        let count = self.failures.count(caller.network(), now);
        match count.events {
            events if events <= most => Ok(()),
            _ => Err(count.left),
        }
    }
}
