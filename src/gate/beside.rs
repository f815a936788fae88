//! What is asked of the gate beside the check: signing in and out, ending the sessions of a user, and whom a token would log in.

use super::Gate;
use super::credential::{self, Credential};
use super::reason::{Outage, Reason};
use super::session::{Engine, SessionStore};
use super::subrequest::Subrequest;
use super::user::{ActiveUser, Freshness, NotAdmitted, UserDirectory};
use super::verdict::{Grant, Rejection};
use super::verify::{ApiTokens, Unverified};

impl<D: UserDirectory + ApiTokens, S: SessionStore> Gate<D, S> {
    /// Logs in with `token` alone, for a request that brings it in another way than the proxy's check looks for.
    pub async fn sign_in(
        &self,
        token: &str,
        subrequest: &Subrequest<'_>,
    ) -> Result<Grant, Rejection> {
        let now = self.clock.now();
        let brought = self.brought(subrequest, now).await?;
        let token = std::iter::once(Credential::Token(token.into()));
        self.try_each(token, subrequest, &brought, now).await
    }

    /// The token in the query of `uri`, and `uri` without it.
    pub fn token_in(&self, uri: &str) -> Option<(String, String)> {
        credential::cut_out(uri, &self.sources.parameter)
    }

    /// Ends the session that the request brought. The cookies to take from the browser.
    pub async fn sign_out(&self, subrequest: &Subrequest<'_>) -> Result<Vec<String>, Outage> {
        let brought = self.brought(subrequest, self.clock.now()).await?;
        if let Some(session) = brought.session {
            self.sessions.end(session).await?;
        }
        // Who has signed out of the application too is not to come back by what was known of them.
        if let (Some(client), Some(method)) = (brought.client, &self.verifier.client_session) {
            method.forget(client).await;
        }
        let session = self.sessions.deletion();
        Ok(std::iter::once(session)
            .chain(self.token_deletion(subrequest))
            .collect())
    }

    /// Ends every session of a user.
    pub async fn end_sessions_of(&self, user_id: i32) -> Result<Ended, Outage> {
        let ended = match self.sessions.engine() {
            Engine::Database => {
                let rows = self.sessions.end_all_of(user_id, self.clock.now()).await?;
                Ended::Rows(rows)
            }
            Engine::SignedCookies => match self.users.renew_unusable_password(user_id).await? {
                true => Ended::Cookies,
                false => Ended::HasPassword,
            },
        };
        Ok(ended)
    }

    /// Whether the request brought a session of somebody who is signed in.
    pub async fn has_living_session(&self, subrequest: &Subrequest<'_>) -> Result<bool, Outage> {
        let now = self.clock.now();
        let brought = self.brought(subrequest, now).await?;
        self.is_logged_in(brought.session, now).await
    }

    /// Whom a token would log in, without doing so.
    pub async fn judge(&self, token: &str) -> Result<Result<Judged, Reason>, Outage> {
        let credential = Credential::Token(token.into());
        let (claims, mut claimant) = match self.read(&credential, self.clock.now()).await {
            Ok(read) => read,
            Err(Unverified::Foreign(reason) | Unverified::Unacceptable(reason)) => {
                return Ok(Err(reason));
            }
            Err(Unverified::Outage(outage)) => return Err(outage),
        };
        let would_create = std::mem::take(&mut claimant.admission.create);
        claimant.admission.update_names = false;
        let method = claims.method();
        match ActiveUser::resolve(&self.users, &claimant, Freshness::Current).await {
            Ok(user) => Ok(Ok(Judged::Known { user, method })),
            Err(NotAdmitted::Refused(Reason::UserUnknown)) if would_create => {
                Ok(Ok(Judged::New { method }))
            }
            Err(NotAdmitted::Refused(reason)) => Ok(Err(reason)),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }
}

/// What became of a user's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// So many rows were deleted.
    Rows(usize),
    /// Every cookie is worth nothing from now on.
    Cookies,
    /// The user has a password: with signed cookies only a change of it ends their sessions, and that is the user's own.
    HasPassword,
}

/// Whom a token would log in.
#[derive(Debug)]
pub enum Judged {
    /// A user who is there.
    Known {
        /// Who.
        user: ActiveUser,
        /// The method that vouches for them.
        method: &'static str,
    },
    /// Somebody who would get an account.
    New {
        /// The method that vouches for them.
        method: &'static str,
    },
}
