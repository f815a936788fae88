//! Rate limits: issued tokens per administrator; wrong credentials, and sign-ins that begin at OpenID
//! providers or come back from them, per network.
//!
//! A credential is checked before it is counted. Many callers may share one address, and a valid
//! credential must never be blocked by wrong ones from the same network. A sign-in is counted before
//! anything is known about it, because checking it takes a request to the provider, and those are limited:
//! beyond the limit, every sign-in from that network is refused.
//!
//! Whoever exceeds a limit learns after how many whole seconds to try again: `Retry-After` (RFC 9110
//! §10.2.3).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::peer_address::PeerAddress;
use super::per_network::PerNetwork;
use crate::gate::issue::Admin;

/// Rate limits for the administrators' routes and for sign-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Maximum tokens per second and administrator; `None`: no limit.
    pub per_second: Option<NonZeroU32>,
    /// Maximum wrong credentials per minute and network; `None`: no limit.
    pub failures_per_minute: Option<NonZeroU32>,
    /// Maximum sign-ins at OpenID providers that begin per minute and network, and as many that come
    /// back; `None`: no limit.
    pub starts_per_minute: Option<NonZeroU32>,
}

/// The rate limits and their current counts, which clones share.
#[derive(Clone)]
pub struct Limiter {
    limits: RateLimits,
    /// By primary key of the administrator, so the number of entries is bounded.
    issues: Option<Arc<DefaultKeyedRateLimiter<i32>>>,
    failures: Arc<PerNetwork>,
    starts: Arc<PerNetwork>,
    returns: Arc<PerNetwork>,
}

impl Limiter {
    /// Nothing is counted yet.
    pub fn new(limits: RateLimits) -> Self {
        let issues = limits.per_second.map(Quota::per_second);
        Self {
            limits,
            issues: issues.map(|quota| Arc::new(RateLimiter::keyed(quota))),
            failures: Arc::default(),
            starts: Arc::new(PerNetwork::widening()),
            returns: Arc::new(PerNetwork::widening()),
        }
    }

    /// The same counts under other limits, so that a reload resets nothing. The tokens issued in
    /// this second start from zero if their limit changes.
    #[must_use]
    pub fn with_limits(&self, limits: RateLimits) -> Self {
        let issues = match limits.per_second == self.limits.per_second {
            true => self.issues.clone(),
            false => Self::new(limits).issues,
        };
        Self {
            limits,
            issues,
            failures: self.failures.clone(),
            starts: self.starts.clone(),
            returns: self.returns.clone(),
        }
    }

    /// Whether the administrator may issue a token now; otherwise, the seconds to wait.
    pub(super) fn may_issue(&self, admin: &Admin) -> Result<(), u64> {
        let Some(issues) = &self.issues else {
            return Ok(());
        };
        let checked = issues.check_key(&admin.user_id());
        checked.map_err(|until| whole_seconds(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Counts a wrong credential. Beyond the limit, the seconds to wait.
    pub(super) fn count_failure(&self, caller: PeerAddress, now: Instant) -> Result<(), u64> {
        count(&self.failures, self.limits.failures_per_minute, caller, now)
    }

    /// Counts a sign-in that begins. Beyond the limit, the seconds to wait.
    pub(super) fn count_start(&self, peer: PeerAddress, now: Instant) -> Result<(), u64> {
        count(&self.starts, self.limits.starts_per_minute, peer, now)
    }

    /// Counts a browser that comes back from a provider. Beyond the limit, the seconds to wait.
    pub(super) fn count_return(&self, peer: PeerAddress, now: Instant) -> Result<(), u64> {
        count(&self.returns, self.limits.starts_per_minute, peer, now)
    }
}

fn count(
    counts: &PerNetwork,
    limit: Option<NonZeroU32>,
    peer: PeerAddress,
    now: Instant,
) -> Result<(), u64> {
    let Some(limit) = limit.map(NonZeroU32::get) else {
        return Ok(());
    };
    let count = counts.count(peer.network(), now);
    match count.events <= limit {
        true => Ok(()),
        false => Err(whole_seconds(count.left)),
    }
}

/// More than `wait`, because whoever returns too early is refused once more.
const fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Option<NonZeroU32> = NonZeroU32::new(3);

    fn limiter() -> Limiter {
        Limiter::new(RateLimits {
            per_second: None,
            failures_per_minute: LIMIT,
            starts_per_minute: LIMIT,
        })
    }

    /// Whoever has an IPv6 /48 has more networks than are counted.
    #[test]
    fn nobody_uses_up_the_sign_ins_of_others() {
        let (limiter, now) = (limiter(), Instant::now());
        type Count = fn(&Limiter, PeerAddress, Instant) -> Result<(), u64>;
        let counts: [Count; 2] = [Limiter::count_start, Limiter::count_return];
        for count in counts {
            let counts = |address: &str| count(&limiter, PeerAddress::for_tests(address), now);
            for n in 0..20_000 {
                let _ = counts(&format!("2001:db8:1:{n:x}::1"));
            }
            let further = counts("2001:db8:1:ffff::1");
            assert!(further.is_err(), "the others of this /48 share a count");
            for other in ["2001:db8:2::1", "2001:db8:0:ffff::1", "192.0.2.1"] {
                assert_eq!(counts(other), Ok(()), "{other}");
            }
        }
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_not_refused_again() {
        let (limiter, start) = (limiter(), Instant::now());
        let peer = PeerAddress::for_tests("192.0.2.1");
        let count = |milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            limiter.count_failure(peer, now)
        };
        for _ in 0..3 {
            assert_eq!(count(0), Ok(()));
        }
        let seconds = count(58_100).expect_err("the fourth in this minute");
        assert_eq!(seconds, 2);
        assert_eq!(count(58_100 + 1000 * seconds), Ok(()));
    }
}
