//! Method 3: the session of the host application that Label Studio is embedded in.
//!
//! In: the application's session cookie. Out: the application's description of the user, as claims.
//! Afterwards, the application's API has confirmed the session.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::super::identity::ClaimMapping;
use super::super::observer::Steps;
use super::super::reason::{CredentialError, Outage};
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// What the host application says about a user.
pub type UserClaims = Arc<Map<String, Value>>;

/// Why the host application names no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRefusal {
    /// It doesn't know the session, or nobody is signed in.
    Unknown,
    /// It answers 403: because of the gate's secret, or to anyone who isn't signed in.
    Forbidden,
}

/// Asks the host application whose session a cookie is.
#[async_trait]
pub trait ApplicationSessions: Send + Sync {
    /// The user whose session `cookie` is.
    async fn user_claims(&self, cookie: &str)
    -> Result<Result<UserClaims, SessionRefusal>, Outage>;

    /// Drops the cached answer, because the user has signed out.
    async fn forget(&self, cookie: &str);
}

/// Verifies the host application's sessions.
pub struct ApplicationSession {
    sessions: Arc<dyn ApplicationSessions>,
    rules: Arc<ClaimMapping>,
}

impl ApplicationSession {
    /// Asks `sessions`. The answers name users by the mapping `rules`.
    pub fn new(sessions: Arc<dyn ApplicationSessions>, rules: ClaimMapping) -> Self {
        Self {
            sessions,
            rules: Arc::new(rules),
        }
    }

    /// Drops the cached answer.
    pub async fn forget(&self, cookie: &str) {
        self.sessions.forget(cookie).await;
    }

    /// Verifies a session cookie.
    pub async fn verify(
        &self,
        cookie: &str,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = steps.by("session: host application");
        let claims = self.sessions.user_claims(cookie).await;
        let claims = claims.map_err(Unverified::Outage)?.map_err(|refusal| {
            let (why, said) = match refusal {
                SessionRefusal::Unknown => (
                    CredentialError::ApplicationSessionUnknown,
                    "it does not know the session",
                ),
                SessionRefusal::Forbidden => (
                    CredentialError::ApplicationSessionForbidden,
                    "it answers 403: it refuses client_session.verify_secret, or the session",
                ),
            };
            steps.note(format_args!("{said}"));
            Unverified::Unrecognized(why)
        })?;
        steps.note(format_args!("it knows the session"));
        Ok(VerifiedClaims::new(
            Arc::unwrap_or_clone(claims),
            Subject::Person(self.rules.clone()),
            Method::Session,
            Fingerprint::of("session", cookie),
        ))
    }
}
