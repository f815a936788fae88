//! Tokens for the tests, good and bad.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The `SECRET_KEY` of the tests' Label Studio.
pub const SECRET_KEY: &str = "test-secret-key-of-more-than-fifty-characters-0123456789";

/// The secret that the issuer of method 1 shares with the gate.
pub const SHARED_SECRET: &str = "a-secret-of-the-tests-that-two-services-share";

/// The current Unix time in seconds.
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_secs()).expect("before the year 292 billion")
}

/// The claims of a native token for this user that is valid for ten minutes.
pub fn claims(user_id: i32) -> Value {
    json!({
        "user_id": user_id, "email": "somebody@example.com", "iat": now(), "exp": now() + 600,
        "iss": "label-studio", "aud": "label-studio-sso", "jti": format!("{:x}", rand()),
    })
}

/// A number that differs from call to call.
fn rand() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// `claims` with some changes; `null` removes a claim.
pub fn with(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("changes are an object") {
        let object = claims.as_object_mut().expect("claims are an object");
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// Signs with an HMAC algorithm.
pub fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    label_studio_gate::startup::install_crypto();
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("HMAC signs anything")
}

/// A valid native token for this user.
pub fn native(user_id: i32) -> String {
    sign(Algorithm::HS256, SECRET_KEY, &claims(user_id))
}
