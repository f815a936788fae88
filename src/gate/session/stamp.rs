//! What preceded the login of a session that the gate opened.
//!
//! In: the last revocation of the user and the last end of a session with the same mark, as the
//! statement that recorded the login found them. Out: an entry of the session. Afterwards, a later
//! revocation or end is told from an earlier one without comparing clocks: Label Studio and each
//! gate have their own, and only the database orders what happened.

use std::time::SystemTime;

use serde_json::json;

use crate::django::{SessionData, SessionEntries};
use crate::gate::clock::unix_microseconds;

/// The entry of one session. The times are the database's, in microseconds since the epoch; 0 for
/// none.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    revoked: u64,
    ended: u64,
}

impl Stamp {
    /// The entry: the session's `last_login`, [`Stamp::revoked`] and [`Stamp::ended`]. A list,
    /// because every check of a session reads it.
    pub(super) const ENTRY: &str = "gate_login";

    /// A login after these events.
    pub(super) fn new(revoked_at: Option<SystemTime>, ended_at: Option<SystemTime>) -> Self {
        Self {
            revoked: unix_microseconds(revoked_at),
            ended: unix_microseconds(ended_at),
        }
    }

    /// Writes the entry. The session has its `last_login`.
    pub(super) fn put(self, session: &mut SessionData) {
        let entry = json!([session.last_login(), self.revoked, self.ended]);
        session.insert(Self::ENTRY, entry);
    }

    /// Reads the entry. `None` for a session of Label Studio or of an earlier version, and if Label
    /// Studio's own form has logged in with the session since, which keeps its entries.
    pub(super) fn of(session: &impl SessionEntries) -> Option<Self> {
        let [login, revoked, ended] = session.get(Self::ENTRY)?.as_array()?.as_slice() else {
            return None;
        };
        if login.as_f64() != session.last_login() {
            return None;
        }
        Some(Self {
            revoked: revoked.as_u64()?,
            ended: ended.as_u64()?,
        })
    }

    /// Whether the user's sessions were revoked after the login.
    pub(super) fn is_before_revocation(self, at: Option<SystemTime>) -> bool {
        self.revoked < unix_microseconds(at)
    }

    /// Whether a session with the same mark ended after the login.
    pub(super) fn is_before_end(self, at: Option<SystemTime>) -> bool {
        self.ended < unix_microseconds(at)
    }
}
