//! The keys of an issuer, and which of them may have signed a token.
//!
//! A key knows the algorithms it is good for (RFC 8725 §3.1); a token's header is only compared with them. So a public key is never an
//! HMAC secret, whatever a token says.

use std::sync::Arc;

use async_trait::async_trait;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::reason::Outage;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// RFC 7518 §3.3: RSA keys have 2048 bits or more.
const SHORTEST_MODULUS: usize = 256;

/// More keys than this no issuer has; each may cost a verification.
const MOST_KEYS: usize = 64;

/// Object identifiers of `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7), in DER.
const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const PRIME256V1: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const SECP384R1: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const ID_ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

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

    fn of(key: DecodingKey, algorithms: &[Algorithm]) -> Self {
        Self {
            id: None,
            algorithms: algorithms.to_vec(),
            key,
        }
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
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
        if blocks.is_empty() {
            return Err(KeyError::NotPem);
        }
        let keys = blocks.iter().map(public_key).collect::<Result<_, _>>()?;
        Ok(Self(keys))
    }

    /// The keys for signatures of a JSON Web Key Set. Keys of other kinds are passed over, as RFC 7517 §5 has it.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        let set: Value = serde_json::from_slice(json).map_err(|_| KeyError::NotKeySet)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeyError::NotKeySet)?.iter();
        let usable: Vec<_> = keys.filter_map(from_jwk).take(MOST_KEYS).collect();
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
        for key in &mut self.0 {
            key.algorithms
                .retain(|algorithm| allowed.contains(algorithm));
        }
        self.0.retain(|key| !key.algorithms.is_empty());
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

/// The key in a block of PEM. Its kind is read from the algorithm identifier, which stands at the beginning.
fn public_key(block: &pem::Pem) -> Result<VerificationKey, KeyError> {
    match block.tag() {
        "PUBLIC KEY" => {}
        tag if tag.contains("PRIVATE") => return Err(KeyError::Private),
        _ => return Err(KeyError::NotPem),
    }
    let der = block.contents();
    let head = &der[..der.len().min(40)];
    let names = |identifier: &[u8]| {
        head.windows(identifier.len())
            .any(|part| part == identifier)
    };
    let text = pem::encode(block);
    let unsupported = |_| KeyError::Unsupported;
    if names(RSA_ENCRYPTION) {
        if der.len() < SHORTEST_MODULUS {
            return Err(KeyError::Weak);
        }
        let key = DecodingKey::from_rsa_pem(text.as_bytes()).map_err(unsupported)?;
        return Ok(VerificationKey::of(key, RSA));
    }
    if names(ID_ED25519) {
        let key = DecodingKey::from_ed_pem(text.as_bytes()).map_err(unsupported)?;
        return Ok(VerificationKey::of(key, ED25519));
    }
    let curve = match (names(PRIME256V1), names(SECP384R1)) {
        (true, _) => P256,
        (_, true) => P384,
        _ => return Err(KeyError::Unsupported),
    };
    let key = DecodingKey::from_ec_pem(text.as_bytes()).map_err(unsupported)?;
    Ok(VerificationKey::of(key, curve))
}

/// A key of a set, if it is one for signatures that anybody may verify. A symmetric key in a public document is no secret.
fn from_jwk(value: &Value) -> Option<VerificationKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let common = &jwk.common;
    let for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let may_verify = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if modulus_bytes(&rsa.n) >= SHORTEST_MODULUS => RSA,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => P256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => P384,
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => ED25519,
        _ => return None,
    };
    if !for_signatures || !may_verify {
        return None;
    }
    let mut key = VerificationKey::of(DecodingKey::from_jwk(&jwk).ok()?, family);
    key.id.clone_from(&common.key_id);
    if let Some(named) = common.key_algorithm {
        let named: Algorithm = named.to_string().parse().ok()?;
        key.algorithms.retain(|algorithm| *algorithm == named);
    }
    (!key.algorithms.is_empty()).then_some(key)
}

/// How many bytes the base64url text stands for.
const fn modulus_bytes(text: &str) -> usize {
    text.len() * 3 / 4
}
