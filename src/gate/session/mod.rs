//! Stage 6: keep the session that is there, or open one.
//!
//! In: a user who may come in, the session cookie that the request brought, and the credential's verified claims. Out: the session's cookie,
//! where a new one is needed. Afterwards holds: Label Studio sees exactly this user; the session of another user is gone from the store;
//! and however many requests bring the same token, through however many gates, they meet in one session, because its key is derived
//! from the token (or from the client's session) and not drawn at random.

mod store;

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub use self::store::{LoginRecord, Recorded, SessionRow, SessionStore, StoredSession, TokenUse};
use super::clock::unix_seconds_f64;
use super::reason::{Outage, Reason};
use super::user::{ActiveUser, Freshness};
use super::verify::{CLIENT_SESSION, VerifiedClaims};
use crate::django::{
    AuthHasher, CookieAttributes, SessionCodec, SessionData, is_plausible_session_key, salted_hmac,
    session_key_from,
};

/// The only backend of Label Studio's `AUTHENTICATION_BACKENDS` under which Django loads a user from a session.
const BACKEND: &str = "django.contrib.auth.backends.ModelBackend";

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

/// Opens sessions.
pub struct Sessions<S> {
    store: S,
    policy: SessionPolicy,
    codec: SessionCodec,
    auth_hash: AuthHasher,
    key_secret: SecretString,
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
        reason: Reason,
    },
    /// The user's row has changed since it was read.
    UserChanged,
    /// The token has opened a session already.
    TokenUsed,
}

/// Who asks for a session, and when.
#[derive(Clone, Copy)]
pub struct Sender<'r> {
    /// The client's address, as the proxy tells it.
    pub client: Option<&'r str>,
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

impl<S: SessionStore> Sessions<S> {
    /// Sessions by `policy`, kept in `store` and signed with Label Studio's `SECRET_KEY`.
    pub fn new(store: S, policy: SessionPolicy, secret_key: &SecretString) -> Self {
        Self {
            store,
            policy,
            codec: SessionCodec::new(secret_key),
            auth_hash: AuthHasher::new(secret_key),
            key_secret: secret_key.clone(),
        }
    }

    /// The name of the session cookie.
    pub fn cookie_name(&self) -> &str {
        &self.policy.cookie.name
    }

    /// Keeps the `presented` session when it is alive and `user`'s own; opens one otherwise.
    pub async fn open_for(
        &self,
        user: &ActiveUser,
        presented: Option<&str>,
        claims: &VerifiedClaims,
        sender: Sender<'_>,
    ) -> Result<Opened, Outage> {
        let Sender {
            client,
            now,
            freshness,
        } = sender;
        let (replaces, reason) = match self.examine(user, presented, now, freshness).await? {
            Presented::OwnAndAlive => return Ok(Opened::Kept),
            Presented::Nothing => (None, Reason::SessionOpened),
            Presented::Worthless(value) => (Some(value), Reason::SessionOpened),
            Presented::OtherUser(value) => (Some(value), Reason::UserSwitched),
        };
        if !self.may_use(claims, client, now).await? {
            return Ok(Opened::TokenUsed);
        }
        let age = self.policy.age.min(self.limit(user));
        let digest = self.derive(claims, user, now);
        let session = self.content(user, claims.method(), &digest, now);
        let (value, recorded) = match self.policy.engine {
            Engine::Database => {
                let key = session_key_from(&digest);
                let data = self.codec.encode_row(&session, now);
                let row = SessionRow {
                    key: &key,
                    data: &data,
                    expire_date: now + age,
                };
                let replaces = replaces.filter(|old| *old != key && is_plausible_session_key(old));
                let recorded = self.record(user, Some(row), replaces, now).await?;
                (key, recorded)
            }
            Engine::SignedCookies => {
                let recorded = self.record(user, None, None, now).await?;
                (self.codec.encode_cookie(&session, now), recorded)
            }
        };
        Ok(match recorded {
            Recorded::UserChanged => Opened::UserChanged,
            Recorded::Done => Opened::New {
                set_cookie: self.policy.cookie.set(&value, Some(age), now),
                value,
                reason,
            },
        })
    }

    /// Whether the token may open a session: always, unless tokens are good for one.
    async fn may_use(
        &self,
        claims: &VerifiedClaims,
        client: Option<&str>,
        now: SystemTime,
    ) -> Result<bool, Outage> {
        let (Some(window), Some(expires)) = (self.policy.once, claims.expires()) else {
            return Ok(true);
        };
        let left = Duration::try_from_secs_f64(expires - unix_seconds_f64(now));
        let token = TokenUse {
            fingerprint: claims.fingerprint().as_bytes(),
            client: client.unwrap_or_default(),
            window,
            // A clock that is a little off must not make it good again.
            expires: now + left.unwrap_or_default().min(FORGOTTEN_AFTER) + window * 2,
        };
        self.store.use_token(&token).await
    }

    /// Ends a session: its row is deleted. A signed cookie ends with the browser's copy of it.
    pub async fn end(&self, value: &str) -> Result<(), Outage> {
        match self.policy.engine {
            Engine::Database if is_plausible_session_key(value) => {
                self.store.end(&[value.to_owned()]).await
            }
            Engine::Database | Engine::SignedCookies => Ok(()),
        }
    }

