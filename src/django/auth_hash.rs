//! `AbstractBaseUser.get_session_auth_hash` (`django/contrib/auth/base_user.py`): ties a session to
//! the password it was opened with.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

const KEY_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// Computes `_auth_user_hash`.
#[derive(Clone)]
pub struct AuthHasher(Hmac<Sha256>);

impl AuthHasher {
    /// Hashes under `SECRET_KEY`.
    pub fn new(secret_key: &SecretString) -> Self {
        let mut key = Sha256::new();
        key.update(KEY_SALT.as_bytes());
        key.update(secret_key.expose_secret().as_bytes());
        Self(Hmac::new_from_slice(&key.finalize()).expect("HMAC takes keys of any length"))
    }

    /// The hash of a password column, in hexadecimal.
    pub fn hash(&self, password: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(password.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// Whether `hash` belongs to this password column. Compares in constant time.
    pub fn matches(&self, password: &str, hash: &str) -> bool {
        self.hash(password).as_bytes().ct_eq(hash.as_bytes()).into()
    }
}
