//! Stage 6: the session.
//!
//! In: a user who may sign in, the request's session cookie, and the verified claims. Out: the same
//! session if it is valid, or the cookie of a new one. Afterwards, Label Studio sees exactly this
//! user; another user's session is gone from the store; all requests with the same credential share
//! one session, through any number of gates; and an ended session never becomes valid again,
//! because the random part of its key can't be derived from the credential.

mod content;
mod ending;
mod key;
mod mismatch;
mod opening;
mod row;
mod signed;
mod stamp;
mod store;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;

pub use self::ending::EndedSessions;
use self::key::Places;
pub use self::mismatch::{Mismatch, Mismatches};
pub use self::opening::SessionAction;
pub use self::row::{Session, StoredData};
use self::signed::SignedCookies;
pub use self::store::{
    LoginRecord, NewSession, ProviderPlace, Recorded, SessionEnd, SessionMark, SessionRow,
    SessionStore, StoredSession, TokenUse,
};
use super::entropy::Entropy;
use super::reason::Outage;
use super::user::{ActiveUser, Freshness};
use crate::django::{
    AuthHasher, CookieAttributes, SessionCodec, SessionData, SessionError, is_plausible_session_key,
};

/// Django's `SESSION_ENGINE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `django.contrib.sessions.backends.db`, and `cached_db`, which reads the same row.
    Database,
    /// `django.contrib.sessions.backends.signed_cookies`, Label Studio's default.
    SignedCookies,
}

/// How sessions are created.
pub struct SessionPolicy {
    /// Where Label Studio keeps sessions.
    pub engine: Engine,
    /// The session cookie.
    pub cookie: CookieAttributes,
    /// `SESSION_COOKIE_AGE`
    pub age: Duration,
    /// How long after login Label Studio ends a session of an organization without its own policy
    /// (`MAX_SESSION_AGE`).
    pub max_session_age: Duration,
    /// With single-use tokens, the grace period for a page's parallel requests; `None` if tokens
    /// are reusable.
    pub once: Option<Duration>,
    /// How many sessions of signed cookies are kept, so that their cookies are not read again.
    pub kept_cookies: usize,
}

/// The session store with and without a cache. Writes go through `recent`, so that its cache learns
/// of them.
#[derive(Clone)]
pub struct SessionStores {
    /// Answers may be a few seconds old.
    pub recent: Arc<dyn SessionStore>,
    /// Answers are current.
    pub current: Arc<dyn SessionStore>,
}

/// Opens, reads and ends sessions.
pub struct Sessions {
    stores: SessionStores,
    policy: SessionPolicy,
    codec: SessionCodec,
    cookies: SignedCookies,
    auth_hash: AuthHasher,
    places: Places,
    entropy: Arc<dyn Entropy>,
    mismatches: Arc<dyn Mismatches>,
}

/// A new session.
pub struct Opened {
    /// Value of the session cookie.
    pub value: String,
    /// `Set-Cookie`
    pub set_cookie: String,
}

/// Upper limit for remembering a used token or an ended session. A token with a longer lifetime has
/// to be revoked by then.
const MAX_RETENTION: Duration = Duration::from_secs(400 * 86_400);

impl Sessions {
    /// Creates sessions according to `policy`, kept in `stores` and signed with Label Studio's
    /// `SECRET_KEY`.
    pub fn new(
        stores: SessionStores,
        policy: SessionPolicy,
        secret_key: &SecretString,
        entropy: Arc<dyn Entropy>,
        mismatches: Arc<dyn Mismatches>,
    ) -> Self {
        Self {
            stores,
            cookies: SignedCookies::new(policy.age, policy.kept_cookies),
            policy,
            codec: SessionCodec::new(secret_key),
            auth_hash: AuthHasher::new(secret_key),
            places: Places::new(secret_key),
            entropy,
            mismatches,
        }
    }

    /// The name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        &self.policy.cookie.name
    }

    /// The session engine.
    pub const fn engine(&self) -> Engine {
        self.policy.engine
    }

    /// Reads the session of this cookie, of any user. `None` if it isn't a session of Label Studio
    /// or has ended.
    pub async fn read(
        &self,
        value: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Option<Arc<Session>>, Outage> {
        let store = match freshness {
            Freshness::Recent => &self.stores.recent,
            Freshness::Current => &self.stores.current,
        };
        Ok(match self.policy.engine {
            Engine::SignedCookies => match self.cookies.read(&self.codec, value, now) {
                Ok(session) if self.has_ended(&session, &**store).await? => None,
                Ok(session) => Some(session),
                Err(SessionError::Expired) => None,
                Err(_) => self.suspect(Mismatch::of(value, Engine::SignedCookies)),
            },
            Engine::Database if !is_plausible_session_key(value) => {
                self.suspect(Mismatch::of(value, Engine::Database))
            }
            Engine::Database => match store.load(value, now).await? {
                None => None,
                Some(data) => match data.session(&self.codec) {
                    Ok(session) => Some(session.clone()),
                    Err(SessionError::BadSignature) => self.suspect(Some(Mismatch::SecretKey)),
                    Err(_) => None,
                },
            },
        })
    }

    /// Whether Label Studio, or the gate for it, has signed this cookie, even if its session has ended.
    pub fn has_signed(&self, value: &str, now: SystemTime) -> bool {
        self.policy.engine == Engine::SignedCookies
            && matches!(
                self.cookies.read(&self.codec, value, now),
                Ok(_) | Err(SessionError::Expired)
            )
    }

    /// The same session with all of its entries, of which checks need few.
    pub async fn read_whole(
        &self,
        value: &str,
        now: SystemTime,
    ) -> Result<Option<SessionData>, Outage> {
        if self.read(value, now, Freshness::Recent).await?.is_none() {
            return Ok(None);
        }
        let whole = match self.policy.engine {
            Engine::SignedCookies => self.codec.decode_cookie(value, now, self.policy.age).ok(),
            Engine::Database => match self.stores.current.load(value, now).await? {
                Some(data) => data.whole(&self.codec).ok(),
                None => None,
            },
        };
        Ok(whole)
    }

    /// The cookie is no session, which a mismatch may explain.
    fn suspect<S>(&self, mismatch: Option<Mismatch>) -> Option<S> {
        if let Some(mismatch) = mismatch {
            self.mismatches.suspect(mismatch);
        }
        None
    }

    /// Whether Label Studio would accept this session as `user`.
    pub fn is_alive_for(&self, session: &Session, user: &ActiveUser, now: SystemTime) -> bool {
        content::is_alive(session, user, &self.auth_hash, self.limit(user), now)
    }

    /// The provider at which the user of this session signed in, and the ID token, if the session has
    /// room for one.
    pub fn provider_of<'s>(&self, session: &'s SessionData) -> Option<(&'s str, Option<&'s str>)> {
        content::provider_of(session)
    }

    /// How long after login Label Studio ends this user's sessions.
    fn limit(&self, user: &ActiveUser) -> Duration {
        user.max_session_age()
            .unwrap_or(self.policy.max_session_age)
    }
}
