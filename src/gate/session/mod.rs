//! Stage 6: keep the session that is there, or open one.
//!
//! In: a user who may come in, the session cookie that the request brought, and the credential's verified claims. Out: the session's cookie,
//! where a new one is needed. Afterwards holds: Label Studio sees exactly this user; the session of another user is gone from the store;
//! however many requests bring the same credential, through however many gates, they meet in one session; and a session that was ended
//! never lives again, because no part of its key that matters can be derived from the credential.

mod content;
mod ending;
mod key;
mod store;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

use self::key::Place;
pub use self::store::{
    LoginRecord, Recorded, SessionEnd, SessionMark, SessionRow, SessionStore, StoredSession,
    TokenUse,
};
use super::clock::unix_seconds_f64;
use super::entropy::Entropy;
use super::reason::{Granted, Outage};
use super::user::{ActiveUser, Freshness};
use super::verify::VerifiedClaims;
use crate::django::{
    AuthHasher, CookieAttributes, SessionCodec, SessionData, is_plausible_session_key,
};

/// Django's `SESSION_ENGINE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `django.contrib.sessions.backends.db`, and `cached_db`, which reads the same row.
    Database,
    /// `django.contrib.sessions.backends.signed_cookies`, what Label Studio ships with.
    SignedCookies,
}

/// How sessions are made.
pub struct SessionPolicy {
    /// Where Label Studio looks for them.
    pub engine: Engine,
    /// The session cookie.
    pub cookie: CookieAttributes,
    /// `SESSION_COOKIE_AGE`
    pub age: Duration,
    /// How long after its login Label Studio ends a session, for organizations without a policy of their own (`MAX_SESSION_AGE`).
    pub max_session_age: Duration,
    /// Where a token opens one session only: for how long the requests of one page may bring it.
    pub once: Option<Duration>,
}

/// Where sessions are, as it was some seconds ago and as it is now. Writes go through `recent`, which then knows of them.
#[derive(Clone)]
pub struct SessionStores {
    /// Its answers may be some seconds old.
    pub recent: Arc<dyn SessionStore>,
    /// Its answers are current.
    pub current: Arc<dyn SessionStore>,
}

/// Opens, reads and ends sessions.
pub struct Sessions {
    stores: SessionStores,
    policy: SessionPolicy,
    codec: SessionCodec,
    auth_hash: AuthHasher,
    place_secret: SecretString,
    entropy: Arc<dyn Entropy>,
}

/// The session stage's outcome.
pub enum Opened {
    /// The session that the request brought is this user's own and goes on.
    Kept,
    /// A session for this user; the cookie that holds it, and why it was opened.
    New {
        /// Value of the session cookie.
        value: String,
        /// `Set-Cookie`
        set_cookie: String,
        /// Whether another user's session ended with it.
        reason: Granted,
    },
    /// The user's row has changed since it was read.
    UserChanged,
    /// The token has opened a session already.
    TokenUsed,
}

/// Who asks for a session, and when.
#[derive(Clone, Copy)]
pub struct Sender<'r> {
    /// A digest of the peer's address; drawn at random where nobody knows it, so that it equals no other.
    pub peer: &'r [u8; 32],
    /// Now.
    pub now: SystemTime,
    /// How old an answer of the store may be.
    pub freshness: Freshness,
}

/// A used token that is good for longer than this is remembered no longer: by then it has to be revoked.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(400 * 86_400);

