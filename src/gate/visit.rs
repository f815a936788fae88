//! One request on its way through the stages.
//!
//! In: a [`Subrequest`]. Out: a [`Grant`] or a [`Rejection`]. [`Visit::log_in`] runs the stages in
//! order. A [`Visit`] holds what they share: the session cookies, the current time and a digest of
//! the peer's address.

mod asserted;
mod cookies;

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use self::cookies::SessionCookies;
use super::Gate;
use super::credential::Credential;
use super::identity::{Claimant, Identity, NoClaimant};
use super::policy::Anonymous;
use super::reason::{CredentialError, Denied, Granted, Outage};
use super::session::{Opened, Sender, Session};
use super::sign_in::{AtProvider, SignedOut};
use super::subrequest::Subrequest;
use super::user::{ActiveUser, Freshness, NotAdmitted};
use super::verdict::{Denial, Grant, Rejection, SignInRequired, Whom};
use super::verify::{Unverified, VerifiedClaims};
use super::witness::{Change, Cut, Steps, Witness};
use crate::django::{SessionData, SessionEntries as _};

/// One request.
pub(super) struct Visit<'v> {
    gate: &'v Gate,
    subrequest: &'v Subrequest<'v>,
    witness: &'v dyn Witness,
    cookies: SessionCookies<'v>,
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
    /// Reads the request's session cookies.
    pub(super) async fn begin(
        gate: &'v Gate,
        subrequest: &'v Subrequest<'v>,
        witness: &'v dyn Witness,
    ) -> Result<Self, Outage> {
        let now = gate.clock.now();
        let cookies = SessionCookies::of(subrequest, gate, now).await?;
        Ok(Self {
            gate,
            subrequest,
            witness,
            cookies,
            peer_digest: OnceLock::new(),
            now,
        })
    }

    /// Refuses a cross-site request that could change something with the user's credentials.
    pub(super) fn refuse_cross_site(&self) -> Result<(), Rejection> {
        let token_cookie = self.gate.sources.cookie.as_deref();
        let has_token_cookie =
            token_cookie.is_some_and(|name| self.subrequest.cookies().contains(name));
        // A proxy in front adds its header to every request, whoever made the browser send it.
        let is_asserted = self.subrequest.asserted().is_some();
        let ambient = self.cookies.has_session() || has_token_cookie || is_asserted;
        let policy = &self.gate.policy;
        match policy.refuses_cross_site(self.subrequest, ambient) {
            true => {
                let denial = Denial::of_request(Denied::CrossSiteRequest, self.token_deletion());
                Err(Rejection::Denial(denial))
            }
            false => Ok(()),
        }
    }

    /// Stage 2: the request's credentials, in the order in which they are tried.
    pub(super) fn credentials(&self) -> impl Iterator<Item = Credential<'v>> + use<'v> {
        let steps = Steps::new(self.witness, "request");
        Credential::note_sources(self.subrequest, &self.gate.sources, steps);
        Credential::find(
            self.subrequest,
            &self.gate.sources,
            self.cookies.application,
        )
    }

    /// Tries the credentials in turn. The first acceptable one decides; without one, the request
    /// proceeds unauthenticated.
    pub(super) async fn log_in_with(
        &self,
        credentials: impl Iterator<Item = Credential<'_>>,
    ) -> Result<Grant, Rejection> {
        let mut first_failure = None;
        for credential in credentials {
            let mut whom = Whom::default();
            let outcome = self.log_in(&credential, &mut whom).await;
            match self.spare_staff(&credential, &whom, outcome).await {
                Ok(grant) => return Ok(grant),
                Err(NoLogin::Denied(reason)) => {
                    let denial = Denial::of_user(reason, whom, self.token_deletion());
                    return Err(Rejection::Denial(denial));
                }
                Err(NoLogin::Outage(outage)) => return Err(outage.into()),
                // The first credential has precedence, so report its reason.
                Err(NoLogin::Unverified(why)) => {
                    first_failure = first_failure.or(Some((why, whom)));
                }
            }
        }
        match first_failure {
            None => self.proceed(None).await,
            Some((Unverified::Unrecognized(why) | Unverified::Refused(why), whom)) => {
                self.proceed(Some((why, whom))).await
            }
            Some((Unverified::Outage(outage), _)) => self.proceed_despite(outage).await,
        }
    }

    /// Stages 3 to 7 for one credential: claims, claimant, user, session, verdict. `whom` is filled
    /// in as far as the stages get.
    async fn log_in(&self, credential: &Credential<'_>, whom: &mut Whom) -> Result<Grant, NoLogin> {
        if credential.is_asserted()
            && let Some(grant) = self.recognize(credential).await?
        {
            return Ok(grant);
        }
        let verifier = &self.gate.verifier;
        let claims = verifier.verify(credential, self.now, self.witness).await?;
        self.admit(&claims, whom).await
    }

    /// Stages 4 to 7 for claims that were verified elsewhere: on the way back from an OpenID
    /// provider.
    pub(super) async fn log_in_as(&self, claims: &VerifiedClaims) -> Result<Grant, Rejection> {
        let mut whom = Whom::default();
        let deletion = self.token_deletion();
        let rejection = match self.admit(claims, &mut whom).await {
            Ok(grant) => return Ok(grant),
            Err(NoLogin::Denied(reason)) => {
                Rejection::Denial(Denial::of_user(reason, whom, deletion))
            }
            Err(NoLogin::Unverified(Unverified::Unrecognized(why) | Unverified::Refused(why))) => {
                Rejection::SignInRequired(SignInRequired::new(Some(why), whom, deletion))
            }
            Err(NoLogin::Unverified(Unverified::Outage(outage)) | NoLogin::Outage(outage)) => {
                outage.into()
            }
        };
        Err(rejection)
    }

    /// Stages 4 to 7: claimant, user, session, verdict.
    async fn admit(&self, claims: &VerifiedClaims, whom: &mut Whom) -> Result<Grant, NoLogin> {
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
        // The row changed twice between read and write, so a writer is still at work.
        Err(Outage::DatabaseUnavailable.into())
    }

    /// How old the user's row may be, for the first and for the second attempt.
    ///
    /// The statement that records a login compares the row with what is stored, so a cached row is
    /// safe there. A token that comes with a session may keep that session without any statement,
    /// so the row must be current. The host application's session comes with every request, so its
    /// user is read only once every few seconds.
    fn freshness(&self, claims: &VerifiedClaims) -> [Freshness; 2] {
        let first = match self.cookies.label_studio {
            Some(_) if claims.expires().is_some() => Freshness::Current,
            _ => Freshness::Recent,
        };
        [first, Freshness::Current]
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

    /// The verdict when no credential is acceptable: the request passes without it if the policy
    /// allows unauthenticated requests or the session is valid.
    async fn proceed(&self, refused: Option<(CredentialError, Whom)>) -> Result<Grant, Rejection> {
        let (granted, session) = match self.gate.policy.anonymous {
            Anonymous::Pass if refused.is_none() && !self.cookies.ambiguous => {
                return Ok(Grant::untouched(Granted::NoToken));
            }
            Anonymous::Pass => (Granted::NoToken, Whom::default()),
            Anonymous::Require => match self.signed_in_user().await? {
                Some(id) => (Granted::SessionValid, Whom::user(id)),
                None => return Err(self.require_sign_in(refused)),
            },
        };
        let cookies = self.cookies_without_token();
        Ok(match refused {
            None => Grant::without_login(granted, session, cookies),
            Some((why, whom)) => Grant::without_login(why, whom, cookies),
        })
    }

    fn require_sign_in(&self, refused: Option<(CredentialError, Whom)>) -> Rejection {
        let (why, whom) = refused.unzip();
        let deletion = self.token_deletion();
        let required = SignInRequired::new(why, whom.unwrap_or_default(), deletion);
        Rejection::SignInRequired(required)
    }

    /// The verdict when a credential can't be verified because of an outage.
    ///
    /// While the host application's API is down, a user who is signed in to Label Studio stays
    /// signed in: the API was up when that session was opened.
    async fn proceed_despite(&self, outage: Outage) -> Result<Grant, Rejection> {
        let session_suffices = match outage {
            Outage::ApplicationApiUnavailable | Outage::Overloaded => true,
            Outage::DatabaseUnavailable
            | Outage::KeyServerUnavailable
            | Outage::ProviderUnavailable
            | Outage::ProviderRefusesClient => false,
        };
        if session_suffices && let Some(id) = self.signed_in_user().await? {
            let (kept, whom) = (Granted::SessionKeptUnasked, Whom::user(id));
            return Ok(Grant::without_login(
                kept,
                whom,
                self.cookies_without_token(),
            ));
        }
        Err(outage.into())
    }

    /// The user whom Label Studio would recognize by the request's session cookie.
    pub(super) async fn signed_in_user(&self) -> Result<Option<i32>, Outage> {
        let found = self.living_session().await?;
        Ok(found.map(|(_, user)| user.id()))
    }

    /// The request's session and its user, if Label Studio would accept it.
    async fn living_session(&self) -> Result<Option<(Arc<Session>, ActiveUser)>, Outage> {
        let (sessions, now) = (&self.gate.sessions, self.now);
        let steps = Steps::new(self.witness, "session");
        let Some(value) = self.cookies.label_studio else {
            steps.note(format_args!("no cookie {}", sessions.cookie_name()));
            return Ok(None);
        };
        let session = sessions.read(value, now, Freshness::Recent).await?;
        let owned = session.and_then(|session| session.user_id().map(|id| (session, id)));
        let Some((session, id)) = owned else {
            steps.note(format_args!(
                "of nobody, or of another Label Studio, or ended"
            ));
            return Ok(None);
        };
        let claimant = Claimant::of(Identity::Id(id));
        let users = &self.gate.users;
        let alive =
            match ActiveUser::resolve(users, &claimant, Freshness::Recent, self.witness).await {
                Ok(user) => Some(user).filter(|user| sessions.is_alive_for(&session, user, now)),
                Err(NotAdmitted::Refused { .. }) => None,
                Err(NotAdmitted::Outage(outage)) => return Err(outage),
            };
        let state = match alive {
            Some(_) => "valid",
            None => "no longer valid",
        };
        steps.note(format_args!("of user {id}, {state}"));
        Ok(alive.map(|user| (session, user)))
    }

    /// Records the end of the session if the request is Label Studio's own "Log out".
    ///
    /// If the request reaches Label Studio, Label Studio deletes its session row itself.
    pub(super) async fn record_logout(&self, reaches_label_studio: bool) -> Result<(), Outage> {
        let sessions = &self.gate.sessions;
        match self.cookies.label_studio {
            Some(session) if self.gate.policy.is_label_studio_logout(self.subrequest) => {
                // Whose session it was is for the audit trail only, so an outage doesn't matter.
                if let Ok(user) = self.owner_of_session().await {
                    self.note_sign_out(user);
                }
                match reaches_label_studio {
                    true => sessions.end_by_label_studio(session, self.now).await,
                    false => sessions.end(session, self.now).await,
                }
            }
            _ => Ok(()),
        }
    }

    /// Ends the request's session.
    pub(super) async fn sign_out(&self) -> Result<SignedOut, Outage> {
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
        let application = &self.gate.verifier.application_session;
        if let (Some(session), Some(method)) = (self.cookies.application, application) {
            method.forget(session).await;
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
            at.user = match ActiveUser::resolve(users, &claimant, fresh, self.witness).await {
                Ok(user) => Some(user.email().to_owned()),
                Err(NotAdmitted::Refused { .. }) => None,
                Err(NotAdmitted::Outage(outage)) => return Err(outage),
            };
        }
        Ok(Some(at))
    }

    /// A digest that identifies the peer, the same for the whole visit. An unknown address gets a
    /// random one that matches no other. Computed on first use, because most requests open no
    /// session.
    fn peer_digest(&self) -> &[u8; 32] {
        self.peer_digest
            .get_or_init(|| match self.subrequest.peer() {
                Some(address) => Sha256::digest(address.as_bytes()).into(),
                None => Sha256::digest(self.gate.entropy.sixteen()).into(),
            })
    }

    /// Whose session the request carries.
    async fn owner_of_session(&self) -> Result<Option<i32>, Outage> {
        let session = self.session_of_request().await?;
        Ok(session.and_then(|session| session.user_id()))
    }

    async fn session_of_request(&self) -> Result<Option<Arc<Session>>, Outage> {
        let Some(value) = self.cookies.label_studio else {
            return Ok(None);
        };
        let sessions = &self.gate.sessions;
        sessions.read(value, self.now, Freshness::Recent).await
    }

    fn note_sign_out(&self, owner: Option<i32>) {
        if let Some(user_id) = owner {
            self.witness.changed(Change::SignedOut { user_id });
        }
    }
}
