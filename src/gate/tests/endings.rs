//! Whatever happens in whatever order: a session that has ended never lives again.

use proptest::prelude::*;

use super::*;
use crate::gate::issue::Admin;

/// What can happen, to one of two users.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody comes with a token, and with one of the cookies that there were so far.
    LogIn {
        user: bool,
        token: u8,
        cookie: u8,
    },
    /// Somebody comes with a cookie alone.
    Come {
        cookie: u8,
    },
    /// The gate's own sign-out.
    SignOut {
        cookie: u8,
    },
    /// Label Studio's.
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
        6 => (user, 0_u8..3, cookie.clone()).prop_map(|(user, token, cookie)| Event::LogIn { user, token, cookie }),
        3 => cookie.clone().prop_map(|cookie| Event::Come { cookie }),
        2 => cookie.clone().prop_map(|cookie| Event::SignOut { cookie }),
        2 => cookie.prop_map(|cookie| Event::LogOut { cookie }),
        1 => user.prop_map(|user| Event::Revoke { user }),
        1 => user.prop_map(|user| Event::ChangePassword { user }),
        1 => user.prop_map(|user| Event::Deactivate { user }),
        1 => user.prop_map(|user| Event::Activate { user }),
    ]
}

/// What a cookie was given for, and whether it may still be good.
struct Given {
    value: String,
    user: i32,
    ended: bool,
}

/// The world, the moment, and what was given out.
struct History {
    world: World,
    engine: Engine,
    seconds: u64,
    given: Vec<Given>,
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
            given: Vec::new(),
            inactive: HashSet::new(),
        }
    }

    fn cookie(&self, n: u8) -> Option<&Given> {
        self.given.get(usize::from(n) % self.given.len().max(1))
    }

    fn value(&self, n: u8) -> String {
        self.cookie(n)
            .map_or_else(String::new, |given| given.value.clone())
    }

    fn user(choice: bool) -> i32 {
        if choice { 7 } else { 8 }
    }

    /// Ends everything of which that is said.
    fn end(&mut self, ends: impl Fn(&Given) -> bool) {
        for given in &mut self.given {
            given.ended |= ends(given);
        }
    }

    /// The row changes, for those who remember it too.
    fn change(&self, user: i32, change: impl FnOnce(&mut UserRow)) {
        let mut row = self.world.stored.users.lock().expect("lock")[&user].clone();
        change(&mut row);
        self.world.put(row);
    }

    async fn happen(&mut self, event: &Event) {
        self.seconds += 1;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds);
        self.world.gate.clock = Arc::new(At(now));
        match event {
            Event::LogIn {
                user,
                token,
                cookie,
            } => {
                let user = Self::user(*user);
                let token = token_issued(user, NOW + u64::from(*token));
                let brought = self.value(*cookie);
                let cookies = format!("sessionid={brought}; ls_auth_token={token}");
                let Ok(grant) = self.world.ask("/", &cookies).await else {
                    return;
                };
                let Some(set) = &grant.cookies().session else {
                    return;
                };
                let value = set["sessionid=".len()..]
                    .split(';')
                    .next()
                    .unwrap_or_default();
                // The session that was brought is another user's, and makes way; a copy of a signed cookie cannot be taken back.
                if self.engine == Engine::Database {
                    self.end(|given| given.value == brought);
                }
                let value = value.to_owned();
                if !self.given.iter().any(|given| given.value == value) {
                    self.given.push(Given {
                        value,
                        user,
                        ended: false,
                    });
                }
            }
            Event::Come { cookie } => {
                let cookies = format!("sessionid={}", self.value(*cookie));
                let _ = self.world.ask("/", &cookies).await;
            }
            Event::SignOut { cookie } => {
                let value = self.value(*cookie);
                let header = format!("sessionid={value}");
                let cookies = CookieHeader::new(std::iter::once(header.as_bytes()));
                let subrequest = Subrequest::new("/", cookies, None).expect("readable");
                let subrequest = subrequest.sent_by("POST", subrequest::Provenance::default());
                self.world
                    .gate
                    .sign_out(&subrequest)
                    .await
                    .expect("no outage");
                self.end(|given| given.value == value);
            }
            Event::LogOut { cookie } => {
                let value = self.value(*cookie);
                let _ = self
                    .world
                    .ask("/logout", &format!("sessionid={value}"))
                    .await;
                // Label Studio deletes its row itself.
                let mut sessions = self.world.stored.sessions.lock().expect("lock");
                sessions.remove(&value);
                drop(sessions);
                self.end(|given| given.value == value);
            }
            Event::Revoke { user } => {
                let user = Self::user(*user);
                let admin = Admin::for_tests();
                let email = format!("user{user}@example.com");
                self.world
                    .gate
                    .revoke(&admin, &email)
                    .await
                    .expect("revoked");
                self.end(|given| given.user == user);
            }
            Event::ChangePassword { user } => {
                let (user, seconds) = (Self::user(*user), self.seconds);
                self.change(user, |row| row.password = format!("!{seconds}"));
                self.end(|given| given.user == user);
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

    /// Whatever has ended is refused, and so is everything of a user who may not come in.
    async fn check(&self) -> Result<(), TestCaseError> {
        for given in &self.given {
            let answer = self
                .world
                .ask("/", &format!("sessionid={}", given.value))
                .await;
            if given.ended || self.inactive.contains(&given.user) {
                prop_assert!(answer.is_err(), "user {} lives again", given.user);
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
            history.happen(event).await;
            history.check().await?;
        }
        Ok(())
    })
}

proptest! {
    #[test]
    fn no_row_lives_again(events in prop::collection::vec(event(), 1..40)) {
        run(Engine::Database, &events)?;
    }

    #[test]
    fn no_signed_cookie_lives_again(events in prop::collection::vec(event(), 1..40)) {
        run(Engine::SignedCookies, &events)?;
    }
}
