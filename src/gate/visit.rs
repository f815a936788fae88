//! One request on its way through the stages.
//!
//! In: a [`Subrequest`]. Out: a [`Grant`] or a [`Rejection`]. [`Visit::log_in`] runs the stages in
//! order; those after the verification are in [`admission`]. A [`Visit`] holds what they share: the
//! cookies, the current time and a digest of the peer's address.

mod admission;
mod asserted;
mod cookies;
mod session;
mod sign_out;

use std::sync::OnceLock;
use std::time::SystemTime;

use self::cookies::OwnCookies;
use super::Gate;
use super::credential::Credential;
use super::observer::{Observer, Steps};
use super::policy::Anonymous;
use super::reason::{CredentialError, Denied, Granted, Outage};
use super::subrequest::Subrequest;
use super::verdict::{Denial, Grant, Principal, Rejection, SignInRequired};
use super::verify::{Unverified, VerifiedClaims};

/// One request.
pub(super) struct Visit<'v> {
    gate: &'v Gate,
    subrequest: &'v Subrequest<'v>,
    observer: &'v dyn Observer,
    cookies: OwnCookies<'v>,
    peer_digest: OnceLock<[u8; 32]>,
    now: SystemTime,
}

/// Why a credential doesn't log a user in.
enum NoLogin {
    /// It proves nothing. The next credential may.
    Unverified(Unverified),
    /// It is valid, and its user may not sign in. Other credentials don't matter.
    Denied(Denied),
    /// The gate can't decide.
    Outage(Outage),
}

impl From<Unverified> for NoLogin {
    fn from(why: Unverified) -> Self {
        Self::Unverified(why)
    }
}

impl From<CredentialError> for NoLogin {
    fn from(why: CredentialError) -> Self {
        Self::Unverified(why.into())
    }
}

impl From<Outage> for NoLogin {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl<'v> Visit<'v> {
    /// Reads the request's cookies.
    pub(super) async fn begin(
        gate: &'v Gate,
        subrequest: &'v Subrequest<'v>,
        observer: &'v dyn Observer,
    ) -> Result<Self, Outage> {
        let now = gate.clock.now();
        let cookies = OwnCookies::of(subrequest, gate, now).await?;
        Ok(Self {
            gate,
            subrequest,
            observer,
            cookies,
            peer_digest: OnceLock::new(),
            now,
        })
    }

    /// Refuses a cross-site request that could change something with the user's credentials, or who the
    /// user is.
    pub(super) fn refuse_cross_site(&self) -> Result<(), Rejection> {
        // A proxy in front adds its header to every request, whoever made the browser send it.
        let is_asserted = self.subrequest.asserted().is_some();
        let ambient = self.cookies.has_any() || is_asserted;
        let policy = &self.gate.policy;
        let has_link = self.subrequest.query().is_some()
            && !policy.may_follow_link(self.subrequest)
            && Credential::in_query(self.subrequest, &self.gate.sources).is_some();
        match has_link || policy.refuses_cross_site(self.subrequest, ambient) {
            true => {
                let denial = Denial::of_request(Denied::CrossSiteRequest, self.token_deletion());
                Err(Rejection::Denial(denial))
            }
            false => Ok(()),
        }
    }

    /// Stage 2: the request's credentials, in the order in which they are tried.
    pub(super) fn credentials(&self) -> Vec<Credential<'v>> {
        let steps = Steps::new(self.observer, "request");
        Credential::note_sources(self.subrequest, &self.gate.sources, steps);
        let token = self.cookies.token.value;
        let applications = self.cookies.applications.iter().copied();
        Credential::find(self.subrequest, &self.gate.sources, token, applications).collect()
    }

    /// Logs in with the first acceptable credential; without one, the request proceeds
    /// unauthenticated.
    pub(super) async fn log_in_with(
        &self,
        credentials: Vec<Credential<'_>>,
    ) -> Result<Grant, Rejection> {
        match credentials.is_empty() {
            true => self.proceed(None).await,
            // On the heap: most requests have no credential, and don't pay for its size.
            false => Box::pin(self.try_in_turn(credentials)).await,
        }
    }

