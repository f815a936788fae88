//! Method 3: the session of the host application that Label Studio is embedded in. Its own API says whose it is.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::super::identity::ClaimMapping;
use super::super::reason::{CredentialError, Outage};
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// A person, as the host application describes them.
pub type Person = Arc<Map<String, Value>>;

/// Who knows whose session it is.
#[async_trait]
pub trait ApplicationSessions: Send + Sync {
    /// The person whose session `cookie` names; `None`: there is no such session.
    async fn person(&self, cookie: &str) -> Result<Option<Person>, Outage>;

    /// Asks anew the next time: the browser has signed out.
    async fn forget(&self, cookie: &str);
}

/// Verifies the application's sessions.
pub struct ApplicationSession {
    sessions: Arc<dyn ApplicationSessions>,
    rules: Arc<ClaimMapping>,
}

impl ApplicationSession {
    /// Asks `sessions`, whose answers name users by those rules.
    pub fn new(sessions: Arc<dyn ApplicationSessions>, rules: ClaimMapping) -> Self {
        Self {
            sessions,
            rules: Arc::new(rules),
        }
    }

    /// Asks anew the next time.
    pub async fn forget(&self, cookie: &str) {
        self.sessions.forget(cookie).await;
    }

    /// Verifies a session cookie.
    pub async fn verify(&self, cookie: &str) -> Result<VerifiedClaims, Unverified> {
        let person = self.sessions.person(cookie).await;
        let person = person
            .map_err(Unverified::Outage)?
            .ok_or(Unverified::Unrecognized(
                CredentialError::ApplicationSessionUnknown,
            ))?;
        Ok(VerifiedClaims::new(
            Arc::unwrap_or_clone(person),
            Subject::Person(self.rules.clone()),
            Method::Session,
            Fingerprint::of("session", cookie),
        ))
    }
}
