//! Signing in and out on the gate's own routes, rather than in an auth subrequest.
//!
//! In: a request to one of these routes, and for a sign-in the token. Out: the same verdict as for
//! an auth subrequest, or the cookies to delete. Afterwards, no other site has signed the visitor
//! in by a form, or out.

use super::Gate;
use super::credential::{self, Credential};
use super::observer::Observer;
use super::openid::Logout;
use super::reason::{Denied, Outage};
use super::session::EndedSessions;
use super::subrequest::Subrequest;
use super::verdict::{Denial, Grant, Rejection};
use super::verify::VerifiedClaims;
use super::visit::Visit;

/// A session that its user has ended.
#[derive(Debug)]
pub struct SignedOut {
    /// `Set-Cookie` values that delete its cookies.
    pub cookies: Vec<String>,
    /// The OpenID provider at which its user may still be signed in.
    pub provider: Option<AtProvider>,
}

/// A user who may still be signed in at an OpenID provider.
pub struct AtProvider {
    /// Name of the provider in the settings.
    pub name: String,
    /// The ID token of the sign-in.
    pub id_token: Option<String>,
    /// The user's address, if there is no ID token.
    pub user: Option<String>,
}

/// Doesn't show the ID token.
impl std::fmt::Debug for AtProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtProvider")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// Logs in with `token` alone, for a request that carries it in a different place than an auth
    /// subrequest does.
    pub async fn sign_in(
        &self,
        token: &str,
        subrequest: &Subrequest<'_>,
        observer: &dyn Observer,
    ) -> Result<Grant, Rejection> {
        let visit = self.begin_sign_in(subrequest, observer).await?;
        visit
            .log_in_with(vec![Credential::Token(token.into())])
            .await
    }

    /// Logs in with claims that a sign-in at an OpenID provider has verified. The provider redirects here,
    /// which is a GET; a POST comes only from a frame of this origin.
    pub async fn sign_in_as(
        &self,
        claims: &VerifiedClaims,
        subrequest: &Subrequest<'_>,
        observer: &dyn Observer,
    ) -> Result<Grant, Rejection> {
        let visit = self.begin_sign_in(subrequest, observer).await?;
        visit.log_in_as(claims).await
    }

    /// A form posted by another site is refused unless its origin is allowed: it could sign the visitor
    /// in as another user.
    async fn begin_sign_in<'v>(
        &'v self,
        subrequest: &'v Subrequest<'v>,
        observer: &'v dyn Observer,
    ) -> Result<Visit<'v>, Rejection> {
        if !self.policy.may_sign_in(subrequest) {
            let denial = Denial::of_request(Denied::CrossSiteRequest, None);
            return Err(Rejection::Denial(denial));
        }
        Ok(Visit::begin(self, subrequest, observer).await?)
    }

    /// Ends the sessions that ended at an OpenID provider. Returns how many there were of each user.
    pub async fn end_at_provider(&self, logout: &Logout<'_>) -> Result<EndedSessions, Outage> {
        let (provider, ended) = (logout.provider, &logout.ended);
        self.sessions.end_at_provider(provider, ended).await
    }

    /// Returns the token in the query of `uri`, and `uri` without it.
    pub fn token_in(&self, uri: &str) -> Option<(String, String)> {
        credential::cut_out(uri, &self.sources.parameter)
    }

    /// Ends the request's session. `None` if the visitor has to confirm first because another site may
    /// have sent the request.
    pub async fn sign_out(
        &self,
        subrequest: &Subrequest<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<SignedOut>, Outage> {
        if !self.policy.may_sign_out(subrequest) {
            return Ok(None);
        }
        let visit = Visit::begin(self, subrequest, observer).await?;
        visit.sign_out().await.map(Some)
    }

    /// Whether the request carries the session of a signed-in user.
    pub async fn has_living_session(
        &self,
        subrequest: &Subrequest<'_>,
        observer: &dyn Observer,
    ) -> Result<bool, Outage> {
        let visit = Visit::begin(self, subrequest, observer).await?;
        Ok(visit.signed_in_user().await?.is_some())
    }
}
