//! Who waits for a statement of a kind, how many of them are under way, and how many requests the
//! next one carries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Shared;
use crate::gate::reason::Outage;

/// How many statements of a kind are under way before the next requests wait for one of them.
const ABREAST: usize = 2;

/// How many requests share a statement at first, and at most.
const FIRST_ROOM: usize = 4;
const MOST_ROOM: usize = 64;

/// A statement that takes longer than this carried too much. Well below the time limit of
/// statements, which would fail all of a batch.
const SLOW: Duration = Duration::from_millis(500);

/// The requests of a kind that wait, and what is under way.
pub(in crate::postgres) struct Batches<R: Shared>(Mutex<State<R>>);

struct State<R: Shared> {
    waiting: VecDeque<Waiting<R>>,
    /// The number of the next request that waits.
    next: u64,
    under_way: usize,
    /// The most requests in the next statement. Doubles when so many were answered fast, and halves
    /// when a statement was slow. With one, nobody waits: each request uses a connection of its own.
    room: usize,
}

/// What a request gets: an answer, or the outage of its batch.
type Answer<R> = Result<<R as Shared>::Answer, Outage>;

/// A request that waits.
pub(super) struct Waiting<R: Shared> {
    number: u64,
    pub(super) request: Arc<R>,
    pub(super) since: Instant,
    /// Dropped without an answer, it tells the request to ask by itself.
    pub(super) answer: oneshot::Sender<Answer<R>>,
}

/// How a request begins.
pub(super) enum Begun<'b, R: Shared> {
    /// By itself. Whoever gets this has to call [`Batches::end`].
    Now,
    Waits(Ticket<'b, R>),
}

/// The place of a request that waits. It gives the place up when it is dropped.
pub(super) struct Ticket<'b, R: Shared> {
    batches: &'b Batches<R>,
    number: u64,
    answer: oneshot::Receiver<Answer<R>>,
}

impl<R: Shared> Default for Batches<R> {
    fn default() -> Self {
        Self(Mutex::new(State {
            waiting: VecDeque::new(),
            next: 0,
            under_way: 0,
            room: FIRST_ROOM,
        }))
    }
}

impl<R: Shared> Batches<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, request: &Arc<R>) -> Begun<'_, R> {
        let mut state = self.state();
        if state.under_way < ABREAST || state.room == 1 {
            state.under_way += 1;
            return Begun::Now;
        }
        let (sender, answer) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Waiting {
            number,
            request: request.clone(),
            since: Instant::now(),
            answer: sender,
        });
        Begun::Waits(Ticket {
            batches: self,
            number,
            answer,
        })
    }

    /// A statement has come back, or is waited for no longer. Returns whether the caller has to send
    /// the next one, for those who wait.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state();
        let sends_next = state.under_way <= ABREAST && !state.waiting.is_empty();
        state.under_way -= usize::from(!sends_next);
        sends_next
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
        let mut state = self.state();
        if took < SLOW {
            if count >= state.room {
                state.room = (state.room * 2).min(MOST_ROOM);
            }
            return;
        }
        state.room = (state.room / 2).max(1);
        if state.room == 1 {
            // They ask by themselves, as do those who come now and would keep them waiting.
            state.waiting.clear();
        }
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::postgres::Postgres;

    struct Number(u8);

    #[async_trait]
    impl Shared for Number {
        type Answer = u8;

        const STATEMENT: &'static str = "number";

        fn batches(_: &Postgres) -> &Batches<Self> {
            unreachable!("no statement is sent")
        }

        async fn ask(_: &Postgres, _: &[Arc<Self>]) -> Result<(Vec<u8>, Duration), Outage> {
            unreachable!("no statement is sent")
        }
    }

    fn begin(batches: &Batches<Number>, number: u8) -> Option<Ticket<'_, Number>> {
        match batches.begin(&Arc::new(Number(number))) {
            Begun::Now => None,
            Begun::Waits(ticket) => Some(ticket),
        }
    }

    fn taken(batches: &Batches<Number>) -> Vec<u8> {
        let taken = batches.take().into_iter();
        taken.map(|it| it.request.0).collect()
    }

    #[test]
    fn requests_wait_for_company_only_while_statements_are_under_way() {
        let batches = Batches::default();
        for number in 0..2 {
            assert!(begin(&batches, number).is_none());
        }
        let waits = begin(&batches, 2);
        assert!(waits.is_some(), "two are under way");
        assert!(batches.end(), "the next statement is for those who wait");
        assert_eq!(taken(&batches), [2]);
        for _ in 0..2 {
            assert!(!batches.end(), "nobody waits");
        }
        assert_eq!(batches.state().under_way, 0);
    }

    #[tokio::test]
    async fn slow_statements_are_shared_by_fewer_and_then_by_none() {
        let batches = Batches::default();
        assert!(begin(&batches, 0).is_none() && begin(&batches, 1).is_none());
        let mut first = begin(&batches, 2).expect("waits");
        let mut room = FIRST_ROOM;
        while room > 1 {
            assert_eq!(batches.state().room, room);
            assert_eq!(batches.state().waiting.len(), 1);
            batches.learn(1, SLOW);
            room /= 2;
        }
        assert!(first.answer().await.is_none(), "asks by itself");
        assert!(begin(&batches, 3).is_none(), "nobody waits");
        batches.learn(1, SLOW / 2);
        batches.learn(1, SLOW / 2);
        assert_eq!(
            batches.state().room,
            2,
            "one request says nothing about two"
        );
        for _ in 0..20 {
            batches.learn(MOST_ROOM, SLOW / 2);
        }
        assert_eq!(batches.state().room, MOST_ROOM);
        assert!(begin(&batches, 4).is_some());
    }

    #[test]
    fn a_batch_takes_those_who_still_wait_in_their_order() {
        let batches = Batches::default();
        assert!(begin(&batches, 0).is_none() && begin(&batches, 1).is_none());
        batches.state().room = 2;
        let mut tickets: Vec<_> = (0..6)
            .map(|number| begin(&batches, number).expect("waits"))
            .collect();
        drop(tickets.remove(1));
        assert!(tickets[1].withdraw(), "number 2");
        assert!(!tickets[1].withdraw(), "only once");
        assert_eq!(taken(&batches), [0, 3]);
        assert!(!tickets[0].withdraw(), "it is on its way");
        assert_eq!(taken(&batches), [4, 5]);
        assert!(taken(&batches).is_empty());
    }

    #[tokio::test]
    async fn those_who_wait_in_vain_ask_by_themselves() {
        let batches = Batches::default();
        assert!(begin(&batches, 0).is_none() && begin(&batches, 1).is_none());
        let mut ticket = begin(&batches, 2).expect("waits");
        assert!(batches.end());
        batches.give_up();
        assert!(ticket.answer().await.is_none());
        assert_eq!(batches.state().under_way, 1);
    }
}
