//! Sign-in with an OpenID provider: the authorization code flow with PKCE (OpenID Connect Core 1.0
//! §3.1, RFC 9700).
//!
//! In: a browser that has to sign in, and later the same browser with the provider's answer. Out: a
//! redirect to the provider, and later [`VerifiedClaims`]. Afterwards, the browser that came back is
//! the one that left, the answer is from the provider that it was sent to, and the ID token was
//! issued for this flow. The claims then go the way of any other verified credential.

mod callback;
mod flow;
mod flow_cookies;
mod handover;
mod id_token;
mod logout_token;
mod outcome;
mod party;
mod provider;
mod seal;

use std::sync::Arc;
use std::time::SystemTime;

pub use self::callback::{Callback, Code, NoCallback, Outcome};
pub use self::flow::{Display, Flow};
pub use self::flow_cookies::FlowCookies;
pub use self::handover::Waiting;
pub use self::id_token::IdTokenExpectation;
pub use self::logout_token::{Ended, Logout, LogoutRefused};
pub use self::outcome::NoSignIn;
pub use self::party::{RelyingParty, Statement};
pub use self::provider::{AuthorizationRequest, EndSessionRequest, Provider, Tokens, Userinfo};
use super::cookies::CookieHeader;
use super::entropy::Entropy;
use super::observer::{Observer, Steps};
use super::reason::{CredentialError, Outage};
use super::sign_in::AtProvider;
use super::verify::{Compact, Unverified, VerifiedClaims};

/// This many sign-ins of one browser, with less than [`flow_cookies::PAUSE`] between them, are a loop.
const MAX_ATTEMPTS: u32 = 5;

/// Signs users in with the configured providers.
pub struct SignIn {
    parties: Vec<RelyingParty>,
    cookies: FlowCookies,
    entropy: Arc<dyn Entropy>,
}

/// A browser that has to sign in.
#[derive(Debug)]
pub struct StartRequest<'r> {
    /// The page to open afterwards: a path on this origin.
    pub next: &'r str,
    /// Whether the provider's pages are shown in a frame.
    pub is_framed: bool,
    /// In a popup: the frame that waits for it ([`Waiting`]).
    pub frame: Option<&'r str>,
    /// Whether the user wants another account than the one they have at the provider.
    pub select_account: bool,
    /// Who wants to sign in, for the provider's form. The provider decides what it is worth.
    pub login_hint: Option<&'r str>,
}

/// The redirect that sends a browser to the provider.
#[derive(Debug)]
pub struct AuthorizationRedirect {
    /// The provider's page.
    pub location: url::Url,
    /// `Set-Cookie` values: the flow, and the deletion of flows that ended without an answer.
    pub cookies: Vec<String>,
}

/// A flow that ended with a signed-in user.
#[derive(Debug)]
pub struct CompletedFlow {
    /// What the provider says about the user.
    pub claims: VerifiedClaims,
    /// The flow.
    pub flow: Flow,
    /// What the provider stated, as it came.
    pub statement: Statement,
}

