//! A histogram of durations.
//!
//! Observing takes two atomic additions and neither a lock nor an allocation, because every check
//! is observed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in nanoseconds, with their text in seconds. A check without a
/// credential takes some microseconds, a login some milliseconds, and every wait ends within some
/// seconds.
pub(super) const BOUNDS: [(u64, &str); 17] = [
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1.0"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5.0"),
    (10_000_000_000, "10.0"),
];

/// Counts durations by their size.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for what exceeds every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// The number of durations up to each bound, and at last of all.
    pub(super) cumulative: [u64; BOUNDS.len() + 1],
    /// The sum of all durations, in seconds.
    pub(super) seconds: f64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|(bound, _)| nanoseconds <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Observed {
        let mut total = 0;
        Observed {
            cumulative: std::array::from_fn(|n| {
                total += self.buckets[n].load(Ordering::Relaxed);
                total
            }),
            seconds: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [3, 50, 51, 2_000, 30_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let observed = histogram.read();
        assert_eq!(observed.cumulative[..6], [2, 3, 3, 3, 3, 4]);
        assert_eq!(observed.cumulative[16..], [4, 5]);
        assert!((observed.seconds - 30.002_104).abs() < 1e-9, "{observed:?}");
    }

    #[test]
    fn bounds_ascend_and_are_what_their_text_says() {
        assert!(BOUNDS.is_sorted());
        for (nanoseconds, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!(
                Duration::from_secs_f64(seconds).as_nanos(),
                u128::from(nanoseconds)
            );
        }
    }
}
