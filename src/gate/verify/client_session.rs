//! Method 3: the session of the application that Label Studio is embedded in. Its own API says whose it is.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::identity::PersonRules;
use super::super::reason::{Outage, Reason};
use super::{Fingerprint, Subject, Unverified, VerifiedClaims};

/// The method's name in `X-Gate-Method` and in the log.
pub const METHOD: &str = "session";

/// Who knows whose session it is.
pub trait ClientSessions: Send + Sync {
    /// The person whose session `cookie` names, as the application describes them; `None`: there is no such session.
    fn person(&self, cookie: &str) -> PersonFuture<'_>;

    /// Asks anew the next time: the browser has signed out.
    fn forget(&self, cookie: &str) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What [`ClientSessions::person`] comes to.
pub type PersonFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Arc<Map<String, Value>>>, Outage>> + Send + 'a>>;

/// Verifies the application's sessions.
pub struct ClientSession {
    sessions: Arc<dyn ClientSessions>,
    rules: Arc<PersonRules>,
}

impl ClientSession {
    /// Asks `sessions`, whose answers name users by those rules.
    pub fn new(sessions: Arc<dyn ClientSessions>, rules: PersonRules) -> Self {
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
            .ok_or(Unverified::Foreign(Reason::ClientSessionUnknown))?;
        Ok(VerifiedClaims::new(
            Arc::unwrap_or_clone(person),
            Subject::Person(self.rules.clone()),
            METHOD,
            Fingerprint::of(METHOD, cookie),
        ))
    }
}
