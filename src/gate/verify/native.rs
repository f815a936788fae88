//! Method 2: tokens issued by `POST /api/sso/token`, of the gate or of the plugin.
//!
//! In: a parsed token. Out: claims that name a user by primary key. Afterwards, the token is signed
//! with a current or former `SECRET_KEY`, and issuer, audience, times and lifetime are checked.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::super::observer::Steps;
use super::claims::Expectation;
use super::compact::Compact;
use super::keys::VerificationKey;
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// `iss` of a native token.
pub const ISSUER: &str = "label-studio";
/// The claim of a gate's token with the last revocation before it.
pub const REVOCATION: &str = "gate_revocation";
/// `aud` of a native token.
pub const AUDIENCE: &str = "label-studio-sso";

/// Verifies native tokens.
pub struct Native {
    keys: Vec<VerificationKey>,
    expectation: Expectation,
    subject: Subject,
}

impl Native {
    /// Verifies with Label Studio's `SECRET_KEY` as raw bytes, which is the HMAC key of PyJWT and
    /// simplejwt.
    ///
    /// `former` keys accept tokens issued before a key change. `max_lifetime` limits the time from
    /// `iat` to `exp`: otherwise anyone with the key could create a token that outlives every
    /// password change.
    pub fn new<'s>(
        secret_key: &'s SecretString,
        former: impl IntoIterator<Item = &'s SecretString>,
        user_id_claim: String,
        leeway: Duration,
        max_lifetime: Option<Duration>,
    ) -> Self {
        Self {
            keys: hs256_keys(secret_key, former),
            expectation: Expectation {
                issuer: Some(ISSUER.to_owned()),
                audiences: vec![AUDIENCE.to_owned()],
                leeway,
                max_lifetime,
                ..Expectation::default()
            },
            subject: Subject::UserId(user_id_claim),
        }
    }

    /// Verifies signature and claims.
    pub fn verify(
        &self,
        token: &Compact<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = steps.by("native: SECRET_KEY");
        token.signed_by(&self.keys, steps)?;
        let claims = token.claims();
        self.expectation.check(claims, now, steps)?;
        let fingerprint = Fingerprint::of("native", token.signed());
        let subject = self.subject.clone();
        Ok(VerifiedClaims::new(
            claims.clone(),
            subject,
            Method::Native,
            fingerprint,
        ))
    }
}

/// The current and the former `SECRET_KEY`s.
pub(super) fn hs256_keys<'s>(
    secret_key: &'s SecretString,
    former: impl IntoIterator<Item = &'s SecretString>,
) -> Vec<VerificationKey> {
    std::iter::once(secret_key)
        .chain(former)
        .map(|secret| VerificationKey::secret(secret).for_hs256())
        .collect()
}
