//! The port of the session stage: where sessions are kept and logins are recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::gate::reason::Outage;

/// Where sessions are kept and logins are recorded.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// `session_data` of the row with that key, unless it has expired.
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<Arc<str>>, Outage>;

    /// Some sessions that have not expired, in the order of their keys, behind the key `after`.
    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage>;

    /// Deletes the rows with those keys.
    async fn end(&self, keys: &[String]) -> Result<(), Outage>;

    /// Notes that a token opens a session. False: it has opened one before, for somebody else or too long ago.
    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage>;

    /// Records a login, all or nothing: looks at the user's row once more, inserts the session unless one is there already under a key of
    /// the same place, deletes the one it replaces and sets `last_login`. Doing it twice is the same as doing it once.
    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage>;

    /// Notes that a signed cookie's session has ended, where the gate's own tables are there.
    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage>;

    /// When the session with that mark ended; `None`: it didn't, or nobody noted it.
    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage>;
}

/// A row of `django_session` as it is stored.
#[derive(Clone)]
pub struct StoredSession {
    /// `session_key`
    pub key: String,
    /// `session_data`
    pub data: String,
}

/// What tells a signed cookie's session from others, however often Label Studio signs it anew: a SHA-256.
pub type SessionMark = [u8; 32];

/// The end of a session that only the browser holds.
pub struct SessionEnd {
    /// Which session.
    pub mark: SessionMark,
    /// When it ended: what was opened under the same mark later lives.
    pub at: SystemTime,
    /// When nobody needs to remember it any more.
    pub forget_at: SystemTime,
}

/// A token that is good for one session.
pub struct TokenUse<'a> {
    /// What tells it from others.
    pub fingerprint: &'a [u8; 32],
    /// Who uses it: requests that one page makes at once come from one address.
    pub peer: &'a [u8; 32],
    /// For how long such requests may come.
    pub window: Duration,
    /// When nobody needs to remember it any more.
    pub expires: SystemTime,
}

/// What a login writes.
pub struct LoginRecord<'a> {
    /// `htx_user.id`
    pub user_id: i32,
    /// The password column that the session was made for; a row that no longer holds it is another login's business.
    pub password: &'a str,
    /// Up to when what was issued to the user was revoked when the credential was judged.
    pub revoked_at: Option<SystemTime>,
    /// The moment of the login.
    pub at: SystemTime,
    /// The session's row; `None` with signed cookies, where the cookie is the session.
    pub row: Option<SessionRow<'a>>,
    /// The key of the session that ends with this login.
    pub replaces: Option<&'a str>,
}

/// A row of `django_session`.
pub struct SessionRow<'a> {
    /// What the key begins with; a session under another such key is as good.
    pub place: &'a str,
    /// `session_key`
    pub key: &'a str,
    /// `session_data`
    pub data: &'a str,
    /// `expire_date`
    pub expire_date: SystemTime,
}

/// How recording a login ended.
#[derive(Clone)]
pub enum Recorded {
    /// The session is there and the login recorded.
    Opened,
    /// There is a session under another key of that place: nothing was written.
    Met(StoredSession),
    /// The user's row is gone, inactive or not the one that the login was made for: nothing was written.
    UserChanged,
}
