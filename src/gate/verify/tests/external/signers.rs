//! Issuers' keys, one per algorithm family.

use std::sync::LazyLock;

use jsonwebtoken::jwk::Jwk;

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
}

impl Signer {
    fn secret() -> Self {
        Self {
            encoding: EncodingKey::from_secret(SHARED.as_bytes()),
            pem: None,
        }
    }

    pub(super) fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let private = pair.serialize_pem();
        let private = private.as_bytes();
        let encoding = if algorithm == &rcgen::PKCS_RSA_SHA256 {
            EncodingKey::from_rsa_pem(private)
        } else if algorithm == &rcgen::PKCS_ED25519 {
            EncodingKey::from_ed_pem(private)
        } else {
            EncodingKey::from_ec_pem(private)
        };
        Self {
            encoding: encoding.expect("a private key"),
            pem: Some(pair.public_key_pem()),
        }
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.encoding).expect("signed")
    }

    /// The key as a JWK with this ID.
    pub(super) fn jwk(&self, algorithm: Algorithm, id: &str) -> Value {
        let mut jwk = match &self.pem {
            // jsonwebtoken doesn't write Ed25519 keys. RFC 8037 §2: `x` is the last 32 bytes of the
            // public key.
            Some(pem) if algorithm == Algorithm::EdDSA => {
                let key = pem::parse(pem).expect("PEM").into_contents();
                let x = URL_SAFE_NO_PAD.encode(&key[key.len() - 32..]);
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x})
            }
            _ => {
                let jwk = Jwk::from_encoding_key(&self.encoding, algorithm);
                serde_json::to_value(jwk.expect("a public key")).expect("JSON")
            }
        };
        jwk["kid"] = id.into();
        jwk
    }
}

pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_RSA_SHA256));
static P256: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ECDSA_P256_SHA256));
static P384: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ECDSA_P384_SHA384));
static ED25519: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ED25519));
static HMAC_SECRET: LazyLock<Signer> = LazyLock::new(Signer::secret);

pub(super) fn signer(algorithm: Algorithm) -> &'static Signer {
    crate::startup::install_crypto();
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => &HMAC_SECRET,
        Algorithm::ES256 => &P256,
        Algorithm::ES384 => &P384,
        Algorithm::EdDSA => &ED25519,
        _ => &RSA,
    }
}
