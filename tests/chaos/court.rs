//! The thread that takes answers to Django, and the search for lost sessions.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::episode::Outcome;
use crate::judge::Judge;
use crate::ledger::Session;
use crate::site::{Case, Site};
use crate::users::Users;

/// Django, shared by the thread and by [`Court::lost`].
pub struct Court {
    judge: Arc<Mutex<Judge>>,
    postgres: Arc<AtomicU16>,
}

impl Court {
    /// Judges the answers of these sites for as long as the program runs.
    pub fn open(users: &Users, postgres: Arc<AtomicU16>, sites: Vec<Arc<Site>>) -> Self {
        let judge = Arc::new(Mutex::new(Judge::start(&users.passwords)));
        let court = Self {
            judge: judge.clone(),
            postgres: postgres.clone(),
        };
        std::thread::spawn(move || {
            loop {
                for site in &sites {
                    let cases = std::mem::take(&mut *site.docket.lock().expect("not poisoned"));
                    settle(site, cases, &judge, postgres.load(Ordering::SeqCst));
                }
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        court
    }

    /// Those of these sessions that are their users' no more, although nobody has ended them.
    pub fn lost(&self, site: &Site, sessions: &[Session]) -> Vec<String> {
        let cookies: Vec<String> = sessions.iter().map(|it| it.cookie.clone()).collect();
        let until = Instant::now() + Duration::from_secs(60);
        let owners = loop {
            let port = self.postgres.load(Ordering::SeqCst);
            let mut judge = self.judge.lock().expect("not poisoned");
            if let Some(owners) = judge.owners(site.engine, &cookies, port) {
                break owners;
            }
            assert!(Instant::now() < until, "Postgres does not come back");
        };
        let ledger = site.ledger.lock().expect("not poisoned");
        let lost = sessions.iter().zip(owners).filter(|(session, owner)| {
            *owner != Some(site.users.id(session.user)) && ledger.is_live(&session.cookie)
        });
        let engine = site.engine.name();
        lost.map(|(session, owner)| {
            format!(
                "{engine}: a session of user {} is of {owner:?}",
                session.user
            )
        })
        .collect()
    }
}

fn settle(site: &Site, cases: Vec<Case>, judge: &Mutex<Judge>, postgres: u16) {
    if cases.is_empty() {
        return;
    }
    let cookies: Vec<String> = cases.iter().map(|case| case.seen.clone()).collect();
    let owners = {
        let mut judge = judge.lock().expect("not poisoned");
        judge.owners(site.engine, &cookies, postgres)
    };
    let Some(owners) = owners else {
        // Postgres is down. They are judged when it is back.
        site.docket.lock().expect("not poisoned").extend(cases);
        return;
    };
    for (case, owner) in cases.into_iter().zip(owners) {
        let expected = site.users.id(case.session.user);
        let mut ledger = site.ledger.lock().expect("not poisoned");
        let was_ended = !case.is_new && owner.is_none() && !ledger.is_live(&case.session.cookie);
        let outcome = if owner == Some(expected) || was_ended {
            if case.is_new {
                ledger.open(Session {
                    cookie: case.seen.clone(),
                    ..case.session.clone()
                });
            }
            Outcome::Right
        } else {
            let (what, during) = (&case.what, case.episode.name);
            Outcome::Wrong(format!(
                "{what}: Django finds {owner:?} instead of user ID {expected}, in: {during}"
            ))
        };
        drop(ledger);
        case.episode.record(case.sent, case.took, outcome);
    }
}
