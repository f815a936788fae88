//! Stages 4 to 7: from verified claims to a session.
//!
//! In: [`VerifiedClaims`]. Out: a [`Grant`], or why the login failed. Afterwards, the user
//! that the claims name is active and a member, and has a session in Label Studio.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::{NoLogin, Visit};
use crate::gate::identity::{Claimant, Unnamed};
use crate::gate::observer::{Cut, Steps};
use crate::gate::reason::{CredentialError, Denied, Granted, Outage};
use crate::gate::session::SessionAction;
use crate::gate::user::{ActiveUser, Freshness, NotAdmitted};
use crate::gate::verdict::{Grant, Principal};
use crate::gate::verify::VerifiedClaims;

/// A login with these claims.
struct Login<'c> {
    claims: &'c VerifiedClaims,
    claimant: Claimant,
    /// Whether the token may be used, asked at most once.
    is_usable: OnceLock<bool>,
}

impl Visit<'_> {
    /// Stages 4 to 7: claimant, user, session, verdict.
    pub(super) async fn admit(
        &self,
        claims: &VerifiedClaims,
        principal: &mut Principal,
    ) -> Result<Grant, NoLogin> {
        principal.method = Some(claims.method());
        let claimant = match Claimant::from_claims(claims) {
            Ok(claimant) => claimant,
            Err(nobody) => {
                nobody.note(Steps::new(self.observer, "user"));
                principal.claim = Some(nobody.claim);
                return Err(match nobody.why {
                    Unnamed::Unverified(why) => why.into(),
                    Unnamed::Refused { reason, identity } => {
                        principal.identity = Some(identity.to_string());
                        NoLogin::Denied(reason)
                    }
                });
            }
        };
        let login = Login {
            claims,
            claimant,
            is_usable: OnceLock::new(),
        };
        for freshness in self.freshness(claims) {
            if let Some(grant) = self.log_in_once(&login, freshness, principal).await? {
                return Ok(grant);
            }
            // The user's row changed since it was read. Re-read it and try again.
        }
        // The current row changed twice between read and write, so a writer is still at work.
        Err(Outage::DatabaseUnavailable.into())
    }

    /// How old the user's row may be on each attempt. The attempt with a cached row is an extra one,
    /// because that row may have been outdated already; two attempts with a current row follow.
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

    /// Stages 5 to 7 with a row as fresh as `freshness` asks for. `None` if the row changed since it was
    /// read.
    ///
    /// Claims that are refused change nothing: a token that has been revoked or used must not make
    /// anybody staff.
    async fn log_in_once(
        &self,
        login: &Login<'_>,
        freshness: Freshness,
        principal: &mut Principal,
    ) -> Result<Option<Grant>, NoLogin> {
        let user = self.find_user(login, freshness, principal).await?;
        let (sessions, presented) = (&self.gate.sessions, self.cookies.label_studio);
        let next = sessions.examine(&user, presented, login.claims, freshness, self.now);
        let (replaces, reason) = match next.await? {
            SessionAction::Keep => {
                let user = match user.is_outdated(&login.claimant) && self.is_usable(login).await? {
                    true => self.update(user, login, principal).await?,
                    false => Some(user),
                };
                return Ok(user.map(|user| self.keep(&user, login)));
            }
            SessionAction::Open { replaces, reason } => (replaces, reason),
        };
        self.use_token(login).await?;
        let Some(user) = self.update(user, login, principal).await? else {
            return Ok(None);
        };
        let opened = sessions.open(&user, replaces, login.claims, self.now);
        Ok(opened.await?.map(|opened| {
            let cookies = self.cookies_with_session(&opened.value, opened.set_cookie);
            Grant::logged_in(reason, &user, login.claims.method(), cookies)
        }))
    }

    /// Stage 5: the user, if they may sign in with these claims.
    async fn find_user(
        &self,
        login: &Login<'_>,
        freshness: Freshness,
        principal: &mut Principal,
    ) -> Result<ActiveUser, NoLogin> {
        let (users, claimant) = (&self.gate.users, &login.claimant);
        let found = match ActiveUser::find(users, claimant, freshness).await {
            Err(NotAdmitted::Refused {
                reason: Denied::UserUnknown,
                ..
            }) if claimant.creatable().is_some() => {
                self.use_token(login).await?;
                Box::pin(ActiveUser::create(users, claimant, self.observer)).await
            }
            found => found,
        };
        let user = found.map_err(|why| self.not_admitted(why, login, principal))?;
        principal.user_id = Some(user.id());
        let steps = Steps::new(self.observer, "user");
        steps.note(format_args!("the claims name user {}", user.id()));
        match user.has_revoked(login.claims) {
            true => Err(CredentialError::TokenRevoked.into()),
            false => Ok(user),
        }
    }

    /// The user as the claims say. `None` if the row changed since it was read.
    async fn update(
        &self,
        user: ActiveUser,
        login: &Login<'_>,
        principal: &mut Principal,
    ) -> Result<Option<ActiveUser>, NoLogin> {
        if !user.is_outdated(&login.claimant) {
            return Ok(Some(user));
        }
        let users = &self.gate.users;
        let updated = Box::pin(user.updated(users, &login.claimant, self.observer)).await;
        updated.map_err(|why| self.not_admitted(why, login, principal))
    }

    fn not_admitted(
        &self,
        why: NotAdmitted,
        login: &Login<'_>,
        principal: &mut Principal,
    ) -> NoLogin {
        match why {
            NotAdmitted::Refused { reason, user_id } => {
                let identity = login.claimant.identity.to_string();
                let (code, steps) = (reason.code(), Steps::new(self.observer, "user"));
                steps.note(format_args!("the claims name {}: {code}", Cut(&identity)));
                principal.identity = Some(identity).filter(|_| user_id.is_none());
                principal.user_id = user_id;
                NoLogin::Denied(reason)
            }
            NotAdmitted::Outage(outage) => outage.into(),
        }
    }

    /// Uses a single-use token, which must not have been used.
    async fn use_token(&self, login: &Login<'_>) -> Result<(), NoLogin> {
        match self.is_usable(login).await? {
            true => Ok(()),
            false => Err(CredentialError::TokenUsed.into()),
        }
    }

    /// Whether the token is reusable or is used for the first time, now.
    async fn is_usable(&self, login: &Login<'_>) -> Result<bool, Outage> {
        if let Some(known) = login.is_usable.get() {
            return Ok(*known);
        }
        let (sessions, peer) = (&self.gate.sessions, self.peer_digest());
        let is_usable = sessions.use_token(login.claims, peer, self.now).await?;
        Ok(*login.is_usable.get_or_init(|| is_usable))
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

    /// Stage 7 for a session that stays.
    fn keep(&self, user: &ActiveUser, login: &Login<'_>) -> Grant {
        let (kept, method) = (Granted::SessionKept, login.claims.method());
        Grant::logged_in(kept, user, method, self.cookies_without_token())
    }
}
