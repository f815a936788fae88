//! Tokens that another library signed (`tests/vectors/signatures.json`), and keys that it wrote.

use super::*;
use crate::gate::verify::keys::Candidates;

/// The key with this name, with its tokens.
pub(super) fn vector(name: &str) -> Value {
    let text = include_str!("../../../../../tests/vectors/signatures.json");
    let vectors: Value = serde_json::from_str(text).expect("the vectors are JSON");
    vectors["keys"][name].clone()
}

/// The key with this name, in every form in which it can be configured.
fn keys(name: &str) -> Vec<KeySet> {
    let vector = vector(name);
    if let Some(secret) = vector["secret"].as_str() {
        return vec![KeySet::from_secrets(&[secret.into()])];
    }
    let mut sets = vec![vector["jwk"].clone()];
    if name == "RSA" {
        // As Java's BigInteger writes a positive number.
        let [padded_n, padded_e] = ["n", "e"].map(|part| {
            let number = URL_SAFE_NO_PAD.decode(vector["jwk"][part].as_str().expect("a number"));
            URL_SAFE_NO_PAD.encode([vec![0], number.expect("base64url")].concat())
        });
        sets.push(json!({"kty": "RSA", "n": padded_n, "e": padded_e}));
    }
    let sets = sets.iter().map(|jwk| {
        let set = json!({"keys": [jwk]}).to_string();
        KeySet::from_jwks(set.as_bytes()).expect("a key")
    });
    let pem = vector["public"].as_str().map(KeySet::from_pem);
    sets.chain([pem.expect("PEM").expect("a key")]).collect()
}

fn is_signed_by(keys: &KeySet, token: &str) -> bool {
    let token = Compact::parse(token).expect("a token");
    let Candidates::Keys(keys) = keys.candidates(None) else {
        panic!("keys without an ID match any token");
    };
    token.signed_by(keys, Steps::unheard()).is_ok()
}

#[test]
fn other_libraries_signatures_are_verified() {
    let mut algorithms = Vec::new();
    for name in ["secret", "RSA", "P-256", "P-384", "Ed25519"] {
        let tokens = vector(name)["tokens"].clone();
        for (algorithm, token) in tokens.as_object().expect("tokens") {
            let token = token.as_str().expect("a token");
            let (signed, signature) = token.rsplit_once('.').expect("three parts");
            let other = if signature.starts_with('A') { "B" } else { "A" };
            for keys in keys(name) {
                assert!(is_signed_by(&keys, token), "{algorithm}");
                for changed in [
                    format!("{signed}.{other}{}", &signature[1..]),
                    format!("{signed}.{}", &signature[..signature.len() - 4]),
                    format!("{signed}.{signature}AAAA"),
                ] {
                    assert!(!is_signed_by(&keys, &changed), "{algorithm}");
                }
            }
            algorithms.push(algorithm.parse().expect("an algorithm"));
        }
    }
    assert!(ALGORITHMS.iter().all(|one| algorithms.contains(one)));
}

#[test]
fn signature_belongs_to_the_public_key() {
    for &algorithm in ALGORITHMS {
        let name = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "secret",
            Algorithm::ES256 => "P-256",
            Algorithm::ES384 => "P-384",
            Algorithm::EdDSA => "Ed25519",
            _ => "RSA",
        };
        let token = signer(algorithm).sign(&Header::new(algorithm), &good_claims());
        for keys in keys(name) {
            assert!(is_signed_by(&keys, &token), "{algorithm:?}");
        }
    }
}

/// A key on P-256 without its public part, which ring does not derive.
const PRIVATE_PART_ONLY: &str = "-----BEGIN PRIVATE KEY-----
MEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDE0Rg4nHCALM4v6Wyr
bG05EpEf8XIU9kHGUWDjqrDe7Q==
-----END PRIVATE KEY-----
";

#[test]
fn private_key_has_to_be_one_that_can_sign() {
    let private = |name: &str| vector(name)["private"].as_str().expect("PEM").to_owned();
    let pkcs8 = pem::parse(private("RSA")).expect("PEM").into_contents();
    // Before it come the version and the algorithm (RFC 5958 §2).
    let pkcs1 = pem::encode(&pem::Pem::new("RSA PRIVATE KEY", &pkcs8[26..]));
    for (algorithm, key, expected) in [
        (Algorithm::RS256, private("RSA"), true),
        (Algorithm::PS512, pkcs1.clone(), true),
        (Algorithm::ES256, private("P-256"), true),
        (Algorithm::ES384, private("P-384"), true),
        (Algorithm::EdDSA, private("Ed25519"), true),
        (Algorithm::ES256, PRIVATE_PART_ONLY.to_owned(), false),
        (Algorithm::ES256, private("P-384"), false),
        (Algorithm::ES256, pkcs1, false),
        (Algorithm::RS256, private("Ed25519"), false),
        (Algorithm::HS256, private("RSA"), false),
        (Algorithm::RS256, "secret".to_owned(), false),
    ] {
        let found = jws::private_key(&key, algorithm);
        assert_eq!(found.is_ok(), expected, "{algorithm:?}, {found:?}");
    }
}
