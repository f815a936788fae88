//! Revocation: an administrator ends all sessions of a user (`POST /api/sso/revoke`).
//!
//! In: an [`Admin`] and an email address. Out: [`Revoked`], which says what happened to the user's
//! sessions and to the tokens issued to them. Afterwards, the revoked tokens open no session, and
//! the ended sessions are no longer valid.

use super::Gate;
use super::identity::Identity;
use super::issue::Admin;
use super::policy::Anonymous;
use super::reason::Outage;
use super::session::Engine;

/// The result of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Primary key in `htx_user`.
    pub user_id: i32,
    /// What happened to the sessions.
    pub sessions: Ended,
    /// Whether tokens issued so far are revoked too. If not, they stay valid until they expire,
    /// because the gate's own tables, which record revocations, don't exist.
    pub tokens: bool,
}

/// What happened to a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This many rows were deleted.
    Rows(usize),
    /// No existing cookie is valid any more.
    Cookies,
    /// The sessions are still valid: the user has a password. With signed cookies that only Label
    /// Studio checks, only a password change ends sessions, and the gate doesn't change a user's
    /// own password.
    HasPassword,
}

/// Why nothing was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeError {
    /// No user has this address.
    UserUnknown,
    /// The user is a superuser, and the administrator is not.
    NotSuperuser {
        /// The user who can't be revoked.
        user_id: i32,
    },
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<Outage> for RevokeError {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl Gate {
    /// Ends every session of the user with this address and revokes the tokens issued to them, as
    /// far as possible.
    pub async fn revoke(&self, by: &Admin, email: &str) -> Result<Revoked, RevokeError> {
        let identity = Identity::Email(email.to_owned());
        let user = self.users.current.find(&identity).await?;
        let user = user.ok_or(RevokeError::UserUnknown)?;
        if !by.may_act_on(user.is_superuser) {
            return Err(RevokeError::NotSuperuser { user_id: user.id });
        }
        // Revoke tokens first, so that none opens a new session while sessions are being ended.
        let revoked_at = self.users.recent.revoke(user.id).await?;
        let tokens = revoked_at.is_some();
        let sessions = match self.sessions.engine() {
            Engine::Database => {
                let ended = self
                    .sessions
                    .end_all_of(user.id, revoked_at, self.clock.now());
                Ended::Rows(ended.await?)
            }
            Engine::SignedCookies if tokens && self.policy.anonymous == Anonymous::Require => {
                Ended::Cookies
            }
            Engine::SignedCookies => {
                match self.users.recent.renew_unusable_password(user.id).await? {
                    true => Ended::Cookies,
                    false => Ended::HasPassword,
                }
            }
        };
        Ok(Revoked {
            user_id: user.id,
            sessions,
            tokens,
        })
    }
}
