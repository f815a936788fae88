//! Ends sessions: the one in a request, or all of a user.
//!
//! In: a session cookie or a user ID. Out: a deleted row or a recorded end. Afterwards, the gate
//! rejects the session. A signed cookie can't be taken back; its end is recorded if the gate's own
//! tables exist. Label Studio still accepts such a cookie, unless all users must pass the gate
//! (`policy.anonymous`).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::row::Session;
use super::store::{ProviderPlace, SessionEnd, SessionStore, StoredSession};
use super::{Engine, MAX_RETENTION, Sessions};
use crate::django::is_plausible_session_key;
use crate::gate::clock::unix_seconds_f64;
use crate::gate::openid::Ended;
use crate::gate::reason::Outage;

/// How many sessions of each user ended. Under `None` are those whose row names nobody.
pub type EndedSessions = BTreeMap<Option<i32>, usize>;

impl Sessions {
    /// Ends the session of this cookie.
    pub async fn end(&self, value: &str, now: SystemTime) -> Result<(), Outage> {
        match self.policy.engine {
            Engine::Database if is_plausible_session_key(value) => {
                let ended = self.stores.recent.end(&[value.to_owned()]).await;
                ended.map(drop)
            }
            Engine::Database => Ok(()),
            Engine::SignedCookies => self.record_end(value, now).await,
        }
    }

    pub(super) async fn record_end(&self, value: &str, now: SystemTime) -> Result<(), Outage> {
        let Ok(session) = self.cookies.read(&self.codec, value, now) else {
            return Ok(());
        };
        let end = SessionEnd {
            mark: session.mark,
            not_before: after_login(&session),
            // Label Studio re-signs the cookie with each answer, so only the session's own age ends
            // it.
            forget_at: now + MAX_RETENTION.max(self.policy.max_session_age),
        };
        self.stores.recent.note_end(&end).await
    }

    /// Whether a signed cookie's session was ended after its login.
    pub(super) async fn has_ended(
        &self,
        session: &Session,
        store: &dyn SessionStore,
    ) -> Result<bool, Outage> {
        let ended = store.ended_at(&session.mark).await?;
        if let Some(stamp) = session.stamp {
            return Ok(stamp.is_before_end(ended));
        }
        Ok(ended.is_some_and(|at| {
            session
                .last_login
                .is_none_or(|login| login <= unix_seconds_f64(at))
        }))
    }

    /// Deletes the rows of sessions that ended at an OpenID provider. Returns how many there were of
    /// each user.
    ///
    /// The session's half is the beginning of the key, so the index finds it; the user's half is not,
    /// so every row is compared.
    pub async fn end_at_provider(
        &self,
        issuer: &str,
        ended: &Ended,
    ) -> Result<EndedSessions, Outage> {
        let place = match ended {
            Ended::Session(id) => ProviderPlace::Session(self.places.session_half(issuer, id)),
            Ended::Subject(subject) => {
                ProviderPlace::Subject(self.places.subject_half(issuer, subject))
            }
        };
        let keys = self.stores.current.keys_at_provider(&place).await?;
        let mut sessions = EndedSessions::new();
        if !keys.is_empty() {
            for data in self.stores.recent.end(&keys).await? {
                let session = Session::of_row(&self.codec, &data).ok();
                let user_id = session.and_then(|session| session.user_id());
                *sessions.entry(user_id).or_default() += 1;
            }
        }
        Ok(sessions)
    }

    /// `Set-Cookie` that deletes the session cookie.
    pub fn deletion(&self) -> String {
        self.policy.cookie.delete()
    }

    /// Deletes the user's session rows from before the revocation at this time, including those of logins
    /// that are under way, and all of them if the time is unknown. Returns how many there were.
    ///
    /// Reads all rows, page by page, because ownership is recorded only in the signed data. That takes
    /// a while if there are many, and the user may sign in again meanwhile.
    pub async fn end_all_of(
        &self,
        user_id: i32,
        revoked_at: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<usize, Outage> {
        self.stores.current.await_logins().await?;
        let (mut after, mut ended) = (String::new(), 0);
        loop {
            let page = self.stores.current.page(&after, now).await?;
            let Some(last) = page.last() else {
                return Ok(ended);
            };
            after.clone_from(&last.key);
            let is_to_end = |row: &StoredSession| {
                Session::of_row(&self.codec, &row.data).is_ok_and(|session| {
                    session.user_id() == Some(user_id) && !is_after(&session, revoked_at)
                })
            };
            let to_end = page.into_iter().filter(is_to_end).map(|row| row.key);
            let keys: Vec<String> = to_end.collect();
            if !keys.is_empty() {
                ended += self.stores.recent.end(&keys).await?.len();
            }
        }
    }
}

/// Whether the session's login knew of this revocation.
fn is_after(session: &Session, revoked_at: Option<SystemTime>) -> bool {
    revoked_at.is_some()
        && session
            .stamp
            .is_some_and(|stamp| !stamp.is_before_revocation(revoked_at))
}

/// A time after the session's login. The clock that dated the login may be ahead of the database's,
/// and an end before the login would not count for a session without a stamp.
fn after_login(session: &Session) -> SystemTime {
    let login = session.last_login.unwrap_or_default();
    let login = Duration::try_from_secs_f64(login).unwrap_or_default();
    // Postgres keeps microseconds.
    SystemTime::UNIX_EPOCH + login + Duration::from_micros(1)
}
