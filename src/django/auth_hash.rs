//! `AbstractBaseUser.get_session_auth_hash` (`django/contrib/auth/base_user.py`): ties a session to
//! the password it was opened with.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use super::signing::SaltedHmac;

const KEY_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// Computes `_auth_user_hash`.
#[derive(Clone)]
pub struct AuthHasher(SaltedHmac);

impl AuthHasher {
    /// Hashes under `SECRET_KEY`.
    pub fn new(secret_key: &SecretString) -> Self {
        let secret = secret_key.expose_secret().as_bytes();
        Self(SaltedHmac::new(KEY_SALT, secret))
    }

    /// The hash of a password column, in hexadecimal.
    pub fn hash(&self, password: &str) -> String {
        hex::encode(self.0.digest(password.as_bytes()))
    }

    /// Whether `hash` belongs to this password column. Compares in constant time.
    pub fn matches(&self, password: &str, hash: &str) -> bool {
        self.hash(password).as_bytes().ct_eq(hash.as_bytes()).into()
    }
}
