//! Keys as operators configure them and key servers publish them.

use super::*;

#[test]
fn key_works_only_for_its_algorithms_and_use() {
    let rs512 = signer(Algorithm::RS512).sign(&Header::new(Algorithm::RS512), &good_claims());
    let mut keys = KeySet::from_pem(RSA.pem.as_deref().expect("PEM")).expect("a key");
    keys.restrict(&[Algorithm::RS256, Algorithm::PS256]);
    let issuer = issuer(Keys::Configured(keys));
    assert_eq!(
        judge(vec![issuer], &rs512),
        Err(CredentialError::TokenAlgorithmRefused)
    );
    // In a set, `alg` restricts the key (RFC 7517 §4.4).
    let set = json!({"keys": [RSA.jwk(Algorithm::RS256, "now")]}).to_string();
    let keys = KeySet::from_jwks(set.as_bytes()).expect("a key");
    let issuer = self::issuer(Keys::Configured(keys));
    assert_eq!(
        judge(vec![issuer], &rs512),
        Err(CredentialError::TokenAlgorithmRefused)
    );
    for refused in [
        json!({"use": "enc"}),
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "RSA-OAEP"}),
    ] {
        let mut jwk = RSA.jwk(Algorithm::RS256, "now");
        for (name, value) in refused.as_object().expect("an object") {
            jwk[name] = value.clone();
        }
        let set = json!({"keys": [jwk]}).to_string();
        let outcome = KeySet::from_jwks(set.as_bytes()).map(|keys| keys.len());
        assert_eq!(outcome, Err(KeyError::Empty), "{refused}");
    }
}

#[test]
fn invalid_public_key_is_refused_with_the_reason() {
    let private = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    for (text, expected) in [
        ("", KeyError::NotPem),
        ("secret", KeyError::NotPem),
        (private.as_str(), KeyError::Private),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            KeyError::Unsupported,
        ),
    ] {
        let found = KeySet::from_pem(text).map(|keys| keys.len());
        assert_eq!(found, Err(expected), "{text}");
    }
    for (json, expected) in [
        ("<html>", KeyError::NotKeySet),
        ("[]", KeyError::NotKeySet),
        (r#"{"keys": {}}"#, KeyError::NotKeySet),
        (r#"{"keys": []}"#, KeyError::Empty),
        (
            r#"{"keys": [1, null, {"kty": "oct", "k": "AA"}]}"#,
            KeyError::Empty,
        ),
    ] {
        let found = KeySet::from_jwks(json.as_bytes()).map(|keys| keys.len());
        assert_eq!(found, Err(expected), "{json}");
    }
}

/// An odd number with this many bits, like a modulus.
fn modulus(bits: usize) -> Vec<u8> {
    let mut number = vec![0x5a; bits.div_ceil(8)];
    let top = (bits - 1) % 8;
    number[0] = 1 << top;
    *number.last_mut().expect("some bits") |= 1;
    number
}

/// A PEM of RFC 5280 §4.1.2.7 with an RSA key of RFC 8017 §A.1.1.
fn rsa_pem(modulus: &[u8]) -> String {
    use spki::der::Encode as _;
    use spki::der::asn1::{AnyRef, BitStringRef, UintRef};
    let key = pkcs1::RsaPublicKey {
        modulus: UintRef::new(modulus).expect("a number"),
        public_exponent: UintRef::new(&[1, 0, 1]).expect("65537"),
    };
    let key = key.to_der().expect("DER");
    let info = spki::SubjectPublicKeyInfo {
        algorithm: spki::AlgorithmIdentifier {
            oid: spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
            parameters: Some(AnyRef::NULL),
        },
        subject_public_key: BitStringRef::from_bytes(&key).expect("bits"),
    };
    pem::encode(&pem::Pem::new("PUBLIC KEY", info.to_der().expect("DER")))
}

#[test]
fn rsa_modulus_needs_2048_bits_without_leading_zeros() {
    // 1,776 bits: the DER has 256 bytes, but the modulus only 222.
    for bits in [512, 1024, 1776, 2040, 2047, 2048, 2049, 3072, 4096] {
        let expected = if bits < 2048 {
            Err(KeyError::Weak)
        } else {
            Ok(1)
        };
        let modulus = modulus(bits);
        let found = KeySet::from_pem(&rsa_pem(&modulus)).map(|keys| keys.len());
        assert_eq!(found, expected, "PEM, {bits} bits");
        for zeros in [0, 1, 300] {
            let padded = [vec![0; zeros], modulus.clone()].concat();
            let jwk = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(padded), "e": "AQAB"});
            let set = json!({"keys": [jwk]}).to_string();
            let found = KeySet::from_jwks(set.as_bytes()).map(|keys| keys.len());
            let expected = expected.map_err(|_| KeyError::Empty);
            assert_eq!(found, expected, "JWK, {bits} bits, {zeros} leading zeros");
        }
    }
    for n in ["", "AA", "not base64url!"] {
        let set = json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]}).to_string();
        let found = KeySet::from_jwks(set.as_bytes()).map(|keys| keys.len());
        assert_eq!(found, Err(KeyError::Empty), "{n:?}");
    }
}

/// A `.env` file or a compose environment variable has one line per value.
#[test]
fn pem_on_one_line_is_accepted() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let pem = signer(algorithm).pem.as_deref().expect("a public key");
        let token = signer(algorithm).sign(&Header::new(algorithm), &good_claims());
        for text in [
            pem.to_owned(),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\\r\\n"),
            pem.replace('\n', "\r\n"),
            format!("{0}{0}", pem.replace('\n', "\\n")),
        ] {
            let keys = KeySet::from_pem(&text).expect("a public key");
            let found = judge(vec![issuer(Keys::Configured(keys))], &token);
            assert!(found.is_ok(), "{algorithm:?}: {text:?}: {found:?}");
        }
    }
}

#[test]
fn old_and_new_keys_work_together() {
    let [old, new] = [
        "an-old-secret-of-more-than-32-bytes!",
        "a-new-secret-of-more-than-32-bytes!!",
    ];
    for secret in [old, new] {
        let keys = KeySet::from_secrets(&[new.into(), old.into()]);
        let token = sign(Algorithm::HS256, secret, &good_claims());
        assert!(judge(vec![issuer(Keys::Configured(keys))], &token).is_ok());
    }
    let other = Signer::generate();
    let pems = format!(
        "{}{}",
        signer(Algorithm::ES256).pem.as_deref().expect("PEM"),
        other.pem.as_deref().expect("PEM")
    );
    for signer in [&other, signer(Algorithm::ES256)] {
        let keys = KeySet::from_pem(&pems).expect("two keys");
        let token = signer.sign(&Header::new(Algorithm::ES256), &good_claims());
        assert!(judge(vec![issuer(Keys::Configured(keys))], &token).is_ok());
    }
}
