//! One request on its way through the stages.
//!
//! In: a [`Subrequest`]. Out: a [`Grant`] or a [`Rejection`]. A [`Visit`] owns what the stages hand on: whose cookies are whose, the
//! moment, and what tells the sender from others.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::Gate;
use super::credential::Credential;
use super::identity::{Claimant, Identity};
use super::policy::Anonymous;
use super::reason::{CredentialError, Denied, Granted, Outage};
use super::session::{Opened, Sender};
use super::subrequest::Subrequest;
use super::user::{ActiveUser, Freshness, NotAdmitted};
use super::verdict::{Cookies, Denial, Grant, Rejection, SignInRequired};
use super::verify::{Unverified, VerifiedClaims};
use crate::django::CookieAttributes;

/// A browser sends one cookie of a name for each path and domain. More is an attempt to make work.
const MOST_COOKIES: usize = 4;

/// One request.
pub(super) struct Visit<'v> {
    gate: &'v Gate,
    subrequest: &'v Subrequest<'v>,
    cookies: SessionCookies<'v>,
    peer: [u8; 32],
    now: SystemTime,
}

/// Whose the session cookies of a request are.
///
/// Label Studio's and the host application's may have one name, Django's `sessionid`: browsers keep cookies apart by domain and path and
/// send all of them, and nothing in the header tells whose is whose. Label Studio's own is the one that its store or its signature
/// knows; it is never shown to the application's API, nor the application's to Label Studio.
#[derive(Default)]
struct SessionCookies<'v> {
    label_studio: Option<&'v str>,
    application: Option<&'v str>,
    /// Another could be taken for Label Studio's, so that it must be shown its own alone: both have one name, or one of that name is
    /// written so that servers read it differently.
    mixed: bool,
}

/// Why a credential logs nobody in.
enum NoLogin {
    /// It proves nothing; the next one may.
    Unverified(Unverified),
    /// The request is refused, whatever else it carries.
    Rejected(Rejection),
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
        Self::Rejected(outage.into())
    }
}

impl<'v> Visit<'v> {
    /// Tells the request's cookies apart.
    pub(super) async fn begin(
        gate: &'v Gate,
        subrequest: &'v Subrequest<'v>,
    ) -> Result<Self, Outage> {
        let now = gate.clock.now();
        let cookies = gate.session_cookies(subrequest, now).await?;
        Ok(Self {
            gate,
            subrequest,
            cookies,
            peer: gate.peer(subrequest),
            now,
        })
    }

    /// Refuses what a page of another site makes the browser send, where it could change something and the browser adds a credential.
    pub(super) fn refuse_cross_site(&self) -> Result<(), Rejection> {
        let token_cookie = self.gate.sources.cookie.as_deref();
        let cookies = &self.cookies;
        let ambient = cookies.label_studio.is_some()
            || cookies.application.is_some()
            || token_cookie.is_some_and(|name| self.subrequest.cookies().contains(name));
        match self
            .gate
            .policy
            .refuses_as_foreign(self.subrequest, ambient)
        {
            true => Err(self.denied(Denied::CrossSiteRequest)),
            false => Ok(()),
        }
    }

    /// Ends the session where the request is Label Studio's own "Log out". Where the request reaches Label Studio, that deletes its row itself.
    pub(super) async fn note_sign_out(&self, reaches_label_studio: bool) -> Result<(), Outage> {
        let sessions = &self.gate.sessions;
        match self.cookies.label_studio {
            Some(session) if self.gate.policy.is_label_studios_sign_out(self.subrequest) => {
                match reaches_label_studio {
                    true => sessions.end_by_label_studio(session, self.now).await,
                    false => sessions.end(session, self.now).await,
                }
            }
            _ => Ok(()),
        }
    }

    /// Stage 2: the credentials that the request carries, in the order in which they are tried.
    pub(super) fn credentials(&self) -> impl Iterator<Item = Credential<'v>> + use<'v> {
        Credential::find(
            self.subrequest,
            &self.gate.sources,
            self.cookies.application,
        )
    }

    /// The first credential that is acceptable decides; without one the request goes on as it is, where it may.
    pub(super) async fn log_in_with(
        &self,
        credentials: impl Iterator<Item = Credential<'_>>,
    ) -> Result<Grant, Rejection> {
        let mut unverified = None;
        for credential in credentials {
            match self.log_in(&credential).await {
                Ok(grant) => return Ok(grant),
                Err(NoLogin::Rejected(rejection)) => return Err(rejection),
                // The first credential is the one that counted, so its reason is the one to tell.
                Err(NoLogin::Unverified(why)) => unverified = unverified.or(Some(why)),
            }
        }
        match unverified {
            None => self.go_on(None).await,
            Some(Unverified::Unrecognized(why) | Unverified::Refused(why)) => {
                self.go_on(Some(why)).await
            }
            Some(Unverified::Outage(outage)) => self.go_on_undecided(outage).await,
        }
    }

