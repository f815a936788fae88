//! Signing in and out by a page of the gate's own, where the check answers a proxy.

use super::Gate;
use super::credential::{self, Credential};
use super::reason::{Denied, Outage};
use super::subrequest::Subrequest;
use super::verdict::{Denial, Grant, Rejection};
use super::visit::Visit;

impl Gate {
    /// Logs in with `token` alone, for a request that brings it in another way than the proxy's check looks for.
    ///
    /// A form that another site posts is refused unless its origin is allowed: it could sign the visitor in as somebody else.
    pub async fn sign_in(
        &self,
        token: &str,
        subrequest: &Subrequest<'_>,
    ) -> Result<Grant, Rejection> {
        if !self.policy.may_post(subrequest) {
            let denial = Denial::new(Denied::CrossSiteRequest, None);
            return Err(Rejection::Denial(denial));
        }
        let visit = Visit::begin(self, subrequest).await?;
        visit
            .log_in_with(std::iter::once(Credential::Token(token.into())))
            .await
    }

    /// The token in the query of `uri`, and `uri` without it.
    pub fn token_in(&self, uri: &str) -> Option<(String, String)> {
        credential::cut_out(uri, &self.sources.parameter)
    }

    /// Ends the session that the request brought. The cookies to take from the browser; `None`: the visitor has to say so first, since another
    /// site may have sent the request.
    pub async fn sign_out(
        &self,
        subrequest: &Subrequest<'_>,
    ) -> Result<Option<Vec<String>>, Outage> {
        if !self.policy.may_sign_out(subrequest) {
            return Ok(None);
        }
        let visit = Visit::begin(self, subrequest).await?;
        visit.sign_out().await.map(Some)
    }

    /// Whether the request brought a session of somebody who is signed in.
    pub async fn has_living_session(&self, subrequest: &Subrequest<'_>) -> Result<bool, Outage> {
        let visit = Visit::begin(self, subrequest).await?;
        visit.is_signed_in().await
    }
}
