//! Public keys in PEM (RFC 7468 §13) and as JSON Web Keys (RFC 7517).
//!
//! In: what an operator configured or a key server published. Out: a [`VerificationKey`] that knows
//! its algorithms. Afterwards, an RSA modulus has at least 2048 bits, not counting leading zeros.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use spki::der::Decode as _;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::keys::{KeyError, VerificationKey};

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

/// RFC 7518 §3.3: RSA keys have at least 2048 bits.
const MIN_MODULUS_BITS: usize = 2048;

/// RFC 8017 §A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410 §3.
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 §2.1.1.
const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// With this byte a point begins that has both coordinates (SEC 1 §2.3.3). ring reads no others.
const UNCOMPRESSED: u8 = 4;
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Reads a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) from a PEM block. Its algorithm identifier
/// determines the key's algorithms.
pub(super) fn from_pem(block: &pem::Pem) -> Result<VerificationKey, KeyError> {
    match block.tag() {
        "PUBLIC KEY" => {}
        tag if tag.contains("PRIVATE") => return Err(KeyError::Private),
        _ => return Err(KeyError::NotPem),
    }
    let info = SubjectPublicKeyInfoRef::from_der(block.contents());
    let info = info.map_err(|_| KeyError::Unsupported)?;
    let bits = info.subject_public_key.as_bytes();
    let bits = bits.ok_or(KeyError::Unsupported)?;
    let (key, algorithms) = match info.algorithm.oid {
        RSA_ENCRYPTION => {
            check_rsa(bits)?;
            (DecodingKey::from_rsa_der(bits), RSA)
        }
        ID_ED25519 => (DecodingKey::from_ed_der(bits), ED25519),
        ID_EC_PUBLIC_KEY if bits.first() == Some(&UNCOMPRESSED) => {
            let algorithms = match info.algorithm.parameters_oid() {
                Ok(SECP256R1) => P256,
                Ok(SECP384R1) => P384,
                _ => return Err(KeyError::Unsupported),
            };
            (DecodingKey::from_ec_der(bits), algorithms)
        }
        _ => return Err(KeyError::Unsupported),
    };
    Ok(VerificationKey::of(key, algorithms))
}

/// RFC 8017 §A.1.1.
fn check_rsa(der: &[u8]) -> Result<(), KeyError> {
    let key = pkcs1::RsaPublicKey::from_der(der).map_err(|_| KeyError::Unsupported)?;
    match bit_length(key.modulus.as_bytes()) {
        ..MIN_MODULUS_BITS => Err(KeyError::Weak),
        _ => Ok(()),
    }
}

/// Reads a key of a set if it is a public signature key. Symmetric keys are skipped: in a public
/// document they aren't secret.
pub(super) fn from_jwk(value: &Value) -> Option<VerificationKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let common = &jwk.common;
    let for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
    let may_verify = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let (key, family) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => (rsa_key(&rsa.n, &rsa.e)?, RSA),
        AlgorithmParameters::EllipticCurve(ec) => {
            let family = match ec.curve {
                EllipticCurve::P256 => P256,
                EllipticCurve::P384 => P384,
                _ => return None,
            };
            (DecodingKey::from_ec_components(&ec.x, &ec.y).ok()?, family)
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            (DecodingKey::from_ed_components(&okp.x).ok()?, ED25519)
        }
        _ => return None,
    };
    if !for_signatures || !may_verify {
        return None;
    }
    let key = VerificationKey::of(key, family).named(common.key_id.clone());
    match common.key_algorithm {
        Some(named) => key.restricted(&[named.to_string().parse().ok()?]),
        None => Some(key),
    }
}

/// A key with this `n` and `e` (RFC 7518 §6.3.1), if it is long enough.
fn rsa_key(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let [n, e] = [modulus, exponent].map(|number| URL_SAFE_NO_PAD.decode(number).ok());
    let (n, e) = (n?, e?);
    // Some libraries write a leading zero, which ring refuses.
    let key = DecodingKey::from_rsa_raw_components(significant(&n), significant(&e));
    (bit_length(&n) >= MIN_MODULUS_BITS).then_some(key)
}

/// A big-endian number without leading zeros.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Counts the bits of a big-endian number without leading zeros.
fn bit_length(number: &[u8]) -> usize {
    let number = significant(number);
    number.first().map_or(0, |first| {
        number.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0)
    })
}
