//! The decision.
//!
//! One request is one walk through the stages, each a file of its own: [`subrequest`] → [`credential`] → [`verify`] → [`identity`] →
//! [`user`] → [`session`] → [`verdict`]. Nothing here knows of HTTP servers, of SQL or of the wall clock; what a stage needs from outside
//! is a small trait beside it.

mod beside;
mod brought;
pub mod clock;
pub mod cookies;
pub mod credential;
pub mod identity;
pub mod issue;
pub mod policy;
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

pub use self::beside::{Ended, Judged};
use self::brought::Brought;
use self::clock::Clock;
use self::credential::{Credential, Sources};
use self::identity::{Claimant, Identity};
use self::policy::{Anonymous, Policy};
use self::reason::{Outage, Reason};
use self::session::{Opened, Sender, SessionStore, Sessions};
use self::subrequest::Subrequest;
use self::user::{ActiveUser, Freshness, NotAdmitted, UserDirectory};
use self::verdict::{Cookies, Denial, Grant, Rejection};
use self::verify::{ApiTokens, Unverified, VerifiedClaims, Verifier};
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
    policy: Policy,
    verifier: Verifier<D>,
    users: D,
    sessions: Sessions<S>,
    clock: Arc<dyn Clock>,
}

/// Where credentials are looked for.
pub struct Places {
    /// The token's cookie.
    pub token_cookie: Option<CookieAttributes>,
    /// The token's query parameter.
    pub parameter: String,
    /// The session cookie of the client's application.
    pub client_cookie: Option<String>,
}

impl<D: UserDirectory + ApiTokens, S: SessionStore> Gate<D, S> {
    /// Looks for credentials in those places.
    pub fn new(
        places: Places,
        policy: Policy,
        verifier: Verifier<D>,
        users: D,
        sessions: Sessions<S>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let Places {
            token_cookie,
            parameter,
            client_cookie,
        } = places;
        let sources = Sources {
            cookie: token_cookie.as_ref().map(|cookie| cookie.name.clone()),
            parameter,
            client_cookie,
        };
        Self {
            sources,
            token_cookie,
            policy,
            verifier,
            users,
            sessions,
            clock,
        }
    }

    /// Whether the request may go on, and with which cookies.
    ///
    /// A request without a credential is none of the gate's business, unless somebody must be signed in. Nor is one whose credential isn't
    /// acceptable, except that a token is taken from it: it is answered as it would have been without. Only a valid credential can be
    /// refused, for what its user is.
    pub async fn decide(&self, subrequest: &Subrequest<'_>) -> Result<Grant, Rejection> {
        if self.policy.is_open(subrequest.path()) {
            return Ok(Grant::untouched(Reason::OpenPath));
        }
        if subrequest.has_api_credential() {
            return Ok(Grant::untouched(Reason::ApiCredential));
        }
        let has_session = subrequest.cookies().contains(self.sessions.cookie_name());
        if has_session && self.policy.refuses_as_foreign(subrequest) {
            return Err(self.denial(subrequest, Reason::CrossSiteRequest));
        }
        let now = self.clock.now();
        let brought = self.brought(subrequest, now).await?;
        let credentials = Credential::find(subrequest, &self.sources, brought.client);
        self.try_each(credentials, subrequest, &brought, now).await
    }

    /// The first credential that is acceptable decides.
    async fn try_each(
        &self,
        credentials: impl Iterator<Item = Credential<'_>>,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
        now: SystemTime,
    ) -> Result<Grant, Rejection> {
        let mut refused = None;
        for credential in credentials {
            let why = match self.read(&credential, now).await {
                Ok((claims, claimant)) => {
                    let login = self.log_in(subrequest, brought, &claims, &claimant, now);
                    match login.await? {
                        Some(grant) => return Ok(grant),
                        None => Unverified::Unacceptable(Reason::TokenUsed),
                    }
                }
                Err(why) => why,
            };
            // The first credential is the one that counted, so its reason is the one to tell.
            refused = refused.or(Some(why));
        }
        match refused {
            None if self.policy.anonymous == Anonymous::Pass && !brought.mixed => {
                Ok(Grant::untouched(Reason::NoToken))
            }
            None => self.nobody_new(None, subrequest, brought, now).await,
            Some(Unverified::Foreign(reason) | Unverified::Unacceptable(reason)) => {
                self.nobody_new(Some(reason), subrequest, brought, now)
                    .await
            }
            Some(Unverified::Outage(outage)) => {
                self.undecided(outage, subrequest, brought, now).await
            }
        }
    }

    /// No credential logs anybody in: the request goes on without it, where somebody is signed in or nobody needs to be.
    async fn nobody_new(
        &self,
        refused: Option<Reason>,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
        now: SystemTime,
    ) -> Result<Grant, Rejection> {
        let reason = match self.policy.anonymous {
            Anonymous::Pass => refused.unwrap_or(Reason::NoToken),
            Anonymous::Require if self.is_logged_in(brought.session, now).await? => {
                refused.unwrap_or(Reason::SessionValid)
            }
            Anonymous::Require => {
                return Err(Rejection::SignInRequired(Denial {
                    reason: refused.unwrap_or(Reason::SignInRequired),
                    token_deletion: self.token_deletion(subrequest),
                }));
            }
        };
        Ok(self.without_login(reason, subrequest, brought))
    }

