//! Requests in which a proxy in front asserts an identity.
//!
//! In: the visit. Out: a refusal if the identity isn't clear, or a [`Grant`] if the request's session
//! was opened for the same person.

use super::Visit;
use crate::gate::reason::{Denied, Granted, Outage};
use crate::gate::subrequest::Asserted;
use crate::gate::verdict::{Denial, Grant, Rejection};
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
            Some(Asserted::Token(_)) | None => Ok(()),
        }
    }

    /// Keeps the request's session if it was opened for the person whom the proxy's token names.
    ///
    /// The signature is not checked: a session that is there grants no more than it would without
    /// the token. It is checked as soon as the token names somebody else or decides something else.
    pub(super) async fn recognize(&self, token: &str) -> Result<Option<Grant>, Outage> {
        let evidence = self.gate.verifier.claimed_evidence(token);
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
}
