//! Requests in which a proxy in front asserts an identity.
//!
//! In: the visit. Out: a refusal if the identity isn't clear, or a [`Grant`] if the request's session
//! was opened for the same person.

use super::Visit;
use crate::gate::credential::Credential;
use crate::gate::reason::{CredentialError, Denied, Granted, Outage};
use crate::gate::subrequest::Asserted;
use crate::gate::verdict::{Denial, Grant, Principal, Rejection};
use crate::gate::verify::Method;

impl Visit<'_> {
    /// Refuses a request in which a proxy in front asserts more than one identity: two readers
    /// could take different ones.
    pub(in crate::gate) fn refuse_ambiguous(&self) -> Result<(), Rejection> {
        match self.subrequest.asserted() {
            Some(Asserted::Ambiguous) => {
                let reason = Denied::IdentityAmbiguous;
                let denial = Denial::of_request(reason, self.token_deletion());
                Err(Rejection::Denial(denial))
            }
            Some(Asserted::Token(_) | Asserted::Unsigned(_)) | None => Ok(()),
        }
    }

    /// Keeps the request's session if it was opened for the person whom the proxy names.
    ///
    /// Neither a signature nor the secret is checked: a session that is there grants no more than it
    /// would without the header. They are checked as soon as the header names somebody else or
    /// decides something else.
    pub(super) async fn recognize(
        &self,
        credential: &Credential<'_>,
    ) -> Result<Option<Grant>, Outage> {
        let evidence = self.gate.verifier.claimed_evidence(credential);
        if evidence.is_empty() {
            return Ok(None);
        }
        let Some((session, user)) = self.living_session().await? else {
            return Ok(None);
        };
        let sessions = &self.gate.sessions;
        let is_same = evidence
            .iter()
            .any(|evidence| sessions.was_opened_with(&session, evidence, &user, self.now));
        Ok(is_same.then(|| {
            let cookies = self.cookies_without_token();
            Grant::logged_in(Granted::SessionKept, &user, Method::Proxy, cookies)
        }))
    }

    /// The verdict if a proxy names staff without being allowed to sign them in: as if the request
    /// carried no credential at all.
    ///
    /// The proxy names them in every request, so a refusal would keep administrators away from Label
    /// Studio's own form too. But nobody may act as anyone but the person whom the proxy names: if
    /// the session is somebody else's, the request is refused, and no other token is tried.
    pub(super) async fn spare_staff(&self, named: Principal) -> Result<Grant, Rejection> {
        match self.signed_in_user().await? {
            Some(user) if Some(user.id()) != named.user_id => {
                let (reason, deletion) = (Denied::UserPrivileged, self.token_deletion());
                Err(Rejection::Denial(Denial::of_user(reason, named, deletion)))
            }
            Some(_) | None => {
                let refused = (CredentialError::ProxyNotForStaff, named);
                self.proceed(Some(refused)).await
            }
        }
    }
}
