//! Sessions as they are read, and what has been found out about them.
//!
//! In: `session_data` of a row, or a signed cookie. Out: what the checks need of the session, and
//! whether it is tied to a password column. Both follow from the data and `SECRET_KEY` alone. So
//! they are computed on first use and kept for as long as the store keeps the row; time, user and
//! revocations are checked on every request.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::content::{BACKEND, ENDS, mark};
use super::stamp::Stamp;
use super::store::SessionMark;
use crate::django::{AuthHasher, SessionCodec, SessionData, SessionEntries, SessionError, Signed};

/// The entries that [`Session`] is made of.
const ENTRIES: &[&str] = &[
    "_auth_user_id",
    "_auth_user_backend",
    "_auth_user_hash",
    "last_login",
    "uid",
    Stamp::ENTRY,
    ENDS,
];

/// A session that was signed under `SECRET_KEY`, as far as checks need it. A session may hold
/// kilobytes besides: an ID token, or what Label Studio remembers.
pub struct Session {
    user_id: Option<i32>,
    /// Whether Django loads a user with its backend.
    pub(super) has_backend: bool,
    /// `last_login`, in seconds since the epoch.
    pub(super) last_login: Option<f64>,
    /// When the gate ends the session, in seconds since the epoch. Not a number if the entry isn't
    /// one.
    pub(super) ends: Option<f64>,
    pub(super) stamp: Option<Stamp>,
    pub(super) mark: SessionMark,
    auth_hash: Option<Box<str>>,
    /// The password column whose hash the session holds, once one was found.
    password: OnceLock<Box<str>>,
}

impl Session {
    /// Reads what is needed of `session`.
    fn of(session: &impl SessionEntries) -> Self {
        Self {
            user_id: session.user_id(),
            has_backend: session.backend() == Some(BACKEND),
            last_login: session.last_login(),
            ends: session
                .get(ENDS)
                .map(|ends| ends.as_f64().unwrap_or(f64::NAN)),
            stamp: Stamp::of(session),
            mark: mark(session),
            auth_hash: session.auth_hash().map(Box::from),
            password: OnceLock::new(),
        }
    }

    /// Reads `session_data` of a row.
    pub(super) fn of_row(codec: &SessionCodec, data: &str) -> Result<Self, SessionError> {
        let excerpt = codec.excerpt_row(data, ENTRIES)?;
        Ok(Self::of(&excerpt))
    }

    /// Reads a session cookie, and tells when it was signed.
    pub(super) fn of_cookie(
        codec: &SessionCodec,
        value: &str,
    ) -> Result<(Self, Signed), SessionError> {
        let (excerpt, signed) = codec.excerpt_cookie(value, ENTRIES)?;
        Ok((Self::of(&excerpt), signed))
    }

    /// Whose session it is, if its `_auth_user_id` is a primary key.
    pub const fn user_id(&self) -> Option<i32> {
        self.user_id
    }

    /// Whether the session was opened with this password column. All callers have the same
    /// `hasher`.
    pub(super) fn is_tied_to(&self, password: &str, hasher: &AuthHasher) -> bool {
        if self.password.get().is_some_and(|own| **own == *password) {
            return true;
        }
        let hash = self.auth_hash.as_deref();
        let is_tied = hash.is_some_and(|hash| hasher.matches(password, hash));
        if is_tied {
            let _ = self.password.set(password.into());
        }
        is_tied
    }
}

/// `session_data` of a row.
pub struct StoredData {
    /// Empty once a check has read it: a cache then holds the [`Session`] alone.
    data: Mutex<Box<str>>,
    session: OnceLock<Result<Arc<Session>, SessionError>>,
}

impl StoredData {
    /// Not read yet.
    pub fn new(data: &str) -> Self {
        Self {
            data: Mutex::new(data.into()),
            session: OnceLock::new(),
        }
    }

    /// The session, as far as checks need it. All callers have the same `codec`.
    pub fn session(&self, codec: &SessionCodec) -> Result<&Arc<Session>, SessionError> {
        let read = || {
            let data = std::mem::take(&mut *self.data());
            Session::of_row(codec, &data).map(Arc::new)
        };
        let session = self.session.get_or_init(read);
        session.as_ref().map_err(|error| *error)
    }

    /// The session with all of its entries. Load it from a store without a cache: once a check has read
    /// the data, only the [`Session`] is left.
    pub fn whole(&self, codec: &SessionCodec) -> Result<SessionData, SessionError> {
        codec.decode_row(&self.data())
    }

    fn data(&self) -> std::sync::MutexGuard<'_, Box<str>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