impl SignIn {
    /// Signs in with `parties`, which have distinct names.
    pub fn new(
        parties: Vec<RelyingParty>,
        cookies: FlowCookies,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            parties,
            cookies,
            entropy,
        }
    }

    /// The providers that users can choose from.
    pub fn parties(&self) -> &[RelyingParty] {
        &self.parties
    }

    /// The provider with this name, or the only one.
    pub fn party(&self, name: Option<&str>) -> Option<&RelyingParty> {
        match name {
            None if self.parties.len() == 1 => self.parties.first(),
            None => None,
            Some(name) => self.parties.iter().find(|party| party.name == name),
        }
    }

    /// The provider with this issuer; of two clients at one provider, the first.
    pub fn party_of(&self, issuer: &str) -> Option<&RelyingParty> {
        let mut parties = self.parties.iter();
        parties.find(|party| party.issuer.name() == Some(issuer))
    }

    /// The provider whose redirect URI ends in this name; empty: the only one.
    pub fn party_named(&self, name: &str) -> Option<&RelyingParty> {
        self.parties.iter().find(|party| party.name == name)
    }

    /// Starts a flow.
    pub async fn start(
        &self,
        party: &RelyingParty,
        start: &StartRequest<'_>,
        cookies: &CookieHeader<'_>,
        now: SystemTime,
    ) -> Result<AuthorizationRedirect, Outage> {
        let display = match start.is_framed {
            true => Display::Frame,
            false => Display::Page,
        };
        let flow = Flow::new(&party.name, start.next, display, now, &*self.entropy);
        let flow = match start.frame {
            Some(frame) if !start.is_framed => flow.for_frame(frame.to_owned()),
            _ => flow,
        };
        let request = AuthorizationRequest {
            flow: &flow,
            select_account: start.select_account,
            login_hint: start.login_hint,
        };
        let location = party.provider.authorization_url(&request).await?;
        let mut set = self.cookies.make_room(cookies, now);
        set.push(self.cookies.set(&flow, now, &*self.entropy));
        Ok(AuthorizationRedirect {
            location,
            cookies: set,
        })
    }

    /// The flow of this browser that `callback` answers, whether or not it may be finished.
    pub fn flow_of(
        &self,
        callback: &Callback,
        cookies: &CookieHeader<'_>,
        now: SystemTime,
    ) -> Option<Flow> {
        self.cookies.find(cookies, &callback.state, now)
    }

    /// Ends `flow`, which `callback` answers. `party` is the provider whose redirect URI was called
    /// (RFC 9700 §4.4.2.1).
    pub async fn finish(
        &self,
        party: &RelyingParty,
        callback: &Callback,
        flow: &Flow,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<CompletedFlow, NoSignIn> {
        if flow.provider != party.name {
            return Err(NoSignIn::unknown());
        }
        let (claims, statement) = party.verify_callback(callback, flow, now, observer).await?;
        Ok(CompletedFlow {
            claims,
            flow: flow.clone(),
            statement,
        })
    }

    /// Verifies a logout token.
    pub async fn end(
        &self,
        logout_token: &str,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<Logout<'_>, LogoutRefused<'_>> {
        let steps = Steps::new(observer, "logout token");
        let token = Compact::parse(logout_token)?;
        let mut refused = LogoutRefused::from(CredentialError::TokenIssuerRefused);
        for party in &self.parties {
            let issuer = &party.issuer;
            let provider = issuer.name().unwrap_or_default();
            let lifetime = logout_token::MAX_AGE;
            match issuer
                .verify_with_lifetime(&token, lifetime, now, steps)
                .await
            {
                Ok(()) => {
                    let logout = Logout::from_claims(provider, token.claims(), token.typ(), now);
                    return logout.map_err(|why| LogoutRefused::of(provider, why.into()));
                }
                // Of two clients at one provider, either may be meant.
                Err(Unverified::Unrecognized(CredentialError::TokenIssuerRefused)) => {}
                Err(next) => refused = LogoutRefused::of(provider, next.into()),
            }
        }
        Err(refused)
    }

    /// Whether this browser has signed in repeatedly within seconds, and came back without a session
    /// each time.
    pub fn loops(&self, cookies: &CookieHeader<'_>) -> bool {
        self.cookies.attempts(cookies) >= MAX_ATTEMPTS
    }

    /// `Set-Cookie` that counts a sign-in, so that a loop ends.
    pub fn count(&self, cookies: &CookieHeader<'_>, display: Display, now: SystemTime) -> String {
        let attempts = self.cookies.attempts(cookies).saturating_add(1);
        self.cookies.set_attempts(attempts, display, now)
    }

    /// Where a user signs out at the provider; `None` if the provider has no such page.
    pub async fn sign_out_url(&self, at: &AtProvider) -> Option<url::Url> {
        let party = self.party_named(&at.name)?;
        let request = EndSessionRequest {
            id_token: at.id_token.as_deref(),
            logout_hint: at.user.as_deref(),
        };
        party.provider.end_session_url(&request).await
    }

    /// `Set-Cookie` that deletes the cookie of a flow that ended.
    pub fn forget(&self, flow: &Flow) -> String {
        self.cookies.delete(&flow.state, flow.display)
    }
}
