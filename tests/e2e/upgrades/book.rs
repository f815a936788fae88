//! What happened to whom, and whether it was right.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use reqwest::header::SET_COOKIE;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::visitors::Site;
use crate::browser::Browser;

pub const WHOAMI: &str = "/api/current-user/whoami";

#[derive(Clone)]
pub struct Person {
    pub id: i32,
    pub email: String,
}

/// A session that was handed out, on the site of this address.
struct Session {
    label_studio: String,
    email: String,
    cookie: String,
}

/// All requests, by what was upgraded at that time.
pub struct Book {
    phase: Mutex<&'static str>,
    phases: Mutex<Vec<&'static str>>,
    counts: Mutex<BTreeMap<(&'static str, String), usize>>,
    wrong: Mutex<Vec<String>>,
    sessions: Mutex<Vec<Session>>,
    studio_may_fail: AtomicBool,
    closed: AtomicBool,
}

impl Book {
    pub fn new(phase: &'static str) -> Self {
        Self {
            phase: Mutex::new(phase),
            phases: Mutex::new(vec![phase]),
            counts: Mutex::default(),
            wrong: Mutex::default(),
            sessions: Mutex::default(),
            studio_may_fail: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub fn enter(&self, phase: &'static str) {
        *self.phase.lock().unwrap() = phase;
        self.phases.lock().unwrap().push(phase);
    }

    /// Label Studio itself is being replaced: its errors, and nginx's about it, do not count.
    pub fn studio_may_fail(&self, may: bool) {
        self.studio_may_fail.store(may, Ordering::SeqCst);
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub fn count(&self, outcome: impl Into<String>) {
        let phase = *self.phase.lock().unwrap();
        let mut counts = self.counts.lock().unwrap();
        *counts.entry((phase, outcome.into())).or_default() += 1;
    }

    pub fn complain(&self, what: String) {
        let phase = *self.phase.lock().unwrap();
        self.count("wrong");
        self.wrong.lock().unwrap().push(format!("{phase}: {what}"));
    }

    /// Asks Label Studio through nginx who the browser's user is; it has to be this one. Remembers
    /// the session that was handed out with the answer, if `keep`.
    pub async fn ask(&self, site: &Site, browser: &Browser, email: &str, keep: bool) {
        let excused = self.studio_may_fail.load(Ordering::SeqCst);
        let answer = browser.client.get(browser.at(WHOAMI)).send().await;
        let excused = excused || self.studio_may_fail.load(Ordering::SeqCst);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.complain(format!("{email}: {error}")),
        };
        let handed = handed(&answer);
        let status = answer.status();
        match status {
            StatusCode::OK => {
                let found: Value = answer.json().await.unwrap_or_default();
                if found["email"] != email {
                    return self.complain(format!("{email}: Label Studio says {found}"));
                }
                self.count("logged in");
            }
            // nginx says 502 or 504 about Label Studio only, and the gate says none of these three.
            StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
                if excused =>
            {
                self.count(format!("Label Studio away ({status})"));
            }
            _ => {
                let said = format!(
                    "{:?} {}",
                    answer.headers().clone(),
                    answer.text().await.unwrap_or_default()
                );
                return self.complain(format!("{email}: {status} {said:.600}"));
            }
        }
        if let Some(cookie) = handed.filter(|_| keep) {
            self.sessions.lock().unwrap().push(Session {
                label_studio: site.label_studio.clone(),
                email: email.to_owned(),
                cookie,
            });
        }
    }

    /// Has Django, inside Label Studio and without the gate, say whose each session is.
    pub async fn judge(&self, sites: &[std::sync::Arc<Site>]) {
        let sessions: Vec<(String, String, String)> = {
            let sessions = self.sessions.lock().unwrap();
            let parts = |s: &Session| (s.label_studio.clone(), s.email.clone(), s.cookie.clone());
            sessions.iter().map(parts).collect()
        };
        assert!(
            sites
                .iter()
                .all(|site| sessions.iter().any(|of| of.0 == site.label_studio))
        );
        for some in sessions.chunks(8) {
            let asked = some.iter().map(async |(label_studio, email, cookie)| {
                let browser = Browser::new(label_studio);
                browser.set("sessionid", cookie);
                match browser.whoami().await {
                    Some(found) if found == *email => self.count("sessions that Django confirmed"),
                    other => {
                        self.complain(format!("the session of {email} is {other:?}'s for Django"));
                    }
                }
            });
            join_all(asked).await;
        }
    }

    /// Prints what was counted, and fails if something was wrong.
    #[expect(clippy::print_stdout, reason = "what tests/upgrades/run shows")]
    pub fn report(&self) {
        let counts = self.counts.lock().unwrap();
        for phase in self.phases.lock().unwrap().iter() {
            println!("{phase}:");
            let of_phase = counts.iter().filter(|((when, _), _)| when == phase);
            for ((_, outcome), count) in of_phase {
                println!("    {count:>6}  {outcome}");
            }
            let logged_in = counts.get(&(*phase, "logged in".to_owned()));
            let restarting = phase.contains("restarts");
            assert!(
                restarting || logged_in.is_some_and(|count| *count > 50),
                "{phase}: no load"
            );
        }
        let wrong = self.wrong.lock().unwrap();
        assert!(
            wrong.is_empty(),
            "{} wrong: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(20)]
        );
    }
}

/// The session that came with an answer.
fn handed(answer: &Response) -> Option<String> {
    let set = answer.headers().get_all(SET_COOKIE).iter();
    let set = set.filter_map(|value| value.to_str().ok()?.strip_prefix("sessionid="));
    let values = set.filter_map(|cookie| cookie.split(';').next());
    values
        .map(str::to_owned)
        .find(|value| !value.is_empty() && value != "\"\"")
}
