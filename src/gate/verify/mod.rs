//! Stage 3: credential → [`VerifiedClaims`].
//!
//! In: a token or a session cookie that somebody sent. Out: what it says, once it is proven who says so. Afterwards holds: the signature was
//! made with a key that the gate was given, under that key's own algorithm, and the token is meant for the gate and for now; or the
//! application itself has said whose session it is.

mod api_token;
mod claims;
mod client_session;
mod compact;
mod external;
mod keys;
mod native;
mod public_key;
mod strict_json;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::api_token::{ApiAuthenticator, ApiCredential, ApiTokens, JwtOwner, TokenOwner};
pub use self::claims::{Expectation, RequiredClaim};
pub use self::client_session::{ClientSession, ClientSessions, Person};
pub use self::compact::Compact;
pub use self::external::{Issuer, Keys};
pub use self::keys::{KeyError, KeySet, KeySource, VerificationKey};
pub use self::native::{AUDIENCE, ISSUER, Native};
use super::credential::Credential;
use super::identity::PersonRules;
use super::reason::{CredentialError, Outage};

/// The method that vouches for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// 1: a token of one of the operator's issuers.
    External,
    /// 2: a token that the token route issued, or an API token of Label Studio.
    Native,
    /// 3: the session of the host application.
    Session,
}

impl Method {
    /// Its name in `X-Gate-Method` and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Native => "native",
            Self::Session => "session",
        }
    }
}

/// Claims whose signature, time, issuer and audience were checked.
#[derive(Debug)]
pub struct VerifiedClaims {
    claims: Map<String, Value>,
    subject: Subject,
    method: Method,
    fingerprint: Fingerprint,
}

/// Which claims name the user: whoever issues tokens decides that.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The claim of this name holds the primary key in `htx_user`.
    UserId(String),
    /// A person of another system, by these rules.
    Person(Arc<PersonRules>),
}

impl VerifiedClaims {
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
        }
    }

    /// Which of them name the user.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The claim of that name, or at that path (`a.b`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        claims::claim(&self.claims, name)
    }

    /// `exp`, in seconds since the epoch. Every accepted token has one; a client's session has an end of its own.
    pub fn expires(&self) -> Option<f64> {
        match self.method {
            Method::Session => None,
            Method::External | Method::Native => self.claims.get("exp").and_then(Value::as_f64),
        }
    }

    /// `iat`, in seconds since the epoch: when the token was issued, where it says so.
    pub fn issued_at(&self) -> Option<f64> {
        self.claims.get("iat").and_then(Value::as_f64)
    }

    /// The method that vouches for them.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// What tells this credential from every other one.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Tells one credential from another without being of use to whoever reads it: a SHA-256 over the method and what was signed.
///
/// The signature itself stays out: some algorithms make a new one each time, and the claims are the same.
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

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Why a credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// Nobody whom this method knows vouches for it: another method may.
    Unrecognized(CredentialError),
    /// It is genuine and not acceptable.
    Refused(CredentialError),
    /// It cannot be said now.
    Outage(Outage),
}

impl From<CredentialError> for Unverified {
    fn from(reason: CredentialError) -> Self {
        Self::Refused(reason)
    }
}

impl Unverified {
    /// Of what two methods say about one token, the one that says more; the earlier one where both say as much.
    const fn or(self, later: Self) -> Self {
        match (self, later) {
            (Self::Refused(_), _) | (Self::Outage(_), Self::Unrecognized(_) | Self::Outage(_)) => {
                self
            }
            (Self::Unrecognized(_), Self::Unrecognized(_)) => self,
            (_, later) => later,
        }
    }
}

/// The methods that are switched on, in the order in which they are tried.
pub struct Verifier {
    /// Method 1.
    pub issuers: Vec<Issuer>,
    /// Method 2: what the token route issues.
    pub native: Option<Native>,
    /// Method 2: Label Studio's own API tokens.
    pub api_tokens: Option<ApiAuthenticator>,
    /// Method 3.
    pub client_session: Option<ClientSession>,
    /// Longer tokens are refused unread; bytes.
    pub max_length: usize,
}

impl Verifier {
    /// Verifies a credential.
    pub async fn verify(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
    ) -> Result<VerifiedClaims, Unverified> {
        match (credential, &self.client_session) {
            (Credential::Token(token), _) => self.verify_token(token, now).await,
            (Credential::ClientSession(cookie), Some(method)) => method.verify(cookie).await,
            (Credential::ClientSession(_), None) => Err(Unverified::Unrecognized(
                CredentialError::ClientSessionUnknown,
            )),
        }
    }

    async fn verify_token(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<VerifiedClaims, Unverified> {
        if token.len() > self.max_length {
            return Err(Unverified::Unrecognized(CredentialError::TokenMalformed));
        }
        let token = Compact::parse(token).map_err(Unverified::Unrecognized)?;
        let mut why: Option<Unverified> = None;
        let mut note = |next: Unverified| why = Some(why.map_or(next, |first| first.or(next)));
        for issuer in &self.issuers {
            match issuer.verify(&token, now).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(method) = &self.api_tokens {
            match method.verify(&token, now).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(native) = &self.native {
            match native.verify(&token, now) {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        Err(why.unwrap_or(Unverified::Unrecognized(CredentialError::NoMethod)))
    }
}
