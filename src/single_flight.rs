//! Merges parallel requests for the same key into one, and gives all callers its answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

type Calls<K, V> = Mutex<HashMap<K, Arc<OnceCell<V>>>>;

/// The questions that are being asked.
#[derive(Debug)]
pub(crate) struct SingleFlight<K, V>(Calls<K, V>);

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SingleFlight<K, V> {
    /// The answer of `ask`, or of another caller's that is under way for this key. A caller that is
    /// dropped leaves the question to the next one that waits.
    pub(crate) async fn run(&self, key: K, ask: impl Future<Output = V>) -> V {
        let caller = Caller::new(&self.0, key);
        let answer = caller.answer.as_ref().expect("taken when it is dropped");
        answer.get_or_init(|| ask).await.clone()
    }

    /// Lets nobody else join the question about this key that is under way. Its answer may be older
    /// than what they should know.
    pub(crate) fn forget(&self, key: &K) {
        lock(&self.0).remove(key);
    }
}

fn lock<K, V>(calls: &Calls<K, V>) -> MutexGuard<'_, HashMap<K, Arc<OnceCell<V>>>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that waits for an answer.
struct Caller<'c, K: Hash + Eq, V> {
    calls: &'c Calls<K, V>,
    key: K,
    /// `None`: it is being dropped.
    answer: Option<Arc<OnceCell<V>>>,
}

impl<'c, K: Hash + Eq + Clone, V> Caller<'c, K, V> {
    fn new(calls: &'c Calls<K, V>, key: K) -> Self {
        let answer = lock(calls).entry(key.clone()).or_default().clone();
        let answer = Some(answer);
        Self { calls, key, answer }
    }
}

impl<K: Hash + Eq, V> Drop for Caller<'_, K, V> {
    fn drop(&mut self) {
        let mut calls = lock(self.calls);
        let (Some(answer), Some(own)) = (calls.get(&self.key), self.answer.take()) else {
            return;
        };
        let is_the_same = Arc::ptr_eq(answer, &own);
        // While the map is locked, so that of two that end together, the second one knows.
        drop(own);
        // An answer is for those who asked before it came. Without one, the others who wait go on;
        // 1: there are none, only the map has it.
        let is_over = answer.initialized() || Arc::strong_count(answer) == 1;
        if is_over && is_the_same {
            calls.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;
    use futures_util::future::join;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn parallel_callers_share_an_answer_and_later_ones_ask_again() {
        let flight = SingleFlight::default();
        let slow = async {
            yield_now().await;
            1
        };
        let both = join(flight.run("a", slow), flight.run("a", ready(2))).await;
        assert_eq!(both, (1, 1));
        let forgotten = async {
            flight.forget(&"a");
            flight.run("a", ready(2)).await
        };
        let slow = async {
            yield_now().await;
            1
        };
        let both = join(flight.run("a", slow), forgotten).await;
        assert_eq!(both, (1, 2), "it did not join the question from before");
        assert_eq!(flight.run("a", ready(3)).await, 3);
        assert!(flight.0.lock().expect("lock").is_empty());
    }

    #[tokio::test]
    async fn next_caller_asks_if_the_first_one_is_dropped() {
        let flight = SingleFlight::default();
        let mut first = Box::pin(flight.run("a", pending()));
        assert_eq!(first.as_mut().now_or_never(), None);
        let mut second = Box::pin(flight.run("a", ready(2)));
        assert_eq!(second.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!(second.await, 2);
        assert!(flight.0.lock().expect("lock").is_empty());

        let mut only = Box::pin(flight.run("a", pending()));
        assert_eq!(only.as_mut().now_or_never(), None);
        drop(only);
        assert!(flight.0.lock().expect("lock").is_empty());
    }
}
