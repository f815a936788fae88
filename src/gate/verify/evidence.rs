//! What a verified credential proves, and by which method.
//!
//! In: claims whose signature, times, issuer and audience a method has checked. Out: the same as
//! [`VerifiedClaims`], which nothing outside this stage can make.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::claims::{RequiredClaim, claim};
use super::native::REVOCATION;
use crate::gate::identity::ClaimMapping;
use crate::gate::observer::Steps;
use crate::gate::reason::CredentialError;

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

/// A session at an OpenID provider. When it ends, so do the sessions that it opened.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// Name of the provider in the settings.
    pub provider: String,
    /// `iss`
    pub issuer: String,
    /// `sid`, or another value that is unique to the sign-in if the provider sends none.
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
    pub(super) fn new(
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

    /// The same claims, asserted by a proxy in front with every request. `evidence` identifies the
    /// person, because the token's text differs.
    pub(super) fn of_proxy(mut self, evidence: Fingerprint) -> Self {
        // Teleport says from when on its token is valid, but not when it was issued. A revocation has to
        // tell earlier tokens from later ones.
        if let (None, Some(begin)) = (self.issued_at(), self.claims.get("nbf").cloned()) {
            self.claims.insert("iat".to_owned(), begin);
        }
        self.method = Method::Proxy;
        self.fingerprint = evidence;
        self
    }

    /// Which claims identify the user.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The claim with this name, or at this path (`a.b`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        claim(&self.claims, name)
    }

    /// Adds claims that the issuer states elsewhere. Claims of the signed token win, and `email_verified`
    /// applies only to the address from the same source.
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
    pub(super) fn of(method: &str, signed: &str) -> Self {
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
