//! How often a cache answers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::family::{CACHE_ENTRIES, CACHE_HITS, CACHE_MISSES};
use super::page::Page;

/// Counts the look-ups of a cache.
#[derive(Debug, Default)]
pub struct CacheUse {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheUse {
    /// Counts a look-up, and returns what it found.
    pub fn count<T>(&self, found: Option<T>) -> Option<T> {
        let counter = match found {
            Some(_) => &self.hits,
            None => &self.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Reports the cache `name`, which holds this many entries.
    pub fn report(&self, page: &mut Page, name: &str, entries: u64) {
        page.counter(&CACHE_HITS, &[name], self.hits.load(Ordering::Relaxed));
        page.counter(&CACHE_MISSES, &[name], self.misses.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "no cache holds 2^52 entries")]
        page.gauge(&CACHE_ENTRIES, &[name], entries as f64);
    }
}