    /// What a credential proves, and of whom.
    async fn read(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
    ) -> Result<(VerifiedClaims, Claimant), Unverified> {
        let claims = self.verifier.verify(credential, now).await?;
        let claimant = Claimant::from_claims(&claims)?;
        Ok((claims, claimant))
    }

    /// From verified claims to a session; `None`: the token has opened one already, and is good for one.
    ///
    /// The user's row may come from a cache. The statement that records the login compares it with what is stored; where they differ, all
    /// is done once more with the row as it is now. Where a token came with a session, which might be kept without a statement, the row is
    /// read. The client's session comes with every request, so that its user is read once in some seconds.
    async fn log_in(
        &self,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
        claims: &VerifiedClaims,
        claimant: &Claimant,
        now: SystemTime,
    ) -> Result<Option<Grant>, Rejection> {
        let first = match brought.session {
            Some(_) if claims.expires().is_some() => Freshness::Current,
            _ => Freshness::Cached,
        };
        for freshness in [first, Freshness::Current] {
            let user = match ActiveUser::resolve(&self.users, claimant, freshness).await {
                Ok(user) => user,
                Err(NotAdmitted::Refused(reason)) => return Err(self.denial(subrequest, reason)),
                Err(NotAdmitted::Outage(outage)) => return Err(outage.into()),
            };
            let sender = Sender {
                client: subrequest.client(),
                now,
                freshness,
            };
            let opened = self
                .sessions
                .open_for(&user, brought.session, claims, sender)
                .await?;
            let (reason, cookies) = match opened {
                Opened::UserChanged => continue,
                Opened::TokenUsed => return Ok(None),
                Opened::Kept => {
                    let cookies = self.cookies(subrequest, brought, None);
                    (Reason::SessionKept, cookies)
                }
                Opened::New {
                    value,
                    set_cookie,
                    reason,
                } => {
                    let cookies = self.cookies(subrequest, brought, Some((&value, set_cookie)));
                    (reason, cookies)
                }
            };
            let grant = Grant::logged_in(reason, &user, claims.method(), cookies);
            return Ok(Some(grant));
        }
        // The row changed between two statements, twice: whoever does that is not done yet.
        Err(Outage::Database.into())
    }

    /// The request goes on without its token, and logs nobody in.
    fn without_login(
        &self,
        reason: Reason,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
    ) -> Grant {
        Grant::without_login(reason, self.cookies(subrequest, brought, None))
    }

    /// Somebody who could say more is out of reach. Who is logged in to Label Studio already stays so while the client's API is away: that
    /// session was opened when it was there.
    async fn undecided(
        &self,
        outage: Outage,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
        now: SystemTime,
    ) -> Result<Grant, Rejection> {
        let can_wait = matches!(outage, Outage::ClientApi | Outage::Overloaded);
        if can_wait && self.is_logged_in(brought.session, now).await? {
            let reason = Reason::SessionKeptUnasked;
            return Ok(self.without_login(reason, subrequest, brought));
        }
        Err(outage.into())
    }

    /// Whether Label Studio would take this session cookie for one of its users.
    async fn is_logged_in(&self, session: Option<&str>, now: SystemTime) -> Result<bool, Outage> {
        let Some(value) = session else {
            return Ok(false);
        };
        let session = self.sessions.read(value, now, Freshness::Cached).await?;
        let Some((session, id)) =
            session.and_then(|session| session.user_id().map(|id| (session, id)))
        else {
            return Ok(false);
        };
        let claimant = Claimant::of(Identity::Id(id));
        match ActiveUser::resolve(&self.users, &claimant, Freshness::Cached).await {
            Ok(user) => Ok(self.sessions.is_alive_for(&session, &user, now)),
            Err(NotAdmitted::Refused(_)) => Ok(false),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }

    /// The cookies of the answer: the token out and, where there is one, the new session in.
    fn cookies(
        &self,
        subrequest: &Subrequest<'_>,
        brought: &Brought<'_>,
        opened: Option<(&str, String)>,
    ) -> Cookies {
        let name = self.sessions.cookie_name();
        let mut without: Vec<&str> = self.sources.cookie.as_deref().into_iter().collect();
        let opened_value = opened.as_ref().map(|(value, _)| *value);
        // Of two cookies of one name Django would read the last, which may be the client's.
        let session = opened_value.or(brought.session.filter(|_| brought.mixed));
        if opened_value.is_some() || brought.mixed {
            without.push(name);
        }
        let with = session.map(|value| (name, value));
        Cookies {
            request: subrequest.cookies().rewritten(&without, with),
            session: opened.map(|(_, set_cookie)| set_cookie),
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
