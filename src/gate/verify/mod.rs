//! Stage 3: token → [`VerifiedClaims`].
//!
//! In: a token somebody sent. Out: what it says, once it is proven who says so. Afterwards holds: the signature was made with a key that
//! the gate was given, under that key's own algorithm, and the token is meant for the gate and for now.

mod claims;
mod compact;
mod native;
mod strict_json;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::claims::{Expectation, numeric_date};
pub use self::compact::Compact;
pub use self::native::{AUDIENCE, ISSUER, METHOD as NATIVE, Native};
use super::credential::Credential;
use super::reason::Reason;

/// Claims whose signature, time, issuer and audience were checked.
pub struct VerifiedClaims {
    claims: Map<String, Value>,
    subject: Subject,
    method: &'static str,
    fingerprint: Fingerprint,
}

/// Which claims name the user: whoever issues tokens decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The claim of this name holds the primary key in `htx_user`.
    UserId(String),
}

impl VerifiedClaims {
    fn new(
        claims: Map<String, Value>,
        subject: Subject,
        method: &'static str,
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

    /// The claim of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// `exp`, in seconds since the epoch: every accepted token has one.
    pub fn expires(&self) -> f64 {
        self.get("exp").and_then(Value::as_f64).unwrap_or_default()
    }

    /// The method that vouches for them.
    pub const fn method(&self) -> &'static str {
        self.method
    }

    /// What tells this token from every other one.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Tells one token from another without being of use to whoever reads it: a SHA-256 over the method and what was signed.
///
/// The signature itself stays out: some algorithms make a new one each time, and the claims are the same.
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

/// The methods that are switched on, in the order in which they are tried.
pub struct Verifier {
    native: Native,
    max_length: usize,
}

impl Verifier {
    /// Verifies tokens of up to `max_length` bytes.
    pub const fn new(native: Native, max_length: usize) -> Self {
        Self { native, max_length }
    }

    /// Verifies a token.
    pub fn verify(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
    ) -> Result<VerifiedClaims, Reason> {
        let token = credential.token();
        if token.len() > self.max_length {
            return Err(Reason::TokenMalformed);
        }
        self.native.verify(Compact::parse(token)?, now)
    }
}
