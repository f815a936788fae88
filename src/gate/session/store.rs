//! The port of the session stage: where sessions are kept and logins are recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::gate::reason::Outage;
use crate::gate::user::Freshness;

/// Where sessions are kept and logins are recorded.
pub trait SessionStore: Send + Sync {
    /// `session_data` of the row with that key, unless it has expired. With [`Freshness::Cached`] the answer may be a few seconds old.
    fn load(
        &self,
        key: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> impl Future<Output = Result<Option<Arc<str>>, Outage>> + Send;

    /// Remembers whose session that is, so that both are read at once the next time.
    fn belongs_to(&self, key: &str, user_id: i32);

    /// Some sessions that have not expired, in the order of their keys, behind the key `after`.
    fn page(
        &self,
        after: &str,
        now: SystemTime,
    ) -> impl Future<Output = Result<Vec<StoredSession>, Outage>> + Send;

    /// Deletes the rows with those keys.
    fn end(&self, keys: &[String]) -> impl Future<Output = Result<(), Outage>> + Send;

    /// Notes that a token opens a session. False: it has opened one before, for somebody else or too long ago.
    fn use_token(&self, token: &TokenUse<'_>) -> impl Future<Output = Result<bool, Outage>> + Send;

    /// Records a login in one statement: looks at the user's row once more, inserts the session unless it is there already, deletes the
    /// one it replaces and sets `last_login`. Doing it twice is the same as doing it once.
    fn record(
        &self,
        login: &LoginRecord<'_>,
    ) -> impl Future<Output = Result<Recorded, Outage>> + Send;
}

/// A row of `django_session` as it is stored.
#[derive(Clone)]
pub struct StoredSession {
    /// `session_key`
    pub key: String,
    /// `session_data`
    pub data: String,
}

/// A token that is good for one session.
pub struct TokenUse<'a> {
    /// What tells it from others.
    pub fingerprint: &'a [u8; 32],
    /// The client's address: requests that one page makes at once come from one.
    pub client: &'a str,
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
    /// The moment of the login.
    pub at: SystemTime,
    /// The session's row; `None` with signed cookies, where the cookie is the session.
    pub row: Option<SessionRow<'a>>,
    /// The key of the session that ends with this login.
    pub replaces: Option<&'a str>,
}

/// A row of `django_session`.
pub struct SessionRow<'a> {
    /// `session_key`
    pub key: &'a str,
    /// `session_data`
    pub data: &'a str,
    /// `expire_date`
    pub expire_date: SystemTime,
}

/// How recording a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The session is there and the login recorded.
    Done,
    /// The user's row is gone, inactive or holds another password: nothing was written.
    UserChanged,
}
