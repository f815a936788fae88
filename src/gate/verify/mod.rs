//! Stage 3: credential → [`VerifiedClaims`].
//!
//! In: an unverified token or session cookie. Out: its claims. Afterwards, either the signature was
//! made with a configured key under that key's own algorithm, and the token is valid now and meant
//! for the gate; or the host application has confirmed whose session it is.

mod api_token;
mod application_session;
mod claims;
mod compact;
mod external;
mod keys;
mod load_balancer;
mod native;
mod public_key;
mod strict_json;
#[cfg(test)]
mod tests;
mod unsigned;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::api_token::{ApiAuthenticator, ApiCredential, ApiTokens, JwtOwner, TokenOwner};
pub use self::application_session::{ApplicationSession, ApplicationSessions, NoPerson, Person};
pub use self::claims::{Expectation, RequiredClaim};
pub use self::compact::Compact;
pub use self::external::{Issuer, Keys};
pub use self::keys::{KeyError, KeySet, KeySource, VerificationKey};
pub use self::load_balancer::LoadBalancer;
pub use self::native::{AUDIENCE, ISSUER, Native, REVOCATION};
pub use self::unsigned::UnsignedProxy;
use super::credential::Credential;
use super::identity::ClaimMapping;
use super::reason::{CredentialError, Outage};
use super::witness::{Steps, Witness};

/// The sign-in method that verified a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Method 1: a token of an external issuer that the operator configured.
    External,
    /// Method 2: a token issued by the token route, or an API token of Label Studio.
    Native,
    /// Method 3: the session of the host application.
    Session,
    /// The identity that a proxy in front asserts in a header.
    Proxy,
    /// Sign-in with an OpenID provider.
    OpenId,
}

impl Method {
    /// The name in `X-Gate-Method` and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Native => "native",
            Self::Session => "session",
            Self::Proxy => "proxy",
            Self::OpenId => "openid",
        }
    }
}

/// Evidence that signature, times, issuer and audience were checked, and the claims.
#[derive(Debug)]
pub struct VerifiedClaims {
    claims: Map<String, Value>,
    subject: Subject,
    method: Method,
    fingerprint: Fingerprint,
    provider_session: Option<ProviderSession>,
}

/// A session at an OpenID provider, whose end ends the sessions that it opened.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// Name of the provider in the settings.
    pub provider: String,
    /// `iss`
    pub issuer: String,
    /// `sid`; what else is unique to the sign-in, if the provider doesn't tell its sessions apart.
    pub id: String,
    /// `sub`
    pub subject: String,
    /// The ID token, a hint for signing out at the provider.
    pub id_token: String,
    /// Longest time from sign-in to the end of a session that it opens.
    pub longest: Option<Duration>,
}

/// Doesn't show the ID token.
impl std::fmt::Debug for ProviderSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderSession")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// Which claims identify the user. The issuer determines this.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The claim with this name holds the primary key in `htx_user`.
    UserId(String),
    /// The claims describe a user of another system, according to this mapping.
    Person(Arc<ClaimMapping>),
}

impl VerifiedClaims {
    /// The only constructor. Each method calls it after its checks.
    fn new(
        claims: Map<String, Value>,
        subject: Subject,
        method: Method,
        fingerprint: Fingerprint,
    ) -> Self {
        Self {
            claims,
            subject,
            method,
            fingerprint,
            provider_session: None,
        }
    }

    /// Claims that nobody verified.
    #[cfg(test)]
    pub(in crate::gate) fn of_test(claims: &Value) -> Self {
        let claims = claims.as_object().expect("an object").clone();
        let subject = Subject::Person(Arc::default());
        Self::new(claims, subject, Method::External, Fingerprint::of("", ""))
    }

    /// The same claims, of a user who signed in at an OpenID provider.
    pub(in crate::gate) fn of_provider_session(mut self, session: ProviderSession) -> Self {
        self.method = Method::OpenId;
        self.provider_session = Some(session);
        self
    }

