//! The port of the session stage: keeps sessions and records logins.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::row::StoredData;
use crate::gate::reason::Outage;

/// Keeps sessions and records logins.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// `session_data` of the row with this key, unless it has expired.
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<Arc<StoredData>>, Outage>;

    /// Waits until every login that is being recorded has been, or has failed.
    async fn await_logins(&self) -> Result<(), Outage>;

    /// A page of unexpired sessions in key order, starting after the key `after`.
    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage>;

    /// Deletes the rows with these keys. Returns their `session_data`.
    async fn end(&self, keys: &[String]) -> Result<Vec<String>, Outage>;

    /// The keys of the rows at this place.
    async fn keys_at_provider(&self, place: &ProviderPlace) -> Result<Vec<String>, Outage>;

    /// Records that a token opens a session. Returns false if the token has already opened one, for
    /// another peer or before the grace period.
    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage>;

    /// Records a login atomically and idempotently: checks the user's row again, inserts the
    /// session unless one exists under another key of the same place, deletes the session it
    /// replaces and sets `last_login`.
    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage>;

    /// Records that a signed cookie's session has ended, if the gate's own tables exist. Its time is
    /// the database's, and later than that of earlier ends of the same mark.
    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage>;

    /// When the session with this mark ended; `None` if no end is recorded.
    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage>;
}

/// A row of `django_session` as stored.
#[derive(Clone)]
pub struct StoredSession {
    /// `session_key`
    pub key: String,
    /// `session_data`
    pub data: String,
}

/// The keys of sessions that an OpenID provider ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderPlace {
    /// Keys that begin with this text.
    Session(String),
    /// Keys whose second half of the place, from the ninth character on, is this text.
    Subject(String),
}

/// Identifies a signed cookie's session, however often Label Studio re-signs it: a SHA-256.
pub type SessionMark = [u8; 32];

/// The end of a session that only the browser holds.
pub struct SessionEnd {
    /// The session.
    pub mark: SessionMark,
    /// A time after its login. The database adds its own, and the later one counts. A session opened
    /// later under the same mark is valid.
    pub not_before: SystemTime,
    /// When the record can be deleted.
    pub forget_at: SystemTime,
}

/// The use of a single-use token.
pub struct TokenUse<'a> {
    /// Identifies the token.
    pub fingerprint: &'a [u8; 32],
    /// Identifies the peer: parallel requests of one page come from one address.
    pub peer: &'a [u8; 32],
    /// The grace period for a page's parallel requests.
    pub window: Duration,
    /// When the record can be deleted.
    pub expires: SystemTime,
}

/// A login to record.
pub struct LoginRecord<'a> {
    /// `htx_user.id`
    pub user_id: i32,
    /// The password column that the session was created for. If the row's has changed, the login is
    /// not recorded.
    pub password: &'a str,
    /// The user's last revocation as known when the credential was verified. If there was another
    /// since, the login is not recorded.
    pub revoked_at: Option<SystemTime>,
    /// The time of the login.
    pub at: SystemTime,
    /// The session.
    pub session: NewSession<'a>,
    /// The key of the session that this login replaces.
    pub replaces: Option<&'a str>,
}

/// The session that a login opens.
pub enum NewSession<'a> {
    /// A row of `django_session`.
    Row(SessionRow<'a>),
    /// A signed cookie. Nothing is stored, but an earlier session with this mark may have ended.
    Cookie(&'a SessionMark),
}

/// A row of `django_session`.
pub struct SessionRow<'a> {
    /// The prefix of the key. An existing session with the same prefix serves as well.
    pub place: &'a str,
    /// `session_key`
    pub key: &'a str,
    /// `session_data`
    pub data: &'a str,
    /// `expire_date`
    pub expire_date: SystemTime,
}

/// The result of recording a login.
#[derive(Clone)]
pub enum Recorded {
    /// The session is stored and the login is recorded.
    Opened {
        /// When a session with the mark of a [`NewSession::Cookie`] last ended.
        ended_at: Option<SystemTime>,
    },
    /// A session exists under another key of this place. Nothing was written.
    Met(StoredSession),
    /// The user's row is gone, inactive, or differs from the one that the login was made for.
    /// Nothing was written.
    UserChanged,
}
