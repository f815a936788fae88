//! A bounded cache with an age limit, whose look-ups are counted.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync;

use crate::metrics::{CacheUse, Page, Source};

/// What was read a short time ago.
///
/// Every check of a session looks up two rows. So a look-up takes one shared lock and queues no
/// work for later, and an entry that is too old stays until another one needs its place.
pub(crate) struct Cache<K, V> {
    name: &'static str,
    /// `None`: nothing is kept.
    entries: Option<sync::Cache<K, Entry<V>>>,
    keep: Duration,
    /// Counts invalidations.
    invalidations: AtomicU64,
    look_ups: CacheUse,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    read_at: Instant,
}

/// How often something had been invalidated before a value was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation(u64);

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// An empty cache for up to `capacity` entries, each for the time `keep` after its insertion.
    /// `name` is its label in the metrics.
    pub(crate) fn new(name: &'static str, capacity: usize, keep: Duration) -> Self {
        Self {
            name,
            entries: (capacity > 0).then(|| sync::Cache::new(capacity)),
            keep,
            invalidations: AtomicU64::default(),
            look_ups: CacheUse::default(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.look_ups.count(self.peek(key))
    }

    /// Looks up an entry without counting it.
    pub(crate) fn peek(&self, key: &K) -> Option<V> {
        let entry = self.entries.as_ref().and_then(|entries| entries.get(key));
        let current = entry.filter(|entry| entry.read_at.elapsed() < self.keep);
        current.map(|entry| entry.value)
    }

    /// Call this before reading a value for [`insert`](Self::insert).
    pub(crate) fn before_reading(&self) -> Generation {
        Generation(self.invalidations.load(Ordering::SeqCst))
    }

    /// Keeps what was read after `before`, unless something was invalidated meanwhile: the value may
    /// be from before that.
    pub(crate) fn insert(&self, key: K, value: V, before: Generation) {
        let Some(entries) = &self.entries else {
            return;
        };
        let read_at = Instant::now();
        entries.insert(key.clone(), Entry { value, read_at });
        // Only now: an invalidation that is not counted yet finds the entry.
        if self.before_reading().0 != before.0 {
            entries.remove(&key);
        }
    }

    pub(crate) fn invalidate(&self, key: &K) {
        if let Some(entries) = &self.entries {
            self.invalidations.fetch_add(1, Ordering::SeqCst);
            entries.remove(key);
        }
    }

    pub(crate) fn invalidate_all(&self) {
        if let Some(entries) = &self.entries {
            self.invalidations.fetch_add(1, Ordering::SeqCst);
            entries.clear();
        }
    }

    /// How many entries it has, also those that are too old.
    pub(crate) fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, sync::Cache::len)
    }
}

impl<K: Hash + Eq + Clone + Send + Sync, V: Clone + Send + Sync> Source for Cache<K, V> {
    fn report(&self, page: &mut Page) {
        self.look_ups.report(page, self.name, self.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_for_a_time_and_up_to_a_number() {
        let cache = Cache::new("test", 100, Duration::from_secs(3600));
        for key in 0..1000 {
            cache.insert(key, (), cache.before_reading());
        }
        let kept = (0..1000).filter(|key| cache.get(key).is_some()).count();
        assert!((50..=128).contains(&kept), "{kept}");
        cache.insert(7, (), cache.before_reading());
        cache.invalidate(&7);
        assert!(cache.get(&7).is_none());
        cache.invalidate_all();
        assert!((0..1000).all(|key| cache.get(&key).is_none()));
        for (capacity, keep) in [(100, Duration::ZERO), (0, Duration::from_secs(3600))] {
            let cache = Cache::new("test", capacity, keep);
            cache.insert(7, (), cache.before_reading());
            assert!(cache.get(&7).is_none(), "{capacity}");
        }
    }

    #[test]
    fn a_value_read_before_an_invalidation_is_not_kept() {
        let cache = Cache::new("test", 100, Duration::from_secs(3600));
        let invalidations: [fn(&Cache<i32, i32>); 2] =
            [|cache| cache.invalidate(&7), Cache::invalidate_all];
        for invalidate in invalidations {
            let before = cache.before_reading();
            invalidate(&cache);
            cache.insert(7, 1, before);
            assert_eq!(cache.get(&7), None);
            cache.insert(7, 2, cache.before_reading());
            assert_eq!(cache.get(&7), Some(2));
        }
    }
}
