//! The time, as a parameter.
//!
//! The core never reads the wall clock: whoever builds the [`Gate`](super::Gate) hands it a [`Clock`], so that a test can stand at any
//! moment and two stages of one decision see the same instant.

use std::time::SystemTime;

/// Where the core gets the time from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> SystemTime;
}

/// Whole seconds since the epoch, the `NumericDate` of RFC 7519 §2; 0 for a clock that stands before it.
pub fn unix_seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

/// Seconds since the epoch with their fraction, as Python's `time.time()` tells it.
pub fn unix_seconds_f64(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
