//! Session cookies that Label Studio sets only if it runs with other settings than the gate.
//!
//! In: a cookie that is no session under the gate's settings. Out: the [`Mismatch`] that would
//! explain it. Without this, the gate would open sessions that Label Studio ignores. Anybody can make
//! up such a cookie, so a mismatch is a hint for operators and decides nothing.

use super::Engine;
use crate::django::{is_row_key, is_signed_cookie};

/// Is notified of mismatches.
pub trait Mismatches: Send + Sync {
    /// A browser sent a cookie that this mismatch would explain.
    fn suspect(&self, mismatch: Mismatch);
}

/// How Label Studio's settings may differ from the gate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Label Studio keeps sessions in signed cookies, the gate in rows.
    SignedCookies,
    /// Label Studio keeps sessions in rows, the gate in signed cookies.
    Rows,
    /// Label Studio signs with another `SECRET_KEY`.
    SecretKey,
}

impl Mismatch {
    /// The mismatch that explains the cookie `value`, which is no session with this engine.
    pub(super) fn of(value: &str, engine: Engine) -> Option<Self> {
        match engine {
            Engine::Database if is_signed_cookie(value) => Some(Self::SignedCookies),
            Engine::Database => None,
            Engine::SignedCookies if is_row_key(value) => Some(Self::Rows),
            Engine::SignedCookies if is_signed_cookie(value) => Some(Self::SecretKey),
            Engine::SignedCookies => None,
        }
    }
}
