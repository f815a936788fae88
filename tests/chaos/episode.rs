//! One fault: what was asked and answered while it lasted, and afterwards.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It let the right user in.
    Right,
    /// It refused what has to be refused.
    Refused,
    /// 503, nginx's 500, or no answer; the gate's reason, if there is one.
    Unavailable(String),
    /// Anything else.
    Wrong(String),
}

/// Answers by outcome.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub right: usize,
    pub refused: usize,
    pub unavailable: usize,
    pub wrong: Vec<String>,
    pub slowest: Duration,
    /// How often a request was unavailable for which reason.
    pub reasons: BTreeMap<String, usize>,
}

impl Tally {
    pub fn sent(&self) -> usize {
        self.right + self.refused + self.unavailable + self.wrong.len()
    }

    pub fn add(&mut self, other: &Self) {
        self.right += other.right;
        self.refused += other.refused;
        self.unavailable += other.unavailable;
        self.wrong.extend(other.wrong.iter().cloned());
        self.slowest = self.slowest.max(other.slowest);
        for (reason, times) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += times;
        }
    }
}

/// The time of a fault and after it, until the next.
pub struct Episode {
    pub name: &'static str,
    /// Good credentials may be refused meanwhile.
    pub refuses: bool,
    times: Mutex<Times>,
    during: Mutex<Tally>,
    after: Mutex<Tally>,
    /// Answers that wait for a judgement, and requests without an answer yet.
    pending: AtomicUsize,
}

#[derive(Default)]
struct Times {
    over: Option<Instant>,
    /// When the last request that was sent after the end was answered with an outage.
    last_unavailable: Option<Instant>,
    right_since: usize,
    /// When requests were sent that nobody has answered yet.
    unanswered: Vec<Instant>,
}

impl Episode {
    pub fn new(name: &'static str, refuses: bool) -> Self {
        Self {
            name,
            refuses,
            times: Mutex::default(),
            during: Mutex::default(),
            after: Mutex::default(),
            pending: AtomicUsize::new(0),
        }
    }

    /// Counts a request that is sent now.
    pub fn send(&self) -> Instant {
        self.pending.fetch_add(1, Ordering::SeqCst);
        let now = Instant::now();
        let mut times = self.times.lock().expect("not poisoned");
        times.unanswered.push(now);
        now
    }

    /// The request that was sent then is answered now. Returns the time it took.
    pub fn answered(&self, sent: Instant) -> Duration {
        let mut times = self.times.lock().expect("not poisoned");
        let found = times.unanswered.iter().position(|it| *it == sent);
        if let Some(found) = found {
            times.unanswered.swap_remove(found);
        }
        sent.elapsed()
    }

    /// Counts the outcome of a request that was sent at `sent` and answered after `took`.
    pub fn record(&self, sent: Instant, took: Duration, outcome: Outcome) {
        let is_after = self.note(sent, took, &outcome);
        let tally = if is_after { &self.after } else { &self.during };
        let mut tally = tally.lock().expect("not poisoned");
        match outcome {
            Outcome::Right => tally.right += 1,
            Outcome::Refused => tally.refused += 1,
            Outcome::Unavailable(reason) => {
                tally.unavailable += 1;
                *tally.reasons.entry(reason).or_default() += 1;
            }
            Outcome::Wrong(what) => {
                eprintln!("  WRONG: {what}");
                tally.wrong.push(what);
            }
        }
        tally.slowest = tally.slowest.max(took);
        self.pending.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the request was sent after the fault; then it counts for the recovery.
    fn note(&self, sent: Instant, took: Duration, outcome: &Outcome) -> bool {
        let mut times = self.times.lock().expect("not poisoned");
        let is_after = times.over.is_some_and(|over| sent >= over);
        if is_after {
            match outcome {
                Outcome::Unavailable(_) => {
                    let answered = Some(sent + took);
                    times.last_unavailable = times.last_unavailable.max(answered);
                    times.right_since = 0;
                }
                Outcome::Right => times.right_since += 1,
                Outcome::Refused | Outcome::Wrong(_) => {}
            }
        }
        is_after
    }

    /// The fault ends now.
    pub fn end(&self) {
        self.times.lock().expect("not poisoned").over = Some(Instant::now());
    }

    /// Whether for this long no answer was missing, none is overdue, and this many were right.
    pub fn is_quiet(&self, quiet: Duration, right: usize) -> bool {
        let times = self.times.lock().expect("not poisoned");
        let since = times.last_unavailable.max(times.over);
        let overdue = |sent: &Instant| Some(*sent) >= times.over && sent.elapsed() > quiet;
        times.right_since >= right
            && since.is_some_and(|since| since.elapsed() >= quiet)
            && !times.unanswered.iter().any(overdue)
    }

    /// From the end of the fault to the last outage.
    pub fn recovery(&self) -> Duration {
        let times = self.times.lock().expect("not poisoned");
        match (times.over, times.last_unavailable) {
            (Some(over), Some(last)) => last.saturating_duration_since(over),
            _ => Duration::ZERO,
        }
    }

    /// How many requests nobody has answered yet.
    pub fn unanswered(&self) -> usize {
        self.times.lock().expect("not poisoned").unanswered.len()
    }

    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    /// What was answered during and after the fault.
    pub fn tallies(&self) -> (Tally, Tally) {
        let copy = |tally: &Mutex<Tally>| tally.lock().expect("not poisoned").clone();
        (copy(&self.during), copy(&self.after))
    }
}
