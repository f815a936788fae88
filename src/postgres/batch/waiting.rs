//! Who waits for a statement of a kind, how many of them are under way, and how many requests the
//! next one carries.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Shared;
use crate::deadline;
use crate::gate::reason::Outage;
use crate::metrics::{Page, Sizes, Source, family};

/// How many statements of a kind are under way at most, as long as requests share them. The second
/// begins when more wait than fit into one: what is spread over two is shared by fewer.
const MAX_UNDER_WAY: usize = 2;

/// How many requests share a statement at first, and at most.
const INITIAL_ROOM: usize = 4;
const MAX_ROOM: usize = 64;

/// A statement that takes longer than this carried too much. Well below the time limit of
/// statements, which would fail all of a batch.
const SLOW: Duration = Duration::from_millis(500);

/// If a statement with so few requests is slow, the cause is the disk or the server, and sharing is needed
/// most.
const FEW: usize = 16;

/// The requests of a kind that wait, and what is under way.
pub(in crate::postgres) struct Batches<R: Shared> {
    state: Mutex<State<R>>,
    /// How many requests statements have answered.
    sizes: Sizes,
}

struct State<R: Shared> {
    waiting: VecDeque<Waiting<R>>,
    /// The number of the next request that waits.
    next: u64,
    under_way: usize,
    /// The most requests in the next statement. Doubles when so many were answered fast, and halves
    /// when a statement with more than [`FEW`] was slow.
    room: usize,
}

/// What a request gets: an answer, or the outage of its batch.
type Answer<R> = Result<<R as Shared>::Answer, Outage>;

/// A request that waits.
pub(super) struct Waiting<R: Shared> {
    number: u64,
    pub(super) request: Arc<R>,
    pub(super) since: Instant,
    /// Whether its decision has used the database before.
    pub(super) continues: bool,
    /// Dropped without an answer, it tells the request to ask by itself.
    pub(super) answer: oneshot::Sender<Answer<R>>,
}

/// The place of a request that waits. It gives the place up when it is dropped.
pub(super) struct Ticket<'b, R: Shared> {
    batches: &'b Batches<R>,
    number: u64,
    answer: oneshot::Receiver<Answer<R>>,
}

impl<R: Shared> Default for Batches<R> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                next: 0,
                under_way: 0,
                room: INITIAL_ROOM,
            }),
            sizes: Sizes::default(),
        }
    }
}

impl<R: Shared> State<R> {
    /// Whether the caller has to send one more statement, for those who wait. It counts as under way.
    fn begins_another(&mut self) -> bool {
        let begins = match self.under_way {
            0 => !self.waiting.is_empty(),
            under_way => under_way < MAX_UNDER_WAY && self.waiting.len() > self.room,
        };
        self.under_way += usize::from(begins);
        begins
    }
}

impl<R: Shared> Batches<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of `request` among those who wait, and whether the caller has to send the next
    /// statement, for all who wait by then.
    pub(super) fn begin(&self, request: &Arc<R>) -> (Ticket<'_, R>, bool) {
        let mut state = self.state();
        let (sender, answer) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Waiting {
            number,
            request: request.clone(),
            since: Instant::now(),
            continues: deadline::continues_in_database(),
            answer: sender,
        });
        let ticket = Ticket {
            batches: self,
            number,
            answer,
        };
        (ticket, state.begins_another())
    }

    /// A statement has come back, or is waited for no longer. Returns whether the caller has to send
    /// the next one, for those who wait.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state();
        state.under_way -= 1;
        state.begins_another()
    }

    /// Instead of sending the next statement: those who wait ask by themselves.
    pub(super) fn give_up(&self) {
        let mut state = self.state();
        state.under_way -= 1;
        state.waiting.clear();
    }

    /// The requests for the next statement.
    pub(super) fn take(&self) -> Vec<Waiting<R>> {
        let mut state = self.state();
        let count = state.room.min(state.waiting.len());
        state.waiting.drain(..count).collect()
    }

    /// A statement with `count` requests took this long.
    pub(super) fn learn(&self, count: usize, took: Duration) {
        self.sizes.observe(count);
        let mut state = self.state();
        if took < SLOW && count >= state.room {
            state.room = (state.room * 2).min(MAX_ROOM);
        } else if took >= SLOW && count > FEW {
            state.room /= 2;
        }
    }
}

impl<R: Shared> Source for Batches<R> {
    fn report(&self, page: &mut Page) {
        page.sizes_if_used(&family::STATEMENT_REQUESTS, &[R::STATEMENT], &self.sizes);
    }
}

impl<R: Shared> Ticket<'_, R> {
    /// Waits for the answer. `None`: the request has to ask by itself.
    pub(super) async fn answer(&mut self) -> Option<Answer<R>> {
        (&mut self.answer).await.ok()
    }

    /// Whether the request still waited. It does not any more.
    pub(super) fn withdraw(&self) -> bool {
        let waiting = &mut self.batches.state().waiting;
        let place = waiting.binary_search_by_key(&self.number, |it| it.number);
        place.is_ok_and(|place| waiting.remove(place).is_some())
    }
}

impl<R: Shared> Drop for Ticket<'_, R> {
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            self.withdraw();
        }
    }
}
