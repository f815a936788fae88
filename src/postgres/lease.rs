//! A connection that is in use.
//!
//! If the request is dropped before its answer has come (the peer went away, or the check has
//! reached its deadline), the connection still owes that answer. It returns to the pool only after
//! it has arrived.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use tokio::time::timeout;

use super::hosts::Hosts;
use super::link::Link;
use super::lock_waits::Turn;

/// A connection of the pool.
pub(super) struct Lease {
    /// `None` once it has been discarded.
    link: Option<Object<Hosts>>,
    is_settled: bool,
    since: Instant,
    answer_limit: Duration,
    turn: Option<Arc<Turn>>,
}

impl Lease {
    /// The connection keeps its `turn` until it has returned to the pool.
    pub(super) fn new(
        link: Object<Hosts>,
        answer_limit: Duration,
        turn: Option<Arc<Turn>>,
    ) -> Self {
        Self {
            link: Some(link),
            is_settled: false,
            since: Instant::now(),
            answer_limit,
            turn,
        }
    }

    /// How long an answer is waited for.
    pub(super) const fn answer_limit(&self) -> Duration {
        self.answer_limit
    }

    /// The connection has answered everything, so it may return to the pool.
    pub(super) const fn settled(&mut self) {
        self.is_settled = true;
    }

    /// Closes the connection.
    pub(super) fn discard(mut self) {
        drop(self.link.take().map(Object::take));
    }
}

impl Deref for Lease {
    type Target = Link;

    fn deref(&self) -> &Link {
        self.link
            .as_ref()
            .expect("a lease ends when it is discarded")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(link) = self.link.take().filter(|_| !self.is_settled) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(link));
            return;
        };
        let rest = self.answer_limit.saturating_sub(self.since.elapsed());
        let turn = self.turn.take();
        runtime.spawn(async move {
            let _turn = turn;
            let settled = timeout(rest, link.client().check_connection()).await;
            if !matches!(settled, Ok(Ok(()))) {
                Object::take(link).distrust();
            }
        });
    }
}
