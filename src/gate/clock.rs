//! Time as a parameter.
//!
//! The core never reads the wall clock. The [`Gate`](super::Gate) takes a [`Clock`], so that a test
//! can run at any time and all stages of a decision see the same instant.

use std::time::{Duration, SystemTime};

/// How far other clocks may be ahead of this one or behind it: an issuer's, which dates tokens; Label
/// Studio's, which dates its own sessions; another gate's, which dates sign-ins. What one of them
/// dates at most this long after an event may have happened before it.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The longest time for which an expired token may still be accepted (`leeway_seconds`).
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The core's time source.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;
}

/// Whole seconds since the epoch, the `NumericDate` of RFC 7519 §2; 0 for an earlier time.
pub fn unix_seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

/// Microseconds since the epoch, the precision of Postgres; 0 for none and for an earlier time.
pub fn unix_microseconds(at: Option<SystemTime>) -> u64 {
    at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// Seconds since the epoch with a fraction, like Python's `time.time()`.
pub fn unix_seconds_f64(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
