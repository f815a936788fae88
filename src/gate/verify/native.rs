//! Method 2: tokens that `POST /api/sso/token` issued, here or in the plugin.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};

use super::super::reason::Reason;
use super::claims::Expectation;
use super::compact::Compact;
use super::{Fingerprint, Subject, VerifiedClaims};

/// `iss` of a native token.
pub const ISSUER: &str = "label-studio";
/// `aud` of a native token.
pub const AUDIENCE: &str = "label-studio-sso";
/// The method's name in `X-Gate-Method`, in the session and in the log.
pub const METHOD: &str = "native";

/// Verifies native tokens.
pub struct Native {
    key: DecodingKey,
    expectation: Expectation,
    subject: Subject,
}

impl Native {
    /// Verifies with Label Studio's `SECRET_KEY`, as raw bytes: that is the HMAC key of PyJWT and simplejwt.
    pub fn new(secret_key: &SecretString, user_id_claim: String, leeway: Duration) -> Self {
        Self {
            key: DecodingKey::from_secret(secret_key.expose_secret().as_bytes()),
            expectation: Expectation {
                issuer: ISSUER.to_owned(),
                audience: AUDIENCE.to_owned(),
                leeway,
            },
            subject: Subject::UserId(user_id_claim),
        }
    }

    /// Verifies signature and claims.
    pub fn verify(&self, token: Compact<'_>, now: SystemTime) -> Result<VerifiedClaims, Reason> {
        let fingerprint = Fingerprint::of(METHOD, token.signed());
        let claims = token.verified(&self.key, Algorithm::HS256)?;
        self.expectation.check(&claims, now)?;
        let subject = self.subject.clone();
        Ok(VerifiedClaims::new(claims, subject, METHOD, fingerprint))
    }
}
