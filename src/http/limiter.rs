//! How often the token route may be asked, and how often a caller may be wrong.
//!
//! A wrong credential is counted after it has been looked at: many callers may share one address, and whoever has the right
//! credential is never kept out by somebody else's wrong ones.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::peer_address::PeerAddress;
use super::per_network::PerNetwork;
use crate::gate::issue::Admin;

/// How often the routes for administrators may be asked.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Tokens per second and administrator; `None`: no limit.
    pub per_second: Option<NonZeroU32>,
    /// Wrong credentials per minute and network; `None`: no limit.
    pub failures_per_minute: Option<NonZeroU32>,
}

/// The limits, and how much of them is used up.
pub(super) struct Limiter {
    /// By primary key: there are as many keys as administrators.
    issues: Option<DefaultKeyedRateLimiter<i32>>,
    most_failures: Option<NonZeroU32>,
    failures: PerNetwork,
}

/// Once too often.
pub(super) struct TooOften {
    /// When it is worth trying again.
    pub(super) wait: Duration,
    /// Whether this is the first time in that minute.
    pub(super) first: bool,
}

impl Limiter {
    pub(super) fn new(limits: RateLimits) -> Self {
        Self {
            issues: limits
                .per_second
                .map(|n| RateLimiter::keyed(Quota::per_second(n))),
            most_failures: limits.failures_per_minute,
            failures: PerNetwork::default(),
        }
    }

    /// Whether this administrator has had their share of this second, and if so for how long.
    pub(super) fn may_issue(&self, admin: &Admin) -> Result<(), Duration> {
        let Some(issues) = &self.issues else {
            return Ok(());
        };
        issues
            .check_key(&admin.user_id())
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Counts a wrong credential.
    pub(super) fn count_failure(&self, caller: PeerAddress, now: Instant) -> Result<(), TooOften> {
        let Some(most) = self.most_failures.map(NonZeroU32::get) else {
            return Ok(());
        };
        let count = self.failures.count(caller.network(), now);
        match count.events {
            events if events <= most => Ok(()),
            events => Err(TooOften {
                wait: count.left,
                first: events == most + 1,
            }),
        }
    }
}
