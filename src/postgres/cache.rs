//! A cache whose look-ups are counted.

use std::hash::Hash;
use std::time::Duration;

use moka::sync::{self, CacheBuilder};

use crate::metrics::{CacheUse, Page, Source};

/// Rows that were read a short time ago.
pub(super) struct Cache<K, V> {
    name: &'static str,
    entries: sync::Cache<K, V>,
    look_ups: CacheUse,
}

/// How long an entry is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    /// From its insertion on.
    For(Duration),
    /// From its last use on.
    Unused(Duration),
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty cache for up to `capacity` entries. `name` is its label in the metrics.
    pub(super) fn new(name: &'static str, capacity: u64, keep: Keep) -> Self {
        let builder = CacheBuilder::new(capacity);
        let builder = match keep {
            Keep::For(time) => builder.time_to_live(time),
            Keep::Unused(time) => builder.time_to_idle(time),
        };
        Self {
            name,
            entries: builder.build(),
            look_ups: CacheUse::default(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.look_ups.count(self.entries.get(key))
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.entries.insert(key, value);
    }

    pub(super) fn invalidate(&self, key: &K) {
        self.entries.invalidate(key);
    }

    pub(super) fn invalidate_all(&self) {
        self.entries.invalidate_all();
    }
}

impl<K, V> Source for Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn report(&self, page: &mut Page) {
        let entries = self.entries.entry_count();
        self.look_ups.report(page, self.name, entries);
    }
}
