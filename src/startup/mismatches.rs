//! Logs that Label Studio seems to run with other settings than the gate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::gate::session::{Mismatch, Mismatches};

/// How often each mismatch is logged. Anybody can make up the cookies that look like one.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Logs each mismatch once an hour.
pub(super) struct LoggedMismatches {
    born: Instant,
    /// When each was last logged, in seconds since `born`, plus one; 0: never.
    logged: [AtomicU64; 3],
}

impl LoggedMismatches {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            logged: Default::default(),
        }
    }

    fn is_due(&self, mismatch: Mismatch) -> bool {
        let [signed_cookies, rows, secret_key] = &self.logged;
        let logged = match mismatch {
            Mismatch::SignedCookies => signed_cookies,
            Mismatch::Rows => rows,
            Mismatch::SecretKey => secret_key,
        };
        let now = self.born.elapsed().as_secs() + 1;
        let last = logged.load(Ordering::Relaxed);
        (last == 0 || now - last >= INTERVAL.as_secs())
            && logged
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Mismatches for LoggedMismatches {
    fn suspect(&self, mismatch: Mismatch) {
        if !self.is_due(mismatch) {
            return;
        }
        let (what, cure) = match mismatch {
            Mismatch::SignedCookies => (
                "a browser sent a session that is a signed cookie, and session.engine is db: if \
                 users see Label Studio's login form, Label Studio runs with signed_cookies",
                "set SESSION_ENGINE=django.contrib.sessions.backends.signed_cookies",
            ),
            Mismatch::Rows => (
                "a browser sent a session that is the key of a row, and session.engine is \
                 signed_cookies: if users see Label Studio's login form, Label Studio runs with db",
                "set SESSION_ENGINE=django.contrib.sessions.backends.db",
            ),
            Mismatch::SecretKey => (
                "a browser sent a session that is signed with another SECRET_KEY: if users see \
                 Label Studio's login form, Label Studio has another SECRET_KEY",
                "give both services the same SECRET_KEY",
            ),
        };
        tracing::warn!(cure, "{what}; label-studio-gate doctor --url URL tells");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_mismatch_is_logged_once_an_hour() {
        let logged = LoggedMismatches::new();
        assert!(logged.is_due(Mismatch::Rows));
        assert!(!logged.is_due(Mismatch::Rows));
        assert!(logged.is_due(Mismatch::SecretKey));
        tokio::time::advance(INTERVAL).await;
        assert!(logged.is_due(Mismatch::Rows));
        assert!(!logged.is_due(Mismatch::Rows));
    }
}
