//! A cache whose look-ups are counted.

use std::hash::Hash;
use std::time::{Duration, Instant};

use quick_cache::sync;

use crate::metrics::{CacheUse, Page, Source};

/// What was found out a short time ago.
///
/// Every check of a session looks up two rows. So a look-up takes one shared lock and queues no
/// work for later, and an entry that is too old stays until another one needs its place.
pub(crate) struct Cache<K, V> {
    name: &'static str,
    /// `None`: nothing is kept.
    entries: Option<sync::Cache<K, Entry<V>>>,
    keep: Duration,
    look_ups: CacheUse,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    read_at: Instant,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// An empty cache for up to `capacity` entries, each for the time `keep` after its insertion.
    /// `name` is its label in the metrics.
    pub(crate) fn new(name: &'static str, capacity: usize, keep: Duration) -> Self {
        Self {
            name,
            entries: (capacity > 0).then(|| sync::Cache::new(capacity)),
            keep,
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

    pub(crate) fn insert(&self, key: K, value: V) {
        if let Some(entries) = &self.entries {
            let read_at = Instant::now();
            entries.insert(key, Entry { value, read_at });
        }
    }

    pub(crate) fn invalidate(&self, key: &K) {
        if let Some(entries) = &self.entries {
            entries.remove(key);
        }
    }

    pub(crate) fn invalidate_all(&self) {
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }

    /// How many entries it has, also those that are too old.
    pub(crate) fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, sync::Cache::len)
    }
}

impl<K: Hash + Eq + Send + Sync, V: Clone + Send + Sync> Source for Cache<K, V> {
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
            cache.insert(key, ());
        }
        let kept = (0..1000).filter(|key| cache.get(key).is_some()).count();
        assert!((50..=128).contains(&kept), "{kept}");
        cache.insert(7, ());
        cache.invalidate(&7);
        assert!(cache.get(&7).is_none());
        cache.invalidate_all();
        assert!((0..1000).all(|key| cache.get(&key).is_none()));
        for (capacity, keep) in [(100, Duration::ZERO), (0, Duration::from_secs(3600))] {
            let cache = Cache::new("test", capacity, keep);
            cache.insert(7, ());
            assert!(cache.get(&7).is_none(), "{capacity}");
        }
    }
}