/// Whose session the request brought.
enum Presented<'a> {
    Nothing,
    OwnAndAlive,
    OtherUser(&'a str),
    Worthless(&'a str),
}

impl Sessions {
    /// Sessions by `policy`, kept in `stores` and signed with Label Studio's `SECRET_KEY`.
    pub fn new(
        stores: SessionStores,
        policy: SessionPolicy,
        secret_key: &SecretString,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            stores,
            policy,
            codec: SessionCodec::new(secret_key),
            auth_hash: AuthHasher::new(secret_key),
            place_secret: secret_key.clone(),
            entropy,
        }
    }

    /// The name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        &self.policy.cookie.name
    }

    /// Where sessions are.
    pub const fn engine(&self) -> Engine {
        self.policy.engine
    }

    /// Keeps the `presented` session when it is alive and `user`'s own; opens one otherwise.
    pub async fn open_for(
        &self,
        user: &ActiveUser,
        presented: Option<&str>,
        claims: &VerifiedClaims,
        sender: Sender<'_>,
    ) -> Result<Opened, Outage> {
        let now = sender.now;
        let presented = self.examine(user, presented, now, sender.freshness).await?;
        let (replaces, reason) = match presented {
            Presented::OwnAndAlive => return Ok(Opened::Kept),
            Presented::Nothing => (None, Granted::SessionOpened),
            Presented::Worthless(value) => (Some(value), Granted::SessionOpened),
            Presented::OtherUser(value) => (Some(value), Granted::UserSwitched),
        };
        if !self.may_use(claims, sender.peer, now).await? {
            return Ok(Opened::TokenUsed);
        }
        let limit = self.limit(user);
        let secret = self.place_secret.expose_secret().as_bytes();
        let place = Place::of(secret, claims, user, limit, now);
        let method = claims.method();
        let session = content::of_login(user, method, &place.uid(), &self.auth_hash, now);
        let age = self.policy.age.min(limit);
        let value = match self.policy.engine {
            Engine::Database => {
                let replaces = replaces.filter(|old| is_plausible_session_key(old));
                self.open_row(user, &session, &place, replaces, now, age)
                    .await?
            }
            Engine::SignedCookies => self.open_cookie(user, &session, now).await?,
        };
        Ok(match value {
            None => Opened::UserChanged,
            Some(value) => Opened::New {
                set_cookie: self.policy.cookie.set(&value, Some(age), now),
                value,
                reason,
            },
        })
    }

    /// A row at that place: a new one, or the one that another request has put there. `None`: the user's row has changed.
    async fn open_row(
        &self,
        user: &ActiveUser,
        session: &SessionData,
        place: &Place,
        replaces: Option<&str>,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Outage> {
        let data = self.codec.encode_row(session, now);
        // A session that is there and that Label Studio would refuse makes way; then there is none.
        for _ in 0..2 {
            let key = place.key(&*self.entropy);
            let row = SessionRow {
                place: place.prefix(),
                key: &key,
                data: &data,
                expire_date: now + age,
            };
            match self.record(user, Some(row), replaces, now).await? {
                Recorded::UserChanged => return Ok(None),
                Recorded::Opened => return Ok(Some(key)),
                Recorded::Met(met) if self.is_good_row(&met.data, user, now) => {
                    return Ok(Some(met.key));
                }
                Recorded::Met(met) => self.stores.recent.end(&[met.key]).await?,
            }
        }
        Err(Outage::DatabaseUnavailable)
    }

    /// A cookie that is the session. `None`: the user's row has changed.
    async fn open_cookie(
        &self,
        user: &ActiveUser,
        session: &SessionData,
        now: SystemTime,
    ) -> Result<Option<String>, Outage> {
        Ok(match self.record(user, None, None, now).await? {
            Recorded::UserChanged => None,
            Recorded::Opened | Recorded::Met(_) => Some(self.codec.encode_cookie(session, now)),
        })
    }

    async fn record(
        &self,
        user: &ActiveUser,
        row: Option<SessionRow<'_>>,
        replaces: Option<&str>,
        at: SystemTime,
    ) -> Result<Recorded, Outage> {
        let login = LoginRecord {
            user_id: user.id(),
            password: user.password(),
            revoked_at: user.revoked_at(),
            at,
            row,
            replaces,
        };
        self.stores.recent.record(&login).await
    }

    /// Whether the token may open a session: always, unless tokens are good for one.
    async fn may_use(
        &self,
        claims: &VerifiedClaims,
        peer: &[u8; 32],
        now: SystemTime,
    ) -> Result<bool, Outage> {
        let (Some(window), Some(expires)) = (self.policy.once, claims.expires()) else {
            return Ok(true);
        };
        let left = Duration::try_from_secs_f64(expires - unix_seconds_f64(now));
        let token = TokenUse {
            fingerprint: claims.fingerprint().as_bytes(),
            peer,
            window,
            // A clock that is a little off must not make it good again.
            expires: now + left.unwrap_or_default().min(FORGOTTEN_AFTER) + window * 2,
        };
        self.stores.current.use_token(&token).await
    }

    /// What a session cookie stands for, whoever it belongs to; `None`: it is no session of Label Studio, or one that has ended.
    pub async fn read(
        &self,
        value: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Option<SessionData>, Outage> {
        let store = match freshness {
            Freshness::Recent => &self.stores.recent,
            Freshness::Current => &self.stores.current,
        };
        Ok(match self.policy.engine {
            Engine::SignedCookies => {
                let session = self.codec.decode_cookie(value, now, self.policy.age).ok();
                match session {
                    Some(session) if self.has_ended(&session, &**store).await? => None,
                    session => session,
                }
            }
            Engine::Database if !is_plausible_session_key(value) => None,
            Engine::Database => {
                let data = store.load(value, now).await?;
                data.and_then(|data| self.codec.decode_row(&data).ok())
            }
        })
    }

    /// Compares the session that the request brought with the user.
    async fn examine<'a>(
        &self,
        user: &ActiveUser,
        presented: Option<&'a str>,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Presented<'a>, Outage> {
        let Some(value) = presented.filter(|value| !value.is_empty()) else {
            return Ok(Presented::Nothing);
        };
        Ok(match self.read(value, now, freshness).await? {
            None => Presented::Worthless(value),
            Some(session) if session.user_id().is_some_and(|id| id != user.id()) => {
                Presented::OtherUser(value)
            }
            Some(session) if self.is_alive_for(&session, user, now) => Presented::OwnAndAlive,
            Some(_) => Presented::Worthless(value),
        })
    }

    /// Whether Label Studio would answer a request with this session as `user`.
    pub fn is_alive_for(&self, session: &SessionData, user: &ActiveUser, now: SystemTime) -> bool {
        content::is_alive(session, user, &self.auth_hash, self.limit(user), now)
    }

    fn is_good_row(&self, data: &str, user: &ActiveUser, now: SystemTime) -> bool {
        let session = self.codec.decode_row(data);
        session.is_ok_and(|session| self.is_alive_for(&session, user, now))
    }

    /// How long after its login Label Studio ends a session of this user.
    fn limit(&self, user: &ActiveUser) -> Duration {
        user.max_session_age()
            .unwrap_or(self.policy.max_session_age)
    }
}
