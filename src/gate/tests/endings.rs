//! An ended session never becomes valid again, whatever sequence of events follows.

use proptest::prelude::*;

use super::*;
use crate::gate::clock::unix_microseconds;
use crate::gate::issue::Admin;

/// An event for one of two users.
#[derive(Debug, Clone)]
enum Event {
    /// A request with a token and one of the session cookies issued so far, to a gate whose clock
    /// may be five minutes ahead.
    LogIn {
        user: bool,
        token: u8,
        cookie: u8,
        ahead: bool,
    },
    /// A request with a session cookie only.
    Request {
        cookie: u8,
    },
    /// Sign-out on the gate's route.
    SignOut {
        cookie: u8,
    },
    /// Label Studio's "Log out".
    LogOut {
        cookie: u8,
    },
    Revoke {
        user: bool,
    },
    ChangePassword {
        user: bool,
    },
    Deactivate {
        user: bool,
    },
    Activate {
        user: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let (user, cookie) = (any::<bool>(), 0_u8..8);
    prop_oneof![
        6 => (user, 0_u8..4, cookie.clone(), user).prop_map(|(user, token, cookie, ahead)| Event::LogIn { user, token, cookie, ahead }),
        3 => cookie.clone().prop_map(|cookie| Event::Request { cookie }),
        2 => cookie.clone().prop_map(|cookie| Event::SignOut { cookie }),
        2 => cookie.prop_map(|cookie| Event::LogOut { cookie }),
        1 => user.prop_map(|user| Event::Revoke { user }),
        1 => user.prop_map(|user| Event::ChangePassword { user }),
        1 => user.prop_map(|user| Event::Deactivate { user }),
        1 => user.prop_map(|user| Event::Activate { user }),
    ]
}

/// An issued session cookie, and whether its session has ended.
struct Issued {
    value: String,
    user: i32,
    ended: bool,
}

/// The state after a sequence of events.
struct History {
    world: World,
    engine: Engine,
    seconds: u64,
    issued: Vec<Issued>,
    inactive: HashSet<i32>,
}

impl History {
    fn new(engine: Engine) -> Self {
        let mut world = World::new(engine);
        world.gate.policy.anonymous = Anonymous::Require;
        Self {
            world,
            engine,
            seconds: NOW,
            issued: Vec::new(),
            inactive: HashSet::new(),
        }
    }

    fn cookie(&self, n: u8) -> Option<&Issued> {
        self.issued.get(usize::from(n) % self.issued.len().max(1))
    }

    fn value(&self, n: u8) -> String {
        self.cookie(n)
            .map_or_else(String::new, |issued| issued.value.clone())
    }

    fn user(choice: bool) -> i32 {
        if choice { 7 } else { 8 }
    }

    /// Marks the matching cookies as ended.
    fn end(&mut self, ends: impl Fn(&Issued) -> bool) {
        for issued in &mut self.issued {
            issued.ended |= ends(issued);
        }
    }

    /// Changes the stored and the cached row.
    fn change(&self, user: i32, change: impl FnOnce(&mut UserRow)) {
        let mut row = self.world.stored.users.lock().expect("lock")[&user].clone();
        change(&mut row);
        self.world.put(row);
    }

    async fn apply(&mut self, event: &Event) {
        self.seconds += 1;
        let database = &self.world.stored.seconds;
        database.store(self.seconds - NOW, Ordering::Relaxed);
        self.set_clock(0);
        match event {
            Event::LogIn {
                user,
                token,
                cookie,
                ahead,
            } => {
                self.set_clock(if *ahead { 300 } else { 0 });
                self.log_in(Self::user(*user), *token, *cookie).await;
                self.set_clock(0);
            }
            Event::Request { cookie } => {
                let cookies = format!("sessionid={}", self.value(*cookie));
                let _ = self.world.ask("/", &cookies).await;
            }
            Event::SignOut { cookie } => self.sign_out(*cookie).await,
            Event::LogOut { cookie } => self.log_out(*cookie).await,
            Event::Revoke { user } => self.revoke(Self::user(*user)).await,
            Event::ChangePassword { user } => {
                let (user, seconds) = (Self::user(*user), self.seconds);
                self.change(user, |row| row.password = format!("!{seconds}"));
                self.end(|issued| issued.user == user);
            }
            Event::Deactivate { user } => {
                let user = Self::user(*user);
                self.change(user, |row| row.is_active = false);
                self.inactive.insert(user);
            }
            Event::Activate { user } => {
                let user = Self::user(*user);
                self.change(user, |row| row.is_active = true);
                self.inactive.remove(&user);
            }
        }
    }

