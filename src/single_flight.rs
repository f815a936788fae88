//! Parallel questions about the same thing are one, whose answer all of them get.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

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
        caller.answer.get_or_init(|| ask).await.clone()
    }
}

/// One that waits for an answer.
struct Caller<'c, K: Hash + Eq, V> {
    calls: &'c Calls<K, V>,
    key: K,
    answer: Arc<OnceCell<V>>,
}

impl<'c, K: Hash + Eq + Clone, V> Caller<'c, K, V> {
    fn new(calls: &'c Calls<K, V>, key: K) -> Self {
        let mut under_way = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = under_way.entry(key.clone()).or_default().clone();
        Self { calls, key, answer }
    }
}

impl<K: Hash + Eq, V> Drop for Caller<'_, K, V> {
    fn drop(&mut self) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(answer) = calls.get(&self.key) else {
            return;
        };
        // An answer is for those who asked before it came. Without one, the others who wait go on;
        // 2: there are none, only the map and this.
        let is_over = self.answer.initialized() || Arc::strong_count(answer) == 2;
        if is_over && Arc::ptr_eq(answer, &self.answer) {
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
