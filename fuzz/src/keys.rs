//! Public keys: whatever a key server or an operator hands over, none of it is an HMAC secret.

use jsonwebtoken::Algorithm;
use label_studio_gate::gate::verify::{KeyError, KeySet};

/// A JSON Web Key Set, or a PEM.
pub fn public_keys(data: &[u8]) {
    check(KeySet::from_jwks(data), 64);
    check(KeySet::from_pem(&String::from_utf8_lossy(data)), usize::MAX);
}

fn check(keys: Result<KeySet, KeyError>, most: usize) {
    if let Ok(mut keys) = keys {
        assert!((1..=most).contains(&keys.len()));
        keys.restrict(&[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]);
        assert!(keys.is_empty(), "a public key is good for an HMAC");
    }
}
