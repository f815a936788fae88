//! Time as a parameter.
//!
//! The core never reads the wall clock. The [`Gate`](super::Gate) takes a [`Clock`], so that a test
//! can run at any time and all stages of a decision see the same instant.

use std::time::SystemTime;

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

/// Seconds since the epoch with a fraction, like Python's `time.time()`.
pub fn unix_seconds_f64(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
