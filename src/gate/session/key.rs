//! Session keys: random, and yet found again by the credential that opened the session.
//!
//! A key begins with its [`Place`], which is derived from the credential and the user. There requests that bring the same credential
//! meet, at once or one after the other, through however many gates. The rest of the key is drawn at random, so that a session that was
//! ended never comes back: whoever replays the credential gets a session with another key.

use std::time::{Duration, SystemTime};

use crate::django::{base36, salted_hmac};
use crate::gate::clock::unix_seconds_f64;
use crate::gate::entropy::Entropy;
use crate::gate::user::ActiveUser;
use crate::gate::verify::VerifiedClaims;

/// Characters of the key that name the place: 82 bits.
const PLACE_LENGTH: usize = 16;
/// Random characters of the key: 124 bits. Both fill the column, which holds 40.
const RANDOM_LENGTH: usize = 24;

/// Where the requests that bring one credential of one user meet.
pub(super) struct Place {
    digest: [u8; 32],
    prefix: String,
}

impl Place {
    /// The place of these claims of this user, whose sessions Label Studio ends after `limit`.
    ///
    /// Only a holder of `SECRET_KEY` can compute it. The password column is part of it, since after a change of password a session of before
    /// holds a hash that Django refuses. So is, for a credential that outlives sessions, the stretch of its life that has begun: the session of
    /// an earlier one is too old for Label Studio.
    pub(super) fn of(
        secret: &[u8],
        claims: &VerifiedClaims,
        user: &ActiveUser,
        limit: Duration,
        now: SystemTime,
    ) -> Self {
        let (now, limit) = (unix_seconds_f64(now), limit.as_secs_f64());
        let stretch = match claims.expires() {
            Some(expires) => ((expires - now) / limit).ceil(),
            None => (now / limit).floor(),
        };
        let mut input = Vec::with_capacity(32 + 4 + 8 + user.password().len());
        input.extend_from_slice(claims.fingerprint().as_bytes());
        input.extend_from_slice(&user.id().to_be_bytes());
        input.extend_from_slice(&stretch.to_be_bytes());
        input.extend_from_slice(user.password().as_bytes());
        let digest = salted_hmac("label-studio-gate.session-place", secret, &input);
        Self {
            prefix: base36(&digest, PLACE_LENGTH),
            digest,
        }
    }

    /// What every key of this place begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A new key.
    pub(super) fn key(&self, entropy: &dyn Entropy) -> String {
        let random = base36(&entropy.sixteen(), RANDOM_LENGTH);
        format!("{}{random}", self.prefix)
    }

    /// Label Studio's `uid`, by which it tells browsers apart in its own log: a UUID, version 8 (RFC 9562 §5.8), of which the place is no part.
    pub(super) fn uid(&self) -> String {
        let hash = salted_hmac("label-studio-gate.uid", &self.digest, b"");
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes)
            .into_uuid()
            .to_string()
    }
}
