//! Signatures of tokens: JWS (RFC 7515) with the algorithms of RFC 7518 §3 and RFC 8037.
//!
//! In: a key, an algorithm and a text. Out: the text's signature, or whether the signature it came
//! with is valid. Afterwards, the algorithm is of the key's family (RFC 8725 §3.1).
//!
//! jsonwebtoken provides the keys, and ring the cryptography. jsonwebtoken's own functions do the
//! same with a provider that has to be installed first, and panic without one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Header};
use ring::error::{KeyRejected, Unspecified};
use ring::hmac::{self as mac, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Serialize;

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// Not a private key in PEM form.
    #[error("not PEM of PKCS #8, or of PKCS #1 for RSA")]
    NotPem,
    /// The key is of another family.
    #[error("the key is not for this algorithm")]
    Family,
    /// ring rejects the key.
    #[error("{0}")]
    Key(#[from] KeyRejected),
    /// The operating system has no random bytes.
    #[error("signing failed")]
    Failed(#[from] Unspecified),
}

/// An algorithm in ring's terms: what verifies, and what signs.
enum Scheme {
    Hmac(mac::Algorithm),
    Rsa(&'static RsaParameters, &'static dyn RsaEncoding),
    Ecdsa(
        &'static EcdsaVerificationAlgorithm,
        &'static EcdsaSigningAlgorithm,
    ),
    Ed25519,
}

impl Scheme {
    fn of(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::HS256 => Self::Hmac(HMAC_SHA256),
            Algorithm::HS384 => Self::Hmac(HMAC_SHA384),
            Algorithm::HS512 => Self::Hmac(HMAC_SHA512),
            Algorithm::RS256 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384, &RSA_PKCS1_SHA384),
            Algorithm::RS512 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512, &RSA_PKCS1_SHA512),
            Algorithm::PS256 => Self::Rsa(&RSA_PSS_2048_8192_SHA256, &RSA_PSS_SHA256),
            Algorithm::PS384 => Self::Rsa(&RSA_PSS_2048_8192_SHA384, &RSA_PSS_SHA384),
            Algorithm::PS512 => Self::Rsa(&RSA_PSS_2048_8192_SHA512, &RSA_PSS_SHA512),
            Algorithm::ES256 => {
                Self::Ecdsa(&ECDSA_P256_SHA256_FIXED, &ECDSA_P256_SHA256_FIXED_SIGNING)
            }
            Algorithm::ES384 => {
                Self::Ecdsa(&ECDSA_P384_SHA384_FIXED, &ECDSA_P384_SHA384_FIXED_SIGNING)
            }
            Algorithm::EdDSA => Self::Ed25519,
            _ => return None,
        })
    }
}

/// Whether `signature`, in base64url, is the one of `message` under `key`.
#[must_use]
pub fn is_signed(message: &[u8], signature: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    key.family() == algorithm.family() && verify(message, &signature, key, algorithm).is_ok()
}

fn verify(
    message: &[u8],
    signature: &[u8],
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<(), Unspecified> {
    use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
    let scheme = Scheme::of(algorithm).ok_or(Unspecified)?;
    match (scheme, key.kind()) {
        (Scheme::Hmac(hash), SecretOrDer(secret)) => {
            mac::verify(&mac::Key::new(hash, secret), message, signature)
        }
        (Scheme::Rsa(scheme, _), RsaModulusExponent { n, e }) => {
            RsaPublicKeyComponents { n, e }.verify(scheme, message, signature)
        }
        (Scheme::Rsa(scheme, _), SecretOrDer(key)) => {
            UnparsedPublicKey::new(scheme, key).verify(message, signature)
        }
        (Scheme::Ecdsa(scheme, _), SecretOrDer(point)) => {
            UnparsedPublicKey::new(scheme, point).verify(message, signature)
        }
        (Scheme::Ed25519, SecretOrDer(key)) => {
            UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
        }
        (_, RsaModulusExponent { .. }) => Err(Unspecified),
    }
}

/// A private key in PEM form: PKCS #8 (RFC 5958), or PKCS #1 (RFC 8017 §A.1.2) for RSA. It is one
/// that can sign.
pub fn private_key(pem: &str, algorithm: Algorithm) -> Result<EncodingKey, SigningError> {
    let block = pem::parse(pem).map_err(|_| SigningError::NotPem)?;
    let der = block.contents();
    let key = match (algorithm.family(), block.tag()) {
        (AlgorithmFamily::Rsa, "PRIVATE KEY" | "RSA PRIVATE KEY") => EncodingKey::from_rsa_der(der),
        (AlgorithmFamily::Ec, "PRIVATE KEY") => EncodingKey::from_ec_der(der),
        (AlgorithmFamily::Ed, "PRIVATE KEY") => EncodingKey::from_ed_der(der),
        _ => return Err(SigningError::NotPem),
    };
    sign(b"", &key, algorithm)?;
    Ok(key)
}

/// The signature of `message` in base64url.
pub fn sign(
    message: &[u8],
    key: &EncodingKey,
    algorithm: Algorithm,
) -> Result<String, SigningError> {
    let scheme = Scheme::of(algorithm).filter(|_| key.family() == algorithm.family());
    let (key, random) = (key.as_bytes(), SystemRandom::new());
    Ok(match scheme.ok_or(SigningError::Family)? {
        Scheme::Hmac(hash) => URL_SAFE_NO_PAD.encode(mac::sign(&mac::Key::new(hash, key), message)),
        Scheme::Rsa(_, padding) => {
            let key = RsaKeyPair::from_der(key).or_else(|_| RsaKeyPair::from_pkcs8(key))?;
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(padding, &random, message, &mut signature)?;
            URL_SAFE_NO_PAD.encode(signature)
        }
        Scheme::Ecdsa(_, scheme) => {
            let key = EcdsaKeyPair::from_pkcs8(scheme, key, &random)?;
            URL_SAFE_NO_PAD.encode(key.sign(&random, message)?)
        }
        Scheme::Ed25519 => {
            // OpenSSL writes the private key only.
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key)?;
            URL_SAFE_NO_PAD.encode(key.sign(message))
        }
    })
}

/// A token in compact form (RFC 7515 §7.1), signed with the header's algorithm.
pub fn encode(
    header: &Header,
    claims: &impl Serialize,
    key: &EncodingKey,
) -> Result<String, SigningError> {
    let part = |json: serde_json::Result<Vec<u8>>| {
        URL_SAFE_NO_PAD.encode(json.expect("headers and claims are JSON"))
    };
    let header_part = part(serde_json::to_vec(header));
    let message = format!("{header_part}.{}", part(serde_json::to_vec(claims)));
    let signature = sign(message.as_bytes(), key, header.alg)?;
    Ok(format!("{message}.{signature}"))
}
