//! The keys of an issuer, and which of them may have signed a token.
//!
//! A key knows the algorithms it is good for (RFC 8725 §3.1); a token's header is only compared with them. So a public key is never an
//! HMAC secret, whatever a token says.

use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::reason::Outage;
use super::public_key;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// More keys than this no issuer has; each may cost a verification.
const MOST_KEYS: usize = 64;

/// Where the keys of an issuer come from when they are not in the settings.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The keys as they were last read; never waits.
    fn current(&self) -> Option<Arc<KeySet>>;

    /// Reads them again, because a token names one that is not there. Within the cool-down of the last reading it is that reading's outcome.
    async fn renew(&self) -> Result<Arc<KeySet>, Outage>;
}

/// A key with which signatures are verified.
#[derive(Clone)]
pub struct VerificationKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl VerificationKey {
    /// A shared secret.
    pub fn secret(secret: &SecretString) -> Self {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self::of(key, HMAC)
    }

    pub(super) fn of(key: DecodingKey, algorithms: &[Algorithm]) -> Self {
        Self {
            id: None,
            algorithms: algorithms.to_vec(),
            key,
        }
    }

    /// The same key under a name (RFC 7517 §4.5).
    pub(super) fn named(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// The same key for those of its algorithms that are in `allowed`; `None`: for none of them.
    pub(super) fn restricted(mut self, allowed: &[Algorithm]) -> Option<Self> {
        self.algorithms
            .retain(|algorithm| allowed.contains(algorithm));
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// The same key for HS256 alone, the algorithm of everything that is signed with `SECRET_KEY`.
    pub fn for_hs256(mut self) -> Self {
        self.algorithms = vec![Algorithm::HS256];
        self
    }

    /// Whether it is good for `algorithm`.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// For the signature itself.
    pub const fn key(&self) -> &DecodingKey {
        &self.key
    }
}

/// Why there are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM.
    #[error("is no public key in PEM form (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// A secret in the wrong place.
    #[error(
        "is a private key: the gate needs the public one, and nobody but the issuer should have the private one"
    )]
    Private,
    /// Another kind of key.
    #[error("is a key of a kind that is not supported: RSA, EC on P-256 or P-384, Ed25519")]
    Unsupported,
    /// RFC 7518 §3.3.
    #[error("is an RSA key of less than 2048 bits")]
    Weak,
    /// No JSON Web Key Set (RFC 7517 §5).
    #[error("is no JSON Web Key Set (RFC 7517)")]
    NotKeySet,
    /// Nothing usable in it.
    #[error("holds no key for signatures")]
    Empty,
}

/// The keys of one issuer, current and former.
#[derive(Clone, Default)]
pub struct KeySet(Vec<VerificationKey>);

/// Tells how many there are, and none of them.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

/// Which keys of a set may have signed a token.
pub enum Candidates<'k> {
    /// These.
    Keys(Vec<&'k VerificationKey>),
    /// The token names a key that is not there.
    Unknown,
}

impl KeySet {
    /// Shared secrets.
    pub fn from_secrets(secrets: &[SecretString]) -> Self {
        Self(secrets.iter().map(VerificationKey::secret).collect())
    }

    /// Public keys in PEM form (RFC 7468 §13), one or several in a text.
    ///
    /// A line feed may be written as the two characters `\n`: the only way in which a `.env` file has a PEM on one line.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = text.replace("\\r", "").replace("\\n", "\n");
        let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
        if blocks.is_empty() {
            return Err(KeyError::NotPem);
        }
        let keys = blocks.iter().map(public_key::from_pem);
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// The keys for signatures of a JSON Web Key Set. Keys of other kinds are passed over, as RFC 7517 §5 has it.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        let set: Value = serde_json::from_slice(json).map_err(|_| KeyError::NotKeySet)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeyError::NotKeySet)?.iter();
        let usable: Vec<_> = keys
            .filter_map(public_key::from_jwk)
            .take(MOST_KEYS)
            .collect();
        if usable.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(usable))
    }

    /// Puts the keys of `more` behind these.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Takes away every algorithm that is not in `allowed`, and the keys for which none is left.
    pub fn restrict(&mut self, allowed: &[Algorithm]) {
        let keys = std::mem::take(&mut self.0).into_iter();
        self.0 = keys.filter_map(|key| key.restricted(allowed)).collect();
    }

    /// Whether there is no key.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token whose header names `id` may be signed with. A key without a name may be meant by any.
    pub fn candidates(&self, id: Option<&str>) -> Candidates<'_> {
        let fits = |key: &&VerificationKey| match (id, &key.id) {
            (Some(id), Some(own)) => id == own,
            _ => true,
        };
        let keys: Vec<_> = self.0.iter().filter(fits).collect();
        if keys.is_empty() {
            Candidates::Unknown
        } else {
            Candidates::Keys(keys)
        }
    }
}
