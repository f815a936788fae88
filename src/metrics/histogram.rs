//! Histograms of durations and of sizes.
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

/// Upper bounds of the buckets for sizes, with their text.
const SIZES: [(usize, &str); 7] = [
    (1, "1.0"),
    (2, "2.0"),
    (4, "4.0"),
    (8, "8.0"),
    (16, "16.0"),
    (32, "32.0"),
    (64, "64.0"),
];

/// Counts durations.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for what exceeds every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// Counts how many things there were at once.
#[derive(Debug, Default)]
pub struct Sizes {
    /// The last one is for what exceeds every bound.
    buckets: [AtomicU64; SIZES.len() + 1],
    sum: AtomicU64,
}

/// What a histogram holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// The number of values up to each bound, and the bound's text. The last one is of all.
    pub(super) cumulative: Vec<(&'static str, u64)>,
    /// The sum of all values, of durations in seconds.
    pub(super) sum: f64,
}

impl Observed {
    fn of(bounds: impl Iterator<Item = &'static str>, buckets: &[AtomicU64], sum: f64) -> Self {
        let mut total = 0;
        let mut up_to = |bucket: &AtomicU64| {
            total += bucket.load(Ordering::Relaxed);
            total
        };
        let counted = bounds.chain(["+Inf"]).zip(buckets);
        Self {
            cumulative: counted
                .map(|(bound, bucket)| (bound, up_to(bucket)))
                .collect(),
            sum,
        }
    }

    /// The number of values.
    pub(super) fn count(&self) -> u64 {
        self.cumulative.last().map_or(0, |(_, count)| *count)
    }
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
        let bounds = BOUNDS.iter().map(|(_, text)| *text);
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        Observed::of(bounds, &self.buckets, sum.as_secs_f64())
    }
}

impl Sizes {
    /// Counts a size.
    pub fn observe(&self, size: usize) {
        let bucket = SIZES.iter().position(|(bound, _)| size <= *bound);
        self.buckets[bucket.unwrap_or(SIZES.len())].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size as u64, Ordering::Relaxed);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53, and OpenMetrics has floats"
    )]
    pub(super) fn read(&self) -> Observed {
        let bounds = SIZES.iter().map(|(_, text)| *text);
        let sum = self.sum.load(Ordering::Relaxed);
        Observed::of(bounds, &self.buckets, sum as f64)
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
        let counts: Vec<u64> = observed
            .cumulative
            .iter()
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(counts[..6], [2, 3, 3, 3, 3, 4]);
        assert_eq!(counts[16..], [4, 5]);
        assert_eq!(observed.count(), 5);
        assert!((observed.sum - 30.002_104).abs() < 1e-9, "{observed:?}");
    }

    #[test]
    fn a_size_counts_in_every_bucket_that_holds_it() {
        let sizes = Sizes::default();
        for size in [1, 1, 3, 64, 65] {
            sizes.observe(size);
        }
        let observed = sizes.read();
        let expected = [
            ("1.0", 2),
            ("2.0", 2),
            ("4.0", 3),
            ("8.0", 3),
            ("16.0", 3),
            ("32.0", 3),
            ("64.0", 4),
            ("+Inf", 5),
        ];
        assert_eq!(observed.cumulative, expected);
        assert!((observed.sum - 134.0).abs() < 1e-9, "{observed:?}");
    }

    #[test]
    fn bounds_ascend_and_are_what_their_text_says() {
        assert!(BOUNDS.is_sorted() && SIZES.is_sorted());
        for (size, text) in SIZES {
            assert_eq!(format!("{size}.0"), text);
        }
        for (nanoseconds, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!(
                Duration::from_secs_f64(seconds).as_nanos(),
                u128::from(nanoseconds)
            );
        }
    }
}
