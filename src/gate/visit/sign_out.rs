//! The end of a request's session.
//!
//! In: the visit. Out: the cookies to delete, and the provider at which the user may still be signed
//! in. Afterwards, no gate accepts the session.

use super::Visit;
use crate::django::{SessionData, SessionEntries as _};
use crate::gate::identity::{Claimant, Identity};
use crate::gate::observer::Change;
use crate::gate::reason::Outage;
use crate::gate::sign_in::{AtProvider, SignedOut};
use crate::gate::user::{ActiveUser, Freshness, NotAdmitted};

impl Visit<'_> {
    /// Ends the session if the request is Label Studio's own "Log out". Label Studio deletes its row
    /// too, if the request reaches it, but a gate may have that row in its cache.
    pub(in crate::gate) async fn end_at_logout(&self) -> Result<(), Outage> {
        let sessions = &self.gate.sessions;
        match self.cookies.label_studio {
            Some(session) if self.gate.policy.is_label_studio_logout(self.subrequest) => {
                // Whose session it was is for the audit trail only, so an outage doesn't matter.
                if let Ok(user) = self.owner_of_session().await {
                    self.note_sign_out(user);
                }
                sessions.end(session, self.now).await
            }
            _ => Ok(()),
        }
    }

    /// Ends the request's session.
    pub(in crate::gate) async fn sign_out(&self) -> Result<SignedOut, Outage> {
        let mut provider = None;
        if let Some(session) = self.cookies.label_studio {
            let data = self.gate.sessions.read_whole(session, self.now).await?;
            let owner = data.as_ref().and_then(SessionData::user_id);
            provider = match &data {
                Some(data) => self.provider_of(data).await?,
                None => None,
            };
            self.gate.sessions.end(session, self.now).await?;
            self.note_sign_out(owner);
        }
        // A user who also signed out of the host application must not return by a cached answer.
        if let Some(method) = &self.gate.verifier.application_session {
            for session in &self.cookies.applications {
                method.forget(session).await;
            }
        }
        let session = self.gate.sessions.deletion();
        let cookies = std::iter::once(session).chain(self.token_deletion());
        Ok(SignedOut {
            cookies: cookies.collect(),
            provider,
        })
    }

    /// The provider at which the session's user signed in. Without an ID token, it needs to be told
    /// who signs out.
    async fn provider_of(&self, session: &SessionData) -> Result<Option<AtProvider>, Outage> {
        let Some((name, id_token)) = self.gate.sessions.provider_of(session) else {
            return Ok(None);
        };
        let mut at = AtProvider {
            name: name.to_owned(),
            id_token: id_token.map(str::to_owned),
            user: None,
        };
        if let (None, Some(id)) = (&at.id_token, session.user_id()) {
            let claimant = Claimant::of(Identity::Id(id));
            let (users, fresh) = (&self.gate.users, Freshness::Recent);
            at.user = match ActiveUser::find(users, &claimant, fresh).await {
                Ok(user) => Some(user.email().to_owned()),
                Err(NotAdmitted::Refused { .. }) => None,
                Err(NotAdmitted::Outage(outage)) => return Err(outage),
            };
        }
        Ok(Some(at))
    }

    fn note_sign_out(&self, owner: Option<i32>) {
        if let Some(user_id) = owner {
            self.observer.changed(Change::SignedOut { user_id });
        }
    }
}
