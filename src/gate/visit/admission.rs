//! Stages 4 to 7: from verified claims to a session.
//!
//! In: [`VerifiedClaims`]. Out: a [`Grant`], or why the claims log nobody in. Afterwards, the user
//! that the claims name is active and a member, and has a session in Label Studio.

use sha2::{Digest, Sha256};

use super::{NoLogin, Visit};
use crate::gate::identity::{Claimant, NoClaimant};
use crate::gate::reason::{CredentialError, Granted, Outage};
use crate::gate::session::{Opened, Sender};
use crate::gate::user::{ActiveUser, Freshness, NotAdmitted};
use crate::gate::verdict::{Grant, Whom};
use crate::gate::verify::VerifiedClaims;
use crate::gate::witness::{Cut, Steps};

impl Visit<'_> {
    /// Stages 4 to 7: claimant, user, session, verdict.
    pub(super) async fn admit(
        &self,
        claims: &VerifiedClaims,
        whom: &mut Whom,
    ) -> Result<Grant, NoLogin> {
        whom.method = Some(claims.method());
        let claimant = match Claimant::from_claims(claims) {
            Ok(claimant) => claimant,
            Err(NoClaimant::Unverified(why)) => return Err(why.into()),
            Err(NoClaimant::Refused { reason, identity }) => {
                whom.identity = Some(identity.to_string());
                return Err(NoLogin::Denied(reason));
            }
        };
        for freshness in self.freshness(claims) {
            let user = self.find_user(&claimant, claims, freshness, whom).await?;
            let session = self.open_session(&user, claims, freshness).await?;
            if let Some(grant) = self.grant(session, &user, claims)? {
                return Ok(grant);
            }
            // The user's row changed since it was read. Re-read it and try again.
        }
        // The current row changed twice between read and write, so a writer is still at work.
        Err(Outage::DatabaseUnavailable.into())
    }

    /// How old the user's row may be, for each attempt. A cached row may have changed before this
    /// request, so an attempt with it is none of the two that a change meanwhile may cost.
    ///
    /// The statement that records a login compares the row with what is stored, so a cached row is
    /// safe there. A token that comes with a session may keep that session without any statement,
    /// so the row must be current. The host application's session comes with every request, so its
    /// user is read only once every few seconds.
    fn freshness(&self, claims: &VerifiedClaims) -> [Freshness; 3] {
        let first = match self.cookies.label_studio {
            Some(_) if claims.expires().is_some() => Freshness::Current,
            _ => Freshness::Recent,
        };
        [first, Freshness::Current, Freshness::Current]
    }

    /// Stage 5: the user, if they may sign in with these claims.
    async fn find_user(
        &self,
        claimant: &Claimant,
        claims: &VerifiedClaims,
        freshness: Freshness,
        whom: &mut Whom,
    ) -> Result<ActiveUser, NoLogin> {
        let (users, steps) = (&self.gate.users, Steps::new(self.witness, "user"));
        let user = match ActiveUser::resolve(users, claimant, freshness, self.witness).await {
            Ok(user) => user,
            Err(NotAdmitted::Refused { reason, user_id }) => {
                let identity = claimant.identity.to_string();
                let code = reason.code();
                steps.note(format_args!("the claims name {}: {code}", Cut(&identity)));
                whom.identity = Some(identity).filter(|_| user_id.is_none());
                whom.user_id = user_id;
                return Err(NoLogin::Denied(reason));
            }
            Err(NotAdmitted::Outage(outage)) => return Err(outage.into()),
        };
        whom.user_id = Some(user.id());
        steps.note(format_args!("the claims name user {}", user.id()));
        if user.has_revoked(claims) {
            return Err(CredentialError::TokenRevoked.into());
        }
        Ok(user)
    }

    /// Stage 6: the user's session.
    async fn open_session(
        &self,
        user: &ActiveUser,
        claims: &VerifiedClaims,
        freshness: Freshness,
    ) -> Result<Opened, Outage> {
        let sender = Sender {
            peer: self.peer_digest(),
            now: self.now,
            freshness,
        };
        let presented = self.cookies.label_studio;
        let sessions = &self.gate.sessions;
        sessions.open_for(user, presented, claims, sender).await
    }

    /// A digest that identifies the peer, the same for the whole visit. An unknown address gets a
    /// random one that matches no other. Computed on first use, because most requests open no
    /// session.
    fn peer_digest(&self) -> &[u8; 32] {
        self.peer_digest
            .get_or_init(|| match self.subrequest.provenance().named_address() {
                Some(address) => Sha256::digest(address.as_bytes()).into(),
                None => Sha256::digest(self.gate.entropy.sixteen()).into(),
            })
    }

    /// Stage 7: the verdict. `None` if the user's row changed since it was read.
    fn grant(
        &self,
        session: Opened,
        user: &ActiveUser,
        claims: &VerifiedClaims,
    ) -> Result<Option<Grant>, CredentialError> {
        let (reason, cookies) = match session {
            Opened::UserChanged => return Ok(None),
            Opened::TokenUsed => return Err(CredentialError::TokenUsed),
            Opened::Kept => (Granted::SessionKept, self.cookies_without_token()),
            Opened::New {
                value,
                set_cookie,
                reason,
            } => (reason, self.cookies_with_session(&value, set_cookie)),
        };
        let method = claims.method();
        Ok(Some(Grant::logged_in(reason, user, method, cookies)))
    }
}
