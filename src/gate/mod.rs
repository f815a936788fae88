//! The decision.
//!
//! One request is one walk through the stages, each a file of its own: [`subrequest`] → [`credential`] → [`verify`] → [`identity`] →
//! [`user`] → [`session`] → [`verdict`]. What a request carries on its way is a [`Visit`](visit::Visit). Nothing here knows of HTTP
//! servers, of SQL or of the wall clock; what a stage needs from outside is a small trait beside it.

pub mod clock;
pub mod cookies;
pub mod credential;
pub mod entropy;
pub mod identity;
mod inspection;
pub mod issue;
pub mod policy;
pub mod reason;
mod revocation;
pub mod session;
mod sign_in;
pub mod subrequest;
#[cfg(test)]
mod tests;
pub mod user;
pub mod verdict;
pub mod verify;
mod visit;

use std::sync::Arc;

use async_trait::async_trait;

use self::clock::Clock;
use self::credential::CredentialSources;
use self::entropy::Entropy;
use self::identity::{Claimant, Identity};
pub use self::inspection::Inspected;
use self::policy::{Anonymous, Policy};
use self::reason::{Granted, Outage};
pub use self::revocation::{Ended, RevokeError, Revoked};
use self::session::Sessions;
use self::subrequest::Subrequest;
use self::user::{ActiveUser, Freshness, NotAdmitted, Users};
use self::verdict::{Grant, Rejection};
use self::verify::{ApiAuthenticator, Verifier};
use self::visit::Visit;
use crate::django::CookieAttributes;

/// Whether what the gate stands on is there.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// An error tells what is missing.
    async fn ready(&self) -> Result<(), Outage>;
}

/// Decides about requests.
pub struct Gate {
    /// Where credentials are looked for.
    pub sources: CredentialSources,
    /// How the token's cookie is deleted; `None`: cookies are not looked at.
    pub token_cookie: Option<CookieAttributes>,
    /// What is asked of every request.
    pub policy: Policy,
    /// The methods.
    pub verifier: Verifier,
    /// Label Studio's own API credentials.
    pub api: ApiAuthenticator,
    /// Label Studio's users.
    pub users: Users,
    /// Their sessions.
    pub sessions: Sessions,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl Gate {
    /// Whether the request may go on, and with which cookies.
    ///
    /// A request without a credential is none of the gate's business, unless somebody must be signed in. Nor is one whose credential isn't
    /// acceptable, except that a token is taken from it: it is answered as it would have been without. Only a valid credential can be
    /// refused, for what its user is. The first credential that is acceptable decides.
    pub async fn decide(&self, subrequest: &Subrequest<'_>) -> Result<Grant, Rejection> {
        if let Some(exempt) = self.policy.exempts(subrequest) {
            return Ok(Grant::untouched(exempt));
        }
        if self.is_api_call(subrequest).await? {
            return Ok(Grant::untouched(Granted::ApiCredential));
        }
        let visit = Visit::begin(self, subrequest).await?;
        visit.refuse_cross_site()?;
        let verdict = visit.log_in_with(visit.credentials()).await;
        visit.note_sign_out(verdict.is_ok()).await?;
        verdict
    }

    /// Whether the request is one of Label Studio's API with a credential of that API, which Label Studio prefers to a session.
    ///
    /// Where everybody must be signed in, that has to be proven here: whoever sends a made-up credential to a page that asks for none, as
    /// the sign-up, would come in otherwise.
    async fn is_api_call(&self, subrequest: &Subrequest<'_>) -> Result<bool, Outage> {
        let Some(credential) = subrequest.api_credential() else {
            return Ok(false);
        };
        if self.policy.anonymous == Anonymous::Pass {
            return Ok(true);
        }
        let Some(id) = self.api.api_user(credential, self.clock.now()).await? else {
            return Ok(false);
        };
        let claimant = Claimant::of(Identity::Id(id));
        match ActiveUser::resolve(&self.users, &claimant, Freshness::Recent).await {
            Ok(_) => Ok(true),
            Err(NotAdmitted::Refused(_)) => Ok(false),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }
}