    /// Stages 3 to 7, for one credential.
    async fn log_in(&self, credential: &Credential<'_>) -> Result<Grant, NoLogin> {
        let claims = self.gate.verifier.verify(credential, self.now).await?;
        let claimant = Claimant::from_claims(&claims)?;
        for freshness in self.freshness(&claims) {
            let user = self.admit(&claimant, &claims, freshness).await?;
            let session = self.open_session(&user, &claims, freshness).await?;
            let (reason, cookies) = match session {
                // The row in hand is not the one that is stored: once more, with that.
                Opened::UserChanged => continue,
                Opened::TokenUsed => return Err(CredentialError::TokenUsed.into()),
                Opened::Kept => (Granted::SessionKept, self.cookies_without_token()),
                Opened::New {
                    value,
                    set_cookie,
                    reason,
                } => (reason, self.cookies_with(&value, set_cookie)),
            };
            return Ok(Grant::logged_in(reason, &user, claims.method(), cookies));
        }
        // The row changed between two statements, twice: whoever does that is not done yet.
        Err(Outage::DatabaseUnavailable.into())
    }

    /// How old the user's row may be, for the first attempt and for the second.
    ///
    /// The statement that records a login compares the row with what is stored. Where a token came with a session, which might be kept without
    /// a statement, the row is read. The application's session comes with every request, so that its user is read once in some seconds.
    fn freshness(&self, claims: &VerifiedClaims) -> [Freshness; 2] {
        let first = match self.cookies.label_studio {
            Some(_) if claims.expires().is_some() => Freshness::Current,
            _ => Freshness::Recent,
        };
        [first, Freshness::Current]
    }

    /// Stage 5: the user, if they may come in with these claims.
    async fn admit(
        &self,
        claimant: &Claimant,
        claims: &VerifiedClaims,
        freshness: Freshness,
    ) -> Result<ActiveUser, NoLogin> {
        let user = match ActiveUser::resolve(&self.gate.users, claimant, freshness).await {
            Ok(user) => user,
            Err(NotAdmitted::Refused(reason)) => {
                return Err(NoLogin::Rejected(self.denied(reason)));
            }
            Err(NotAdmitted::Outage(outage)) => return Err(outage.into()),
        };
        // The application's session is no token: it says at each request that its user is signed in.
        let is_token = claims.expires().is_some();
        if is_token && user.has_revoked(claims.issued_at()) {
            return Err(CredentialError::TokenRevoked.into());
        }
        Ok(user)
    }

    /// Stage 6.
    async fn open_session(
        &self,
        user: &ActiveUser,
        claims: &VerifiedClaims,
        freshness: Freshness,
    ) -> Result<Opened, Outage> {
        let sender = Sender {
            peer: &self.peer,
            now: self.now,
            freshness,
        };
        let presented = self.cookies.label_studio;
        self.gate
            .sessions
            .open_for(user, presented, claims, sender)
            .await
    }

    /// No credential logs anybody in: the request goes on without it, where somebody is signed in or nobody needs to be.
    async fn go_on(&self, refused: Option<CredentialError>) -> Result<Grant, Rejection> {
        let without_credential = match self.gate.policy.anonymous {
            Anonymous::Pass if refused.is_none() && !self.cookies.mixed => {
                return Ok(Grant::untouched(Granted::NoToken));
            }
            Anonymous::Pass => Granted::NoToken,
            Anonymous::Require if self.is_signed_in().await? => Granted::SessionValid,
            Anonymous::Require => {
                let required = SignInRequired::new(refused, self.token_deletion());
                return Err(Rejection::SignInRequired(required));
            }
        };
        let cookies = self.cookies_without_token();
        Ok(match refused {
            None => Grant::without_login(without_credential, cookies),
            Some(why) => Grant::ignoring(why, cookies),
        })
    }

    /// Somebody who could say more is out of reach. Who is signed in to Label Studio already stays so while the application's API is away:
    /// that session was opened when it was there.
    async fn go_on_undecided(&self, outage: Outage) -> Result<Grant, Rejection> {
        let can_wait = match outage {
            Outage::ClientApiUnavailable | Outage::Overloaded => true,
            Outage::DatabaseUnavailable | Outage::KeyServerUnavailable => false,
        };
        if can_wait && self.is_signed_in().await? {
            let cookies = self.cookies_without_token();
            return Ok(Grant::without_login(Granted::SessionKeptUnasked, cookies));
        }
        Err(outage.into())
    }