    /// `Set-Cookie` that takes the session from the browser.
    pub fn deletion(&self) -> String {
        self.policy.cookie.delete()
    }

    /// Where sessions are.
    pub const fn engine(&self) -> Engine {
        self.policy.engine
    }

    /// Deletes every row that is a session of this user; how many there were. Whose a row is stands in its signed data alone, so all rows are
    /// read, some at a time.
    pub async fn end_all_of(&self, user_id: i32, now: SystemTime) -> Result<usize, Outage> {
        let (mut after, mut ended) = (String::new(), 0);
        loop {
            let page = self.store.page(&after, now).await?;
            let Some(last) = page.last() else {
                return Ok(ended);
            };
            after.clone_from(&last.key);
            let is_theirs = |row: &StoredSession| {
                let session = self.codec.decode_row(&row.data).ok();
                session.is_some_and(|session| session.user_id() == Some(user_id))
            };
            let theirs = page.into_iter().filter(is_theirs).map(|row| row.key);
            let keys: Vec<String> = theirs.collect();
            if !keys.is_empty() {
                self.store.end(&keys).await?;
                ended += keys.len();
            }
        }
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
            at,
            row,
            replaces,
        };
        self.store.record(&login).await
    }

    /// What a session cookie stands for, whoever it belongs to; `None`: it is no session of Label Studio, or one that has ended.
    pub async fn read(
        &self,
        value: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Option<SessionData>, Outage> {
        Ok(match self.policy.engine {
            Engine::SignedCookies => self.codec.decode_cookie(value, now, self.policy.age).ok(),
            Engine::Database if !is_plausible_session_key(value) => None,
            Engine::Database => {
                let data = self.store.load(value, now, freshness).await?;
                let session = data.and_then(|data| self.codec.decode_row(&data).ok());
                if let Some(owner) = session.as_ref().and_then(SessionData::user_id) {
                    self.store.belongs_to(value, owner);
                }
                session
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

    /// Whether Label Studio would answer a request with this session as `user`: Django's `get_user` (`django/contrib/auth/__init__.py`)
    /// and Label Studio's `InactivitySessionTimeoutMiddleWare` would both have to let it pass.
    pub fn is_alive_for(&self, session: &SessionData, user: &ActiveUser, now: SystemTime) -> bool {
        let limit = self.limit(user);
        session.user_id() == Some(user.id())
            && session.backend() == Some(BACKEND)
            && session
                .auth_hash()
                .is_some_and(|hash| self.auth_hash.matches(user.password(), hash))
            && session
                .last_login()
                .is_some_and(|at| unix_seconds_f64(now) - at < limit.as_secs_f64())
    }

    /// What a login of Label Studio puts into the session, and what the plugin adds to it.
    ///
    /// `last_login` has to be a number: without it Label Studio ends the session at once, and a string is an error 500 there.
    fn content(
        &self,
        user: &ActiveUser,
        method: &str,
        digest: &[u8; 32],
        now: SystemTime,
    ) -> SessionData {
        let mut session = SessionData::new();
        session.insert("uid", json!(uid(digest)));
        if let Some(organization) = user.active_organization_id() {
            session.insert("organization_pk", json!(organization));
        }
        session.insert("last_login", json!(unix_seconds_f64(now)));
        session.insert("_auth_user_id", json!(user.id().to_string()));
        session.insert("_auth_user_backend", json!(BACKEND));
        session.insert(
            "_auth_user_hash",
            json!(self.auth_hash.hash(user.password())),
        );
        session.insert("jwt_auto_login", Value::Bool(true));
        let method = match method {
            CLIENT_SESSION => CLIENT_SESSION,
            _ => "jwt",
        };
        session.insert("sso_method", json!(method));
        session
    }

    /// How long after its login Label Studio ends a session of this user.
    fn limit(&self, user: &ActiveUser) -> Duration {
        user.max_session_age()
            .unwrap_or(self.policy.max_session_age)
    }

    /// 256 bits that only a holder of `SECRET_KEY` can compute, the same wherever the same token logs the same user in.
    ///
    /// The password column is part of it: after a change of password a row under the old key would hold a hash that Django refuses. So is, for
    /// a credential that outlives sessions, the stretch of its life that has begun: the session of an earlier one is too old for Label Studio.
    fn derive(&self, claims: &VerifiedClaims, user: &ActiveUser, now: SystemTime) -> [u8; 32] {
        let (now, limit) = (unix_seconds_f64(now), self.limit(user).as_secs_f64());
        let stretch = match claims.expires() {
            Some(expires) => ((expires - now) / limit).ceil(),
            None => (now / limit).floor(),
        };
        let mut input = Vec::with_capacity(32 + 4 + 8 + user.password().len());
        input.extend_from_slice(claims.fingerprint().as_bytes());
        input.extend_from_slice(&user.id().to_be_bytes());
        input.extend_from_slice(&stretch.to_be_bytes());
        input.extend_from_slice(user.password().as_bytes());
        salted_hmac(
            "label-studio-gate.session-key",
            self.key_secret.expose_secret().as_bytes(),
            &input,
        )
    }
}

/// Label Studio's `uid`, by which it tells browsers apart in its own log: a UUID, version 8 (RFC 9562 §5.8), of the digest's end, which the
/// session key doesn't reveal.
fn uid(digest: &[u8; 32]) -> String {
    let hash = salted_hmac("label-studio-gate.uid", digest, b"");
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