    /// Which claims identify the user.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The claim with this name, or at this path (`a.b`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        claims::claim(&self.claims, name)
    }

    /// Adds claims that the issuer states elsewhere. What its signed token says stays, and whether an
    /// address is verified is said about the address that stands beside it.
    pub fn add(&mut self, mut more: Map<String, Value>) {
        let known = self.claims.get("email");
        let other = more.get("email");
        if known.is_none() && other.is_some() {
            self.claims.remove("email_verified");
        } else if other.is_some() && other != known {
            more.remove("email_verified");
        }
        for (name, value) in more {
            self.claims.entry(name).or_insert(value);
        }
    }

    /// Checks claims that the issuer may have stated elsewhere than in the token.
    pub(in crate::gate) fn require(
        &self,
        required: &[RequiredClaim],
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let mut required = required.iter();
        required.try_for_each(|required| required.check(&self.claims, steps))
    }

    /// `exp`, in seconds since the epoch, of a token that the browser brings. `None` for a credential
    /// that says nothing about the end of a session: the host application's session, and a proxy's
    /// token, which come with every request, and an ID token, which the gate gets itself and uses once.
    pub fn expires(&self) -> Option<f64> {
        match self.method {
            Method::Session | Method::Proxy | Method::OpenId => None,
            Method::External | Method::Native => self.claims.get("exp").and_then(Value::as_f64),
        }
    }

    /// `iat`, in seconds since the epoch: when the token was issued, if it says so.
    pub fn issued_at(&self) -> Option<f64> {
        self.claims.get("iat").and_then(Value::as_f64)
    }

    /// In a token that a gate issued, the last revocation of the user's tokens before that: the
    /// database's time, in microseconds since the epoch, or 0. Others that hold `SECRET_KEY`, such
    /// as the plugin, leave it out.
    pub fn known_revocation(&self) -> Option<u64> {
        match self.method {
            Method::Native => self.claims.get(REVOCATION).and_then(Value::as_u64),
            Method::External | Method::Session | Method::Proxy | Method::OpenId => None,
        }
    }

    /// The method that verified the credential.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether the credential can be revoked: the host application confirms its session itself.
    pub const fn is_revocable(&self) -> bool {
        !matches!(self.method, Method::Session)
    }

    /// The session at the OpenID provider, if the user signed in there.
    pub const fn provider_session(&self) -> Option<&ProviderSession> {
        self.provider_session.as_ref()
    }

    /// Identifies the credential.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Identifies a credential without revealing it: a SHA-256 of the method and the signed text.
///
/// The signature is not included, because some algorithms produce a different one each time for the
/// same claims.
#[derive(Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(method: &str, signed: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(method.as_bytes());
        hash.update([0]);
        hash.update(signed.as_bytes());
        Self(hash.finalize().into())
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why a credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// This method doesn't recognize the credential. Another method may.
    Unrecognized(CredentialError),
    /// The credential is genuine but not acceptable.
    Refused(CredentialError),
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<CredentialError> for Unverified {
    fn from(reason: CredentialError) -> Self {
        Self::Refused(reason)
    }
}

impl Unverified {
    /// Picks the more specific of two methods' results for one token, or the earlier one if they
    /// are equally specific.
    const fn more_specific(self, later: Self) -> Self {
        match (self, later) {
            (Self::Refused(_), _) | (Self::Outage(_), Self::Unrecognized(_) | Self::Outage(_)) => {
                self
            }
            (Self::Unrecognized(_), Self::Unrecognized(_)) => self,
            (_, later) => later,
        }
    }
}

/// The enabled methods, in the order in which they are tried.
pub struct Verifier {
    /// Method 1.
    pub issuers: Vec<Issuer>,
    /// Method 2: tokens issued by the token route.
    pub native: Option<Native>,
    /// Method 2: Label Studio's own API tokens.
    pub api_tokens: Option<ApiAuthenticator>,
    /// Method 3.
    pub application_session: Option<ApplicationSession>,
    /// A proxy in front that names users without a signature.
    pub unsigned: Option<UnsignedProxy>,
    /// Maximum length of a token in bytes. Longer ones are refused without parsing.
    pub max_length: usize,
}

impl Verifier {
    /// Verifies a credential.
    pub async fn verify(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
        witness: &dyn Witness,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = Steps::new(witness, "credential");
        let unknown = |why| Err(Unverified::Unrecognized(why));
        match credential {
            Credential::Token(token) => self.verify_token(token, now, steps).await,
            Credential::Asserted(token) => self.verify_asserted(token, now, steps).await,
            Credential::Unsigned(headers) => match &self.unsigned {
                Some(proxy) => proxy.verify(headers, now, steps),
                None => unknown(CredentialError::NoMethod),
            },
            Credential::ApplicationSession(cookie) => match &self.application_session {
                Some(method) => method.verify(cookie, steps).await,
                None => unknown(CredentialError::ApplicationSessionUnknown),
            },
        }
    }

    async fn verify_token(
        &self,
        token: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let token = self.parse(token, Compact::parse, steps)?;
        let mut why: Option<Unverified> = None;
        let mut note = |next: Unverified| {
            why = Some(why.map_or(next, |first| first.more_specific(next)));
        };
        // Anybody can put a load balancer's token here, and each asks for a key.
        let issuers = self.issuers.iter();
        for issuer in issuers.filter(|issuer| !issuer.is_load_balancer()) {
            match issuer.verify(&token, now, steps).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(method) = &self.api_tokens {
            match method.verify(&token, now, steps).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(native) = &self.native {
            match native.verify(&token, now, steps) {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        Err(why.unwrap_or(Unverified::Unrecognized(CredentialError::NoMethod)))
    }

    fn parse<'t>(
        &self,
        token: &'t str,
        parse: fn(&'t str) -> Result<Compact<'t>, CredentialError>,
        steps: Steps<'_>,
    ) -> Result<Compact<'t>, Unverified> {
        let (length, most) = (token.len(), self.max_length);
        if length > most {
            steps.note(format_args!(
                "a token of {length} bytes, at most {most} accepted"
            ));
            return Err(Unverified::Unrecognized(CredentialError::TokenMalformed));
        }
        parse(token).map_err(|why| {
            steps.note(format_args!(
                "{length} bytes that are no JSON Web Token in compact form"
            ));
            Unverified::Unrecognized(why)
        })
    }
}
