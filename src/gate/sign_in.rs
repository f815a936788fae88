//! Signing in and out on the gate's own routes, rather than in an auth subrequest.
//!
//! In: a request to one of these routes, and for a sign-in the token. Out: the same verdict as for
//! an auth subrequest, or the cookies to delete. Afterwards, no other site has signed the visitor
//! in by a form, or out.

use super::Gate;
use super::credential::{self, Credential};
use super::reason::{Denied, Outage};
use super::subrequest::Subrequest;
use super::verdict::{Denial, Grant, Rejection};
use super::visit::Visit;
use super::witness::Witness;

impl Gate {
    /// Logs in with `token` alone, for a request that carries it in a different place than an auth
    /// subrequest does.
    ///
    /// A form posted by another site is refused unless its origin is allowed: it could sign the
    /// visitor in as another user.
    pub async fn sign_in(
        &self,
        token: &str,
        subrequest: &Subrequest<'_>,
        witness: &dyn Witness,
    ) -> Result<Grant, Rejection> {
        if !self.policy.may_sign_in(subrequest) {
            let denial = Denial::of_request(Denied::CrossSiteRequest, None);
            return Err(Rejection::Denial(denial));
        }
        let visit = Visit::begin(self, subrequest, witness).await?;
        visit
            .log_in_with(std::iter::once(Credential::Token(token.into())))
            .await
    }

    /// Returns the token in the query of `uri`, and `uri` without it.
    pub fn token_in(&self, uri: &str) -> Option<(String, String)> {
        credential::cut_out(uri, &self.sources.parameter)
    }

    /// Ends the request's session. Returns the `Set-Cookie` values that delete its cookies, or
    /// `None` if the visitor has to confirm first because another site may have sent the request.
    pub async fn sign_out(
        &self,
        subrequest: &Subrequest<'_>,
        witness: &dyn Witness,
    ) -> Result<Option<Vec<String>>, Outage> {
        if !self.policy.may_sign_out(subrequest) {
            return Ok(None);
        }
        let visit = Visit::begin(self, subrequest, witness).await?;
        visit.sign_out().await.map(Some)
    }

    /// Whether the request carries the session of a signed-in user.
    pub async fn has_living_session(
        &self,
        subrequest: &Subrequest<'_>,
        witness: &dyn Witness,
    ) -> Result<bool, Outage> {
        let visit = Visit::begin(self, subrequest, witness).await?;
        Ok(visit.signed_in_user().await?.is_some())
    }
}
