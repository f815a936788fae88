//! Tokens for the tests, good and bad.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use label_studio_gate::gate::jws;
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
    let key = EncodingKey::from_secret(secret.as_bytes());
    jws::encode(&Header::new(algorithm), claims, &key).expect("HMAC signs anything")
}

/// A valid native token for this user.
pub fn native(user_id: i32) -> String {
    sign(Algorithm::HS256, SECRET_KEY, &claims(user_id))
}

/// The public key of a pair on P-256 as a JWK (RFC 7518 §6.2.1).
pub fn jwk(pair: &rcgen::KeyPair) -> Value {
    // An uncompressed point: 4, x, y.
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y})
}