    /// Sets the gate's clock, which is this far ahead of the database's.
    fn set_clock(&mut self, ahead: u64) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds + ahead);
        self.world.gate.clock = Arc::new(At(now));
    }

    async fn log_in(&mut self, user: i32, token: u8, cookie: u8) {
        let revoked_at = self.world.stored.users.lock().expect("lock")[&user].revoked_at;
        // Half of the tokens come from a gate that knows of the last revocation.
        let revocation = (token % 2 == 1).then(|| unix_microseconds(revoked_at));
        let token = token_knowing(user, NOW + u64::from(token), revocation);
        let presented = self.value(cookie);
        let cookies = format!("sessionid={presented}; ls_auth_token={token}");
        let Ok(grant) = self.world.ask("/", &cookies).await else {
            return;
        };
        let Some(set_cookie) = &grant.cookies().session else {
            return;
        };
        let pair = set_cookie.split(';').next().unwrap_or_default();
        let value = pair["sessionid=".len()..].to_owned();
        let engine = self.engine;
        self.end(|issued| {
            issued.value == presented && (engine == Engine::Database || issued.user != user)
        });
        if !self.issued.iter().any(|issued| issued.value == value) {
            self.issued.push(Issued {
                value,
                user,
                ended: false,
            });
        }
    }

    async fn sign_out(&mut self, cookie: u8) {
        let value = self.value(cookie);
        let header = format!("sessionid={value}");
        let cookies = CookieHeader::new(std::iter::once(header.as_bytes()));
        let subrequest = Subrequest::new("/", cookies, None).expect("readable");
        let subrequest = subrequest.sent_by("POST", &subrequest::Unstated);
        let outcome = self.world.gate.sign_out(&subrequest, &NoObserver).await;
        outcome.expect("no outage");
        self.end(|issued| issued.value == value);
    }

    async fn log_out(&mut self, cookie: u8) {
        let value = self.value(cookie);
        let cookies = format!("sessionid={value}");
        let _ = self.world.ask("/logout", &cookies).await;
        // Label Studio deletes its row itself.
        let mut sessions = self.world.stored.sessions.lock().expect("lock");
        sessions.remove(&value);
        drop(sessions);
        self.end(|issued| issued.value == value);
    }

    async fn revoke(&mut self, user: i32) {
        let admin = Admin::for_tests();
        let email = format!("user{user}@example.com");
        let outcome = self.world.gate.revoke(&admin, &email).await;
        outcome.expect("revoked");
        self.end(|issued| issued.user == user);
    }

    /// Ended sessions and sessions of inactive users must be refused.
    async fn assert_ended_stay_ended(&self) -> Result<(), TestCaseError> {
        for issued in &self.issued {
            let answer = self
                .world
                .ask("/", &format!("sessionid={}", issued.value))
                .await;
            if issued.ended || self.inactive.contains(&issued.user) {
                prop_assert!(
                    answer.is_err(),
                    "an ended session of user {} is accepted",
                    issued.user
                );
            }
        }
        Ok(())
    }
}

fn run(engine: Engine, events: &[Event]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let mut history = History::new(engine);
        for event in events {
            history.apply(event).await;
            history.assert_ended_stay_ended().await?;
        }
        Ok(())
    })
}

proptest! {
    #[test]
    fn ended_session_row_never_becomes_valid_again(events in prop::collection::vec(event(), 1..40)) {
        run(Engine::Database, &events)?;
    }

    #[test]
    fn ended_signed_cookie_never_becomes_valid_again(events in prop::collection::vec(event(), 1..40)) {
        run(Engine::SignedCookies, &events)?;
    }
}

/// A user logs in at a gate whose clock is ahead. At another one the session ends, and the user logs
/// in again.
#[tokio::test]
async fn clocks_that_differ_neither_save_a_session_nor_spoil_the_next_one() {
    let (user, cookie, token) = (true, 0, 1);
    let log_in = |ahead| Event::LogIn {
        user,
        token,
        cookie,
        ahead,
    };
    let ends = [
        Event::SignOut { cookie },
        Event::LogOut { cookie },
        Event::Revoke { user },
    ];
    for engine in [Engine::Database, Engine::SignedCookies] {
        for (end, ahead) in ends.iter().flat_map(|end| [(end, true), (end, false)]) {
            let mut history = History::new(engine);
            history.apply(&log_in(ahead)).await;
            assert_eq!(history.issued.len(), 1);
            history.apply(end).await;
            let refused = history.assert_ended_stay_ended().await;
            refused.unwrap_or_else(|error| panic!("{engine:?} {end:?}: {error}"));
            history.apply(&log_in(false)).await;
            let next = history.value(1);
            let answer = history.world.ask("/", &format!("sessionid={next}")).await;
            assert!(answer.is_ok(), "{engine:?} {end:?} ahead: {ahead}");
        }
    }
}

/// Sessions without a stamp, and tokens of others, are dated by clocks that may be a minute ahead.
#[tokio::test]
async fn a_doubtful_date_counts_as_before_the_revocation() {
    let mut world = World::new(Engine::Database);
    world.gate.policy.anonymous = Anonymous::Require;
    let revoked_at = Some(Fixed.now());
    let row = UserRow {
        revoked_at,
        ..user(7)
    };
    world.put(row.clone());
    for (after, is_good) in [(0, false), (60, false), (61, true)] {
        let at = Fixed.now() + Duration::from_secs(after);
        world.gate.clock = Arc::new(At(at));
        world.put_session("sessionofform", world.session_of(&row, &json!(NOW + after)));
        let form = world.ask("/", "sessionid=sessionofform").await;
        assert_eq!(form.is_ok(), is_good, "a session {after} s later");
        let cookie = format!("ls_auth_token={}", token_issued(7, NOW + after));
        let token = world.ask("/", &cookie).await;
        assert_eq!(token.is_ok(), is_good, "a token {after} s later");
    }
}