    /// Whether Label Studio would take the request's session cookie for one of its users.
    pub(super) async fn is_signed_in(&self) -> Result<bool, Outage> {
        let (sessions, now) = (&self.gate.sessions, self.now);
        let Some(value) = self.cookies.label_studio else {
            return Ok(false);
        };
        let session = sessions.read(value, now, Freshness::Recent).await?;
        let owned = session.and_then(|session| session.user_id().map(|id| (session, id)));
        let Some((session, id)) = owned else {
            return Ok(false);
        };
        let claimant = Claimant::of(Identity::Id(id));
        match ActiveUser::resolve(&self.gate.users, &claimant, Freshness::Recent).await {
            Ok(user) => Ok(sessions.is_alive_for(&session, &user, now)),
            Err(NotAdmitted::Refused(_)) => Ok(false),
            Err(NotAdmitted::Outage(outage)) => Err(outage),
        }
    }

    /// Ends the session that the request brought. The cookies to take from the browser.
    pub(super) async fn sign_out(&self) -> Result<Vec<String>, Outage> {
        if let Some(session) = self.cookies.label_studio {
            self.gate.sessions.end(session, self.now).await?;
        }
        // Who has signed out of the application too is not to come back by what was known of them.
        let application = &self.gate.verifier.client_session;
        if let (Some(session), Some(method)) = (self.cookies.application, application) {
            method.forget(session).await;
        }
        let session = self.gate.sessions.deletion();
        Ok(std::iter::once(session)
            .chain(self.token_deletion())
            .collect())
    }

    /// The cookies of an answer that keeps the session: the token out.
    fn cookies_without_token(&self) -> Cookies {
        // Of two cookies of one name Django would read the last, which may be the application's.
        let own = self.cookies.label_studio.filter(|_| self.cookies.mixed);
        self.rewritten(own, self.cookies.mixed, None)
    }

    /// The cookies of an answer that opens a session: the token out and the session in.
    fn cookies_with(&self, value: &str, set_cookie: String) -> Cookies {
        self.rewritten(Some(value), true, Some(set_cookie))
    }

    fn rewritten(&self, session: Option<&str>, replace: bool, set: Option<String>) -> Cookies {
        let name = self.gate.sessions.cookie_name();
        let token = self.gate.sources.cookie.as_deref();
        let without: Vec<&str> = token.into_iter().chain(replace.then_some(name)).collect();
        let with = session.map(|value| (name, value));
        Cookies {
            request: self.subrequest.cookies().rewritten(&without, with),
            session: set,
            token_deletion: self.token_deletion(),
        }
    }

    /// `Set-Cookie` that deletes the token's cookie, where the request came with one.
    fn token_deletion(&self) -> Option<String> {
        let cookie = self.gate.token_cookie.as_ref();
        cookie
            .filter(|cookie| self.subrequest.cookies().contains(&cookie.name))
            .map(CookieAttributes::delete)
    }

    fn denied(&self, reason: Denied) -> Rejection {
        Rejection::Denial(Denial::new(reason, self.token_deletion()))
    }
}

impl Gate {
    async fn session_cookies<'v>(
        &'v self,
        subrequest: &'v Subrequest<'_>,
        now: SystemTime,
    ) -> Result<SessionCookies<'v>, Outage> {
        let (cookies, name) = (subrequest.cookies(), self.sessions.cookie_name());
        let filled = |value: &&str| !value.is_empty();
        let application = self.sources.application_cookie.as_deref();
        if application != Some(name) {
            return Ok(SessionCookies {
                label_studio: cookies.get(name),
                application: application
                    .and_then(|name| cookies.raw(name))
                    .filter(filled),
                mixed: cookies.is_ambiguous(name),
            });
        }
        let mut found = SessionCookies {
            mixed: cookies.is_ambiguous(name),
            ..SessionCookies::default()
        };
        for value in cookies.all(name).filter(filled).take(MOST_COOKIES) {
            found.mixed = true;
            match self.sessions.read(value, now, Freshness::Recent).await? {
                Some(_) => found.label_studio = Some(value),
                None => found.application = found.application.or(Some(value)),
            }
        }
        Ok(found)
    }

    /// What tells the sender's address from others. An unknown one is like no other.
    fn peer(&self, subrequest: &Subrequest<'_>) -> [u8; 32] {
        match subrequest.peer() {
            Some(address) => Sha256::digest(address.as_bytes()).into(),
            None => Sha256::digest(self.entropy.sixteen()).into(),
        }
    }
}
