//! How sessions end: one that a browser brings, or all of a user's.
//!
//! A row is deleted. A signed cookie cannot be taken back: where the gate's own tables are there, its end is noted, and the gate
//! accepts it no longer. What Label Studio accepts is another matter unless everybody has to pass the gate (`policy.anonymous`).

use std::time::SystemTime;

use super::content::mark;
use super::store::{SessionEnd, SessionStore, StoredSession};
use super::{Engine, FORGOTTEN_AFTER, Sessions};
use crate::django::{SessionData, is_plausible_session_key};
use crate::gate::clock::unix_seconds_f64;
use crate::gate::reason::Outage;

impl Sessions {
    /// Ends the session of that cookie.
    pub async fn end(&self, value: &str, now: SystemTime) -> Result<(), Outage> {
        match self.policy.engine {
            Engine::Database if is_plausible_session_key(value) => {
                self.stores.recent.end(&[value.to_owned()]).await
            }
            Engine::Database => Ok(()),
            Engine::SignedCookies => self.note_end(value, now).await,
        }
    }

    /// Notes that Label Studio is about to end the session of that cookie. A row it deletes itself.
    pub async fn end_by_label_studio(&self, value: &str, now: SystemTime) -> Result<(), Outage> {
        match self.policy.engine {
            Engine::Database => Ok(()),
            Engine::SignedCookies => self.note_end(value, now).await,
        }
    }

    async fn note_end(&self, value: &str, now: SystemTime) -> Result<(), Outage> {
        let Ok(session) = self.codec.decode_cookie(value, now, self.policy.age) else {
            return Ok(());
        };
        let end = SessionEnd {
            mark: mark(&session),
            at: now,
            // Label Studio signs the cookie anew with each answer, so that only the session's own age ends it.
            forget_at: now + FORGOTTEN_AFTER,
        };
        self.stores.recent.note_end(&end).await
    }

    /// Whether the end of a signed cookie's session was noted after its login.
    pub(super) async fn has_ended(
        &self,
        session: &SessionData,
        store: &dyn SessionStore,
    ) -> Result<bool, Outage> {
        let ended = store.ended_at(&mark(session)).await?;
        Ok(ended.is_some_and(|at| {
            session
                .last_login()
                .is_none_or(|login| login <= unix_seconds_f64(at))
        }))
    }

    /// `Set-Cookie` that takes the session from the browser.
    pub fn deletion(&self) -> String {
        self.policy.cookie.delete()
    }

    /// Deletes every row that is a session of this user; how many there were.
    ///
    /// Reads all rows, some at a time, because ownership is recorded only in the signed data.
    pub async fn end_all_of(&self, user_id: i32, now: SystemTime) -> Result<usize, Outage> {
        let (mut after, mut ended) = (String::new(), 0);
        loop {
            let page = self.stores.current.page(&after, now).await?;
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
                self.stores.recent.end(&keys).await?;
                ended += keys.len();
            }
        }
    }
}
