//! The decision.
//!
//! A request passes through the stages in this order, one file each: [`subrequest`] →
//! [`credential`] → [`verify`] (claims) → [`identity`] → [`user`] → [`session`] → [`verdict`].
//! `Visit` runs them for one request. In: a [`Subrequest`]. Out: a [`Grant`] or a
//! [`Rejection`].
//!
//! This module knows nothing about HTTP servers, SQL or the wall clock. What a stage needs from
//! outside is a small trait next to it.

pub mod clock;
pub mod cookies;
pub mod credential;
pub mod entropy;
pub mod groups;
pub mod identity;
mod inspection;
pub mod issue;
pub mod jws;
pub mod observer;
pub mod openid;
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
use self::observer::{Observer, Steps};
use self::policy::{Anonymous, Policy};
use self::reason::{Denied, Granted, Outage};
pub use self::revocation::{Ended, RevokeError, Revoked};
use self::session::Sessions;
pub use self::sign_in::{AtProvider, SignedOut};
use self::subrequest::{ApiCredential, Subrequest};
use self::user::{ActiveUser, Freshness, NotAdmitted, Users};
use self::verdict::{Grant, Rejection};
use self::verify::{ApiAuthenticator, Verifier};
use self::visit::Visit;
use crate::django::CookieAttributes;

/// Whether the gate's dependencies are available.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Returns an error that names the missing dependency.
    async fn ready(&self) -> Result<(), Outage>;
}

/// Decides about requests.
pub struct Gate {
    /// Where requests carry credentials.
    pub sources: CredentialSources,
    /// Attributes of the token's cookie, to delete it; `None` if tokens don't come in cookies.
    pub token_cookie: Option<CookieAttributes>,
    /// The checks that apply to every request.
    pub policy: Policy,
    /// The sign-in methods.
    pub verifier: Verifier,
    /// Verifies Label Studio's own API credentials.
    pub api: ApiAuthenticator,
    /// Label Studio's users.
    pub users: Users,
    /// Label Studio's sessions.
    pub sessions: Sessions,
    /// The time source.
    pub clock: Arc<dyn Clock>,
    /// The source of random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl Gate {
    /// Decides whether the request may proceed, and with which cookies.
    ///
    /// A request without a credential passes, unless the policy requires a signed-in user. A
    /// request with an unacceptable credential is treated as if it had none, and its token is
    /// removed. The gate refuses requests with an ambiguous identity or from another site, requests
    /// whose valid credential names a user without access, and, where the policy requires sign-in,
    /// unauthenticated requests. The first acceptable credential decides, unless an earlier one can't be
    /// verified now.
    pub async fn decide(
        &self,
        subrequest: &Subrequest<'_>,
        observer: &dyn Observer,
    ) -> Result<Grant, Rejection> {
        if self.policy.refuses_renaming(subrequest) {
            return Err(Rejection::of_request(Denied::UsernameProtected));
        }
        if let Some(exempt) = self.policy.exempts(subrequest) {
            return Ok(Grant::untouched(exempt));
        }
        // On the heap: most requests have none, and don't pay for its size.
        if let Some(credential) = subrequest.api_credential()
            && let Some(grant) = Box::pin(self.api_call(subrequest, credential, observer)).await?
        {
            return Ok(grant);
        }
        let visit = Visit::begin(self, subrequest, observer).await?;
        visit.refuse_ambiguous()?;
        visit.refuse_cross_site()?;
        let verdict = visit.log_in_with(visit.credentials()).await;
        visit.end_at_logout().await?;
        verdict
    }

    /// The verdict about a request with a credential of Label Studio's API, which Label Studio
    /// prefers over a session; `None` if it is not valid.
    ///
    /// If the policy requires a signed-in user, the gate verifies that credential itself. Otherwise
    /// a made-up credential would give access to pages that don't check it, such as the sign-up
    /// page. It judges a session beside it as well: pages that are not part of the API read only
    /// that, and so does a Label Studio that doesn't know this kind of credential.
    async fn api_call(
        &self,
        subrequest: &Subrequest<'_>,
        credential: ApiCredential<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<Grant>, Rejection> {
        if self.policy.anonymous == Anonymous::Pass {
            return Ok(Some(Grant::untouched(Granted::ApiCredential)));
        }
        let Some(caller) = self.api_caller(credential, observer).await? else {
            return Ok(None);
        };
        let visit = Visit::begin(self, subrequest, observer).await?;
        visit.refuse_cross_site()?;
        let cookies = visit.cookies_of_api_call().await?;
        visit.end_at_logout().await?;
        let granted = Granted::ApiCredential;
        Ok(Some(Grant::recognized(granted, caller, cookies)))
    }

    /// The user of a credential of Label Studio's API, if it is valid.
    async fn api_caller(
        &self,
        credential: ApiCredential<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<ActiveUser>, Outage> {
        let steps = Steps::new(observer, "API credential");
        let Some(id) = self
            .api
            .api_user(credential, self.clock.now(), steps)
            .await?
        else {
            steps.note(format_args!("Label Studio would reject it"));
            return Ok(None);
        };
        let claimant = Claimant::of(Identity::Id(id));
        match ActiveUser::find(&self.users, &claimant, Freshness::Recent).await {
            Ok(user) => Ok(Some(user)),
            Err(NotAdmitted::Refused { .. }) => Ok(None),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }
}
