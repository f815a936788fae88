//! An administrator ends all sessions of a user (`POST /api/sso/revoke`).
//!
//! In: an [`Admin`] and an e-mail address. Out: what became of the user's sessions and of the tokens that were issued to them.

use super::Gate;
use super::identity::Identity;
use super::issue::Admin;
use super::policy::Anonymous;
use super::reason::Outage;
use super::session::Engine;

/// What a revocation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Primary key in `htx_user`.
    pub user_id: i32,
    /// What became of the sessions.
    pub sessions: Ended,
    /// Whether tokens that were issued before are revoked too. Otherwise they stay good until they expire, because the gate's own
    /// tables, where that would be noted, are not there.
    pub tokens: bool,
}

/// What became of a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// So many rows were deleted.
    Rows(usize),
    /// Every cookie is worth nothing from now on.
    Cookies,
    /// The user has a password: with signed cookies, that Label Studio alone looks at, only a change of it ends their sessions, and that is the
    /// user's own.
    HasPassword,
}

/// Why nothing was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeError {
    /// No user has that address.
    UserUnknown,
    /// The user is a superuser, and the administrator is not.
    NotSuperuser {
        /// Who cannot be revoked.
        user_id: i32,
    },
    /// Cannot say now.
    Outage(Outage),
}

impl From<Outage> for RevokeError {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl Gate {
    /// Ends every session of the user with that address, and revokes the tokens that were issued to them, as far as that can be done.
    pub async fn revoke(&self, by: &Admin, email: &str) -> Result<Revoked, RevokeError> {
        let identity = Identity::Email(email.to_owned());
        let user = self.users.current.find(&identity).await?;
        let user = user.ok_or(RevokeError::UserUnknown)?;
        if !by.may_act_on(user.is_superuser) {
            return Err(RevokeError::NotSuperuser { user_id: user.id });
        }
        let now = self.clock.now();
        // First of all, so that no token opens a session behind the one that was just ended.
        let tokens = self.users.recent.revoke(user.id, now).await?;
        let sessions = match self.sessions.engine() {
            Engine::Database => Ended::Rows(self.sessions.end_all_of(user.id, now).await?),
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