    async fn try_in_turn(&self, credentials: Vec<Credential<'_>>) -> Result<Grant, Rejection> {
        let mut first_failure = None;
        for credential in credentials {
            let mut principal = Principal::default();
            let outcome = self.log_in(&credential, &mut principal).await;
            match outcome {
                Ok(grant) => return Ok(grant),
                Err(NoLogin::Denied(Denied::UserPrivileged)) if credential.is_asserted() => {
                    return self.spare_staff(principal).await;
                }
                Err(NoLogin::Denied(reason)) => {
                    let denial = Denial::of_user(reason, principal, self.token_deletion());
                    return Err(Rejection::Denial(denial));
                }
                Err(NoLogin::Outage(outage)) => return Err(outage.into()),
                // It has precedence over those behind it, which may name somebody else.
                Err(NoLogin::Unverified(Unverified::Outage(outage))) => {
                    return self.proceed_despite(outage, &credential).await;
                }
                // The first credential has precedence, so report its reason.
                Err(NoLogin::Unverified(
                    Unverified::Unrecognized(why) | Unverified::Refused(why),
                )) => {
                    first_failure = first_failure.or(Some((why, principal)));
                }
            }
        }
        self.proceed(first_failure).await
    }

    /// Stages 3 to 7 for one credential: claims, claimant, user, session, verdict. `principal` is filled
    /// in as far as the stages get.
    async fn log_in(
        &self,
        credential: &Credential<'_>,
        principal: &mut Principal,
    ) -> Result<Grant, NoLogin> {
        if credential.is_asserted()
            && let Some(grant) = self.recognize(credential).await?
        {
            return Ok(grant);
        }
        let verifier = &self.gate.verifier;
        let claims = verifier.verify(credential, self.now, self.observer).await?;
        self.admit(&claims, principal).await
    }

    /// Stages 4 to 7 for claims that were verified elsewhere: on the way back from an OpenID
    /// provider.
    pub(super) async fn log_in_as(&self, claims: &VerifiedClaims) -> Result<Grant, Rejection> {
        let mut principal = Principal::default();
        let rejection = match self.admit(claims, &mut principal).await {
            Ok(grant) => return Ok(grant),
            Err(NoLogin::Denied(reason)) => {
                Rejection::Denial(Denial::of_user(reason, principal, self.token_deletion()))
            }
            Err(NoLogin::Unverified(Unverified::Unrecognized(why) | Unverified::Refused(why))) => {
                self.require_sign_in(Some((why, principal)))
            }
            Err(NoLogin::Unverified(Unverified::Outage(outage)) | NoLogin::Outage(outage)) => {
                outage.into()
            }
        };
        Err(rejection)
    }

    /// The verdict when no credential is acceptable: the request passes without it if the policy
    /// allows unauthenticated requests or the session is valid.
    async fn proceed(
        &self,
        refused: Option<(CredentialError, Principal)>,
    ) -> Result<Grant, Rejection> {
        let user = match self.gate.policy.anonymous {
            Anonymous::Pass if refused.is_none() && !self.cookies.ambiguous => {
                return Ok(Grant::untouched(Granted::NoToken));
            }
            Anonymous::Pass => None,
            Anonymous::Require => match self.signed_in_user().await? {
                None => return Err(self.require_sign_in(refused)),
                user => user,
            },
        };
        let cookies = self.cookies_without_token();
        Ok(match (refused, user) {
            (Some((why, principal)), user) => {
                Grant::without_login(why, principal, cookies).of(user)
            }
            (None, Some(user)) => Grant::recognized(Granted::SessionValid, user, cookies),
            (None, None) => Grant::without_login(Granted::NoToken, Principal::default(), cookies),
        })
    }

    fn require_sign_in(&self, refused: Option<(CredentialError, Principal)>) -> Rejection {
        let (why, principal) = refused.unzip();
        let deletion = self.token_deletion();
        let required = SignInRequired::new(why, principal.unwrap_or_default(), deletion);
        Rejection::SignInRequired(required)
    }

    /// The verdict when this credential can't be verified because of an outage.
    ///
    /// While the host application's API is down, a user who is signed in to Label Studio stays
    /// signed in: the API was up when that session was opened.
    async fn proceed_despite(
        &self,
        outage: Outage,
        credential: &Credential<'_>,
    ) -> Result<Grant, Rejection> {
        if matches!(credential, Credential::ApplicationSession(_))
            && let Some(user) = self.signed_in_user().await?
        {
            let cookies = self.cookies_without_token();
            let kept = Granted::SessionKeptUnasked;
            return Ok(Grant::recognized(kept, user, cookies));
        }
        Err(outage.into())
    }
}
