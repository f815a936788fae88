//! Issuers' keys, one per algorithm family.

use std::sync::LazyLock;

use super::vectors::vector;
use super::*;

pub(super) const ALGORITHMS: &[Algorithm] = &[
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A shared secret long enough for HS512.
pub(super) const SHARED: &str =
    "a-secret-that-two-services-share-and-that-has-more-than-sixty-four-bytes";

/// An issuer's key pair or secret.
pub(super) struct Signer {
    pub(super) encoding: EncodingKey,
    pub(super) pem: Option<String>,
    jwk: Value,
}

impl Signer {
    fn secret() -> Self {
        Self {
            encoding: EncodingKey::from_secret(SHARED.as_bytes()),
            pem: None,
            jwk: Value::Null,
        }
    }

    /// A new key pair on P-256.
    pub(super) fn generate() -> Self {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let encoding = jws::private_key(&pair.serialize_pem(), Algorithm::ES256);
        Self {
            encoding: encoding.expect("a private key"),
            pem: Some(pair.public_key_pem()),
            jwk: Value::Null,
        }
    }

    /// The key pair with this name in the vectors.
    fn pair(name: &str, algorithm: Algorithm) -> Self {
        let vector = vector(name);
        let text = |name: &str| vector[name].as_str().expect("a text");
        let encoding = jws::private_key(text("private"), algorithm);
        Self {
            encoding: encoding.expect("a private key"),
            pem: Some(text("public").to_owned()),
            jwk: vector["jwk"].clone(),
        }
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jws::encode(header, claims, &self.encoding).expect("signed")
    }

    /// The key as a JWK with this ID.
    pub(super) fn jwk(&self, algorithm: Algorithm, id: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["alg"] = format!("{algorithm:?}").into();
        jwk["kid"] = id.into();
        jwk
    }
}

pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::pair("RSA", Algorithm::RS256));
static P256: LazyLock<Signer> = LazyLock::new(|| Signer::pair("P-256", Algorithm::ES256));
static P384: LazyLock<Signer> = LazyLock::new(|| Signer::pair("P-384", Algorithm::ES384));
static ED25519: LazyLock<Signer> = LazyLock::new(|| Signer::pair("Ed25519", Algorithm::EdDSA));
static HMAC_SECRET: LazyLock<Signer> = LazyLock::new(Signer::secret);

pub(super) fn signer(algorithm: Algorithm) -> &'static Signer {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => &HMAC_SECRET,
        Algorithm::ES256 => &P256,
        Algorithm::ES384 => &P384,
        Algorithm::EdDSA => &ED25519,
        _ => &RSA,
    }
}
