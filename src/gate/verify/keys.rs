//! An issuer's keys, and which of them may have signed a token.
//!
//! In: secrets, PEM or a JSON Web Key Set, and a token's key ID. Out: candidate keys. Afterwards,
//! each key knows the algorithms it may be used with (RFC 8725 §3.1); a token's header is only
//! compared with them. So a public key is never used as an HMAC secret, whatever a token says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::observer::Cut;
use super::super::reason::Outage;
use super::{public_key, secret_form};

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// Upper limit on the keys of a set. No issuer has more, and each may cost a verification.
const MAX_KEYS: usize = 64;

/// Provides an issuer's keys when they aren't in the settings.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The keys as last fetched. Never waits.
    fn current(&self) -> Option<Arc<KeySet>>;

    /// Fetches the keys again because a token names an unknown one, `id`. During the cool-down after
    /// a fetch, returns that fetch's result.
    async fn renew(&self, id: Option<&str>) -> Result<Arc<KeySet>, Outage>;
}

/// A key that verifies signatures.
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

    /// The same key with an ID (RFC 7517 §4.5).
    pub(super) fn named(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// The same key, limited to `allowed` algorithms; `None` if none is left.
    pub(super) fn restricted(mut self, allowed: &[Algorithm]) -> Option<Self> {
        self.algorithms
            .retain(|algorithm| allowed.contains(algorithm));
        (!self.algorithms.is_empty()).then_some(self)
    }

    /// The same key, limited to HS256, the algorithm of everything signed with `SECRET_KEY`.
    pub fn for_hs256(mut self) -> Self {
        self.algorithms = vec![Algorithm::HS256];
        self
    }

    /// Whether the key may be used with `algorithm`.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// What an operator knows the key by: its ID and algorithms, never the key itself.
    pub(super) fn label(&self) -> impl fmt::Display + '_ {
        KeyLabel(self)
    }

    /// In which other form the key, if it is a shared secret, made a signature: `made_by` checks one.
    pub(super) fn right_form(
        &self,
        made_by: impl Fn(&DecodingKey) -> bool,
    ) -> Option<&'static str> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(secret) if self.key.family() == AlgorithmFamily::Hmac => {
                secret_form::right_form(secret, |form| made_by(&DecodingKey::from_secret(form)))
            }
            _ => None,
        }
    }

    /// The key for the signature check.
    pub const fn key(&self) -> &DecodingKey {
        &self.key
    }
}

struct KeyLabel<'k>(&'k VerificationKey);

impl fmt::Display for KeyLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.id {
            Some(id) => write!(f, "key {}", Cut(id))?,
            None if HMAC.contains(&self.0.algorithms[0]) => f.write_str("a shared secret")?,
            None => f.write_str("a key without an ID")?,
        }
        write!(f, " {:?}", self.0.algorithms)
    }
}

/// Why keys can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM.
    #[error("is not a public key in PEM form (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// A private key where a public one belongs.
    #[error(
        "is a private key: the gate needs the public key, and only the issuer should have the private one"
    )]
    Private,
    /// An unsupported kind of key.
    #[error("is an unsupported kind of key; supported: RSA, EC on P-256 or P-384, Ed25519")]
    Unsupported,
    /// RFC 7518 §3.3.
    #[error("is an RSA key with fewer than 2048 bits")]
    Weak,
    /// Not a JSON Web Key Set (RFC 7517 §5).
    #[error("is not a JSON Web Key Set (RFC 7517)")]
    NotKeySet,
    /// No usable key.
    #[error("contains no signature key")]
    Empty,
}

/// The current and former keys of one issuer.
#[derive(Clone, Default)]
pub struct KeySet(Vec<VerificationKey>);

/// Shows the number of keys but none of them.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

/// Which keys of a set may have signed a token.
pub enum Candidates<'k> {
    /// These.
    Keys(Vec<&'k VerificationKey>),
    /// The token names an unknown key.
    Unknown,
}

impl KeySet {
    /// Shared secrets.
    pub fn from_secrets(secrets: &[SecretString]) -> Self {
        Self(secrets.iter().map(VerificationKey::secret).collect())
    }

    /// Public keys in PEM (RFC 7468 §13), one or several in a text.
    ///
    /// A line feed may be written as the two characters `\n`, the only way to put a PEM on one line
    /// of a `.env` file.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = text.replace("\\r", "").replace("\\n", "\n");
        let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
        if blocks.is_empty() {
            return Err(KeyError::NotPem);
        }
        let keys = blocks.iter().map(public_key::from_pem);
        Ok(Self(keys.collect::<Result<_, _>>()?))
    }

    /// The signature keys of a JSON Web Key Set. Skips other keys, as RFC 7517 §5 says.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        let set: Value = serde_json::from_slice(json).map_err(|_| KeyError::NotKeySet)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeyError::NotKeySet)?.iter();
        let usable: Vec<_> = keys
            .filter_map(public_key::from_jwk)
            .take(MAX_KEYS)
            .collect();
        if usable.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(usable))
    }

    /// The same keys, all with this ID.
    pub fn named(self, id: &str) -> Self {
        let keys = self.0.into_iter();
        Self(keys.map(|key| key.named(Some(id.to_owned()))).collect())
    }

    /// The IDs of the keys that have one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|key| key.id.as_deref())
    }

    /// Appends the keys of `more`.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Removes every algorithm that is not in `allowed`, and the keys that have none left.
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

    /// The keys' labels, for the log.
    pub(super) fn labels(&self) -> impl fmt::Display + '_ {
        KeyLabels(&self.0)
    }

    /// The keys that may have signed a token whose header names `id`. A key without an ID matches
    /// any.
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

struct KeyLabels<'k>(&'k [VerificationKey]);

impl fmt::Display for KeyLabels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{}", key.label())?;
        }
        Ok(())
    }
}
