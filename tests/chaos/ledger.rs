//! The sessions that the gates have handed out.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::chance::Chance;

/// A gate may know a session's end this much later than the gate that ended it: the default of
/// `database.cache_seconds`, and the limit of a request.
const UNTIL_EVERY_GATE_KNOWS: Duration = Duration::from_secs(9);
/// Requests use the newest sessions.
const IN_USE: usize = 400;

/// A session that Django has confirmed.
#[derive(Clone)]
pub struct Session {
    pub cookie: String,
    /// The user's number.
    pub user: usize,
    /// The session of the host application that opened it (method 3).
    pub application: Option<String>,
}

/// What became of them.
#[derive(Default)]
pub struct Ledger {
    known: BTreeSet<String>,
    live: Vec<Session>,
    ended: Vec<(Session, Instant)>,
    checked: usize,
}

impl Ledger {
    /// Notes a session of which Django has said whose it is.
    pub fn open(&mut self, session: Session) {
        if self.known.insert(session.cookie.clone()) {
            self.live.push(session);
        }
    }

    /// A live session to send requests with.
    pub fn live(&self, chance: &mut Chance) -> Option<Session> {
        let oldest = self.live.len().saturating_sub(IN_USE);
        let in_use = &self.live[oldest..];
        in_use.get(chance.below(in_use.len())).cloned()
    }

    /// Takes out a session that is about to be ended.
    pub fn leave(&mut self, chance: &mut Chance) -> Option<Session> {
        let oldest = self.live.len().saturating_sub(IN_USE);
        let index = oldest + chance.below(self.live.len() - oldest);
        (index < self.live.len()).then(|| {
            self.checked -= usize::from(index < self.checked);
            self.live.remove(index)
        })
    }

    /// Notes the end of a session.
    pub fn end(&mut self, session: Session) {
        self.ended.push((session, Instant::now()));
    }

    /// A session that has ended, and every gate knows.
    pub fn ended(&self, chance: &mut Chance) -> Option<Session> {
        let known = |ended: &&(Session, Instant)| ended.1.elapsed() > UNTIL_EVERY_GATE_KNOWS;
        let known = self.ended.iter().take_while(known).count();
        let ended = self.ended[..known].get(chance.below(known));
        ended.map(|(session, _)| session.clone())
    }

    /// Whether somebody has ended this session, or is about to.
    pub fn is_live(&self, cookie: &str) -> bool {
        self.live.iter().rev().any(|live| live.cookie == cookie)
    }

    /// The live sessions that were opened since the last call, and this many others.
    pub fn sessions_to_check(&mut self, others: usize, chance: &mut Chance) -> Vec<Session> {
        let before = self.checked.min(self.live.len());
        let mut sessions = self.live[before..].to_vec();
        if before > 0 {
            let picked = (0..others).map(|_| self.live[chance.below(before)].clone());
            sessions.extend(picked);
        }
        self.checked = self.live.len();
        sessions
    }

    pub fn all_live(&self) -> &[Session] {
        &self.live
    }
}
