//! The decision.
//!
//! One request is one walk through the stages, each a file of its own: [`subrequest`] → [`credential`] → [`verify`] → [`identity`] →
//! [`user`] → [`session`] → [`verdict`]. Nothing here knows of HTTP servers, of SQL or of the wall clock; what a stage needs from outside
//! is a small trait beside it.

pub mod clock;
pub mod credential;
pub mod identity;
pub mod issue;
pub mod reason;
pub mod session;
pub mod subrequest;
#[cfg(test)]
mod tests;
pub mod user;
pub mod verdict;
pub mod verify;

use std::sync::Arc;
use std::time::SystemTime;

use self::clock::Clock;
use self::credential::{Credential, Sources};
use self::identity::Identity;
use self::reason::{Outage, Reason};
use self::session::{Opened, SessionStore, Sessions};
use self::subrequest::Subrequest;
use self::user::{ActiveUser, Freshness, NotAdmitted, UserDirectory};
use self::verdict::{Cookies, Denial, Grant, Rejection};
use self::verify::{VerifiedClaims, Verifier};
use crate::django::CookieAttributes;

/// Whether what the gate stands on is there.
pub trait Readiness: Send + Sync {
    /// An error tells what is missing.
    fn ready(&self) -> impl Future<Output = Result<(), Outage>> + Send;
}

/// Decides about requests.
pub struct Gate<D, S> {
    sources: Sources,
    token_cookie: Option<CookieAttributes>,
    verifier: Verifier,
    users: D,
    sessions: Sessions<S>,
    clock: Arc<dyn Clock>,
}

impl<D: UserDirectory, S: SessionStore> Gate<D, S> {
    /// Looks for tokens in the cookie `token_cookie` and in the query parameter `parameter`.
    pub fn new(
        token_cookie: Option<CookieAttributes>,
        parameter: String,
        verifier: Verifier,
        users: D,
        sessions: Sessions<S>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sources = Sources {
            cookie: token_cookie.as_ref().map(|cookie| cookie.name.clone()),
            parameter,
        };
        Self {
            sources,
            token_cookie,
            verifier,
            users,
            sessions,
            clock,
        }
    }

    /// Whether the request may go on, and with which cookies.
    ///
    /// A request without a token is none of the gate's business. Nor is one whose token isn't acceptable, except that the token is taken
    /// from it: Label Studio then answers it as it would have without. Only a valid token can be refused, for what its user is.
    pub async fn decide(&self, subrequest: &Subrequest<'_>) -> Result<Grant, Rejection> {
        if subrequest.has_api_credential() {
            return Ok(Grant::untouched(Reason::ApiCredential));
        }
        let now = self.clock.now();
        let mut refused = None;
        for credential in Credential::find(subrequest, &self.sources) {
            match self.read(&credential, now) {
                Ok((claims, identity)) => {
                    return self.log_in(subrequest, &claims, &identity, now).await;
                }
                // The first token is the one that counted, so its reason is the one to tell.
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Ok(match refused {
            None => Grant::untouched(Reason::NoToken),
            Some(reason) => Grant::without_token(reason, self.cookies(subrequest, None)),
        })
    }

    /// Whom a token would log in, without doing so.
    pub async fn judge(&self, token: &str) -> Result<Result<ActiveUser, Reason>, Outage> {
        let identity = match self.read(&Credential::given(token), self.clock.now()) {
            Ok((_, identity)) => identity,
            Err(reason) => return Ok(Err(reason)),
        };
        match ActiveUser::resolve(&self.users, &identity, Freshness::Current).await {
            Ok(user) => Ok(Ok(user)),
            Err(NotAdmitted::Refused(reason)) => Ok(Err(reason)),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }

    /// What a token proves, and of whom.
    fn read(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
    ) -> Result<(VerifiedClaims, Identity), Reason> {
        let claims = self.verifier.verify(credential, now)?;
        let identity = Identity::from_claims(&claims)?;
        Ok((claims, identity))
    }

    /// From verified claims to a session.
    ///
    /// The user's row may come from a cache. The statement that records the login compares it with what is stored; where they differ, all
    /// is done once more with the row as it is now. Where a session came along, and might be kept without a statement, the row is read.
    async fn log_in(
        &self,
        subrequest: &Subrequest<'_>,
        claims: &VerifiedClaims,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Grant, Rejection> {
        let presented = subrequest.cookies().get(self.sessions.cookie_name());
        let first = match presented {
            None => Freshness::Cached,
            Some(_) => Freshness::Current,
        };
        for freshness in [first, Freshness::Current] {
            let user = match ActiveUser::resolve(&self.users, identity, freshness).await {
                Ok(user) => user,
                Err(NotAdmitted::Refused(reason)) => return Err(self.denial(subrequest, reason)),
                Err(NotAdmitted::Outage(outage)) => return Err(outage.into()),
            };
            let opened = self
                .sessions
                .open_for(&user, presented, claims, now)
                .await?;
            match opened {
                Opened::UserChanged => {}
                Opened::Kept => {
                    let cookies = self.cookies(subrequest, None);
                    let reason = Reason::SessionKept;
                    return Ok(Grant::logged_in(reason, &user, claims.method(), cookies));
                }
                Opened::New {
                    value,
                    set_cookie,
                    reason,
                } => {
                    let cookies = self.cookies(subrequest, Some((&value, set_cookie)));
                    return Ok(Grant::logged_in(reason, &user, claims.method(), cookies));
                }
            }
        }
        // The row changed between two statements, twice: whoever does that is not done yet.
        Err(Outage::Database.into())
    }

    /// The cookies of the answer: the token out and, where there is one, the new session in.
    fn cookies(&self, subrequest: &Subrequest<'_>, session: Option<(&str, String)>) -> Cookies {
        let name = self.sessions.cookie_name();
        let mut without: Vec<&str> = self.sources.cookie.as_deref().into_iter().collect();
        if session.is_some() {
            without.push(name);
        }
        let with = session.as_ref().map(|(value, _)| (name, *value));
        Cookies {
            request: subrequest.cookies().rewritten(&without, with),
            session: session.map(|(_, set_cookie)| set_cookie),
            token_deletion: self.token_deletion(subrequest),
        }
    }

    /// `Set-Cookie` that deletes the token's cookie, where the request came with one.
    fn token_deletion(&self, subrequest: &Subrequest<'_>) -> Option<String> {
        self.token_cookie
            .as_ref()
            .filter(|cookie| subrequest.cookies().contains(&cookie.name))
            .map(CookieAttributes::delete)
    }

    fn denial(&self, subrequest: &Subrequest<'_>, reason: Reason) -> Rejection {
        Rejection::Denial(Denial {
            reason,
            token_deletion: self.token_deletion(subrequest),
        })
    }
}
