//! Session keys: random, but found again by the credential that opened the session.
//!
//! A key starts with its [`Place`], which is derived from the credential and the user. All requests
//! with the same credential share that prefix, whether parallel or sequential and through any
//! number of gates. The rest of the key is random, so an ended session never comes back: replaying
//! the credential opens a session with another key.
//!
//! After a sign-in with an OpenID provider, the place has two halves, one derived from the
//! provider's session and one from its user, so that a logout token, which names one of them, finds
//! the rows.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};

use crate::django::{SaltedHmac, base36};
use crate::gate::clock::unix_seconds_f64;
use crate::gate::entropy::Entropy;
use crate::gate::user::ActiveUser;
use crate::gate::verify::{Fingerprint, ProviderSession};

/// Characters of the derived prefix: 82 bits.
const PLACE_LENGTH: usize = 16;
/// Characters of each half of a place at a provider: 41 bits.
const HALF_LENGTH: usize = PLACE_LENGTH / 2;
/// Random characters: 124 bits. Prefix and random part fill the column, which holds 40 characters.
const RANDOM_LENGTH: usize = 24;

/// Derives places from credentials. Only a holder of `SECRET_KEY` can.
pub(super) struct Places {
    credential: SaltedHmac,
    provider_session: SaltedHmac,
    provider_subject: SaltedHmac,
}

/// The key prefix that all requests with one credential of one user share.
pub(super) struct Place {
    digest: [u8; 32],
    prefix: String,
}

impl Places {
    pub(super) fn new(secret_key: &SecretString) -> Self {
        let secret = secret_key.expose_secret().as_bytes();
        Self {
            credential: SaltedHmac::new("label-studio-gate.session-place", secret),
            provider_session: SaltedHmac::new("label-studio-gate.provider-session", secret),
            provider_subject: SaltedHmac::new("label-studio-gate.provider-subject", secret),
        }
    }

    /// The place of a credential, from its text, its `exp` and the user. Label Studio ends the
    /// user's sessions after `limit`.
    ///
    /// It depends on the password column, because Django rejects a session's hash after a password
    /// change. For a credential that outlives sessions it also depends on the current period of its
    /// life, because Label Studio rejects a session from an earlier period as too old.
    pub(super) fn of(
        &self,
        fingerprint: &Fingerprint,
        expires: Option<f64>,
        user: &ActiveUser,
        limit: Duration,
        now: SystemTime,
    ) -> Place {
        let (now, limit) = (unix_seconds_f64(now), limit.as_secs_f64());
        let period = match expires {
            Some(expires) => ((expires - now) / limit).ceil(),
            None => (now / limit).floor(),
        };
        let mut input = Vec::with_capacity(32 + 4 + 8 + user.password().len());
        input.extend_from_slice(fingerprint.as_bytes());
        input.extend_from_slice(&user.id().to_be_bytes());
        input.extend_from_slice(&period.to_be_bytes());
        input.extend_from_slice(user.password().as_bytes());
        let digest = self.credential.digest(&input);
        Place {
            prefix: base36(&digest, PLACE_LENGTH),
            digest,
        }
    }

    /// The place of a session at an OpenID provider. Its prefix is known without the user's row; a
    /// session that is found there is used only if it is this user's and valid.
    pub(super) fn at_provider(&self, session: &ProviderSession, user: &ActiveUser) -> Place {
        let prefix = format!(
            "{}{}",
            self.session_half(&session.issuer, &session.id),
            self.subject_half(&session.issuer, &session.subject)
        );
        let mut input = prefix.clone().into_bytes();
        input.extend_from_slice(&user.id().to_be_bytes());
        input.extend_from_slice(user.password().as_bytes());
        let digest = self.credential.digest(&input);
        Place { digest, prefix }
    }

    /// The first characters of the keys of a session at a provider.
    pub(super) fn session_half(&self, issuer: &str, id: &str) -> String {
        half(&self.provider_session, issuer, id)
    }

    /// The characters after those: whose session it is.
    pub(super) fn subject_half(&self, issuer: &str, subject: &str) -> String {
        half(&self.provider_subject, issuer, subject)
    }
}

/// An issuer is a URL and contains no NUL, so that the two texts can't run into each other.
fn half(hmac: &SaltedHmac, issuer: &str, text: &str) -> String {
    let input = [issuer.as_bytes(), &[0], text.as_bytes()].concat();
    base36(&hmac.digest(&input), HALF_LENGTH)
}

impl Place {
    /// The prefix of every key of this place.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A new key with a random suffix.
    pub(super) fn key(&self, entropy: &dyn Entropy) -> String {
        let random = base36(&entropy.sixteen(), RANDOM_LENGTH);
        format!("{}{random}", self.prefix)
    }

    /// Label Studio's `uid`, which identifies browsers in its log: a UUID, version 8 (RFC 9562
    /// §5.8). It doesn't reveal the place.
    pub(super) fn uid(&self) -> String {
        let hash = SaltedHmac::new("label-studio-gate.uid", &self.digest).digest(b"");
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes)
            .into_uuid()
            .to_string()
    }
}
