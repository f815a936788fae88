//! Tokens: any change to a genuine one is detected, and nothing in a forged one is trusted.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use label_studio_gate::gate::identity::{Claimant, Identity};
use label_studio_gate::gate::jws;
use label_studio_gate::gate::observer::Steps;
use label_studio_gate::gate::verify::{AUDIENCE, Compact, ISSUER, Native, VerifiedClaims};
use secrecy::SecretString;
use serde_json::{Value, json};

const SECRET: &str = "fuzzing-secret-key-of-fifty-characters-0123456789-";
const NOW: u64 = 1_800_000_000;
const LONGEST: u64 = 86_400;

fn native() -> Native {
    let longest = Some(Duration::from_secs(LONGEST));
    let secret = SecretString::from(SECRET);
    Native::new(&secret, [], "user_id".to_owned(), Duration::ZERO, longest)
}

fn verify(token: &str) -> Option<VerifiedClaims> {
    let token = Compact::parse(token).ok()?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    native().verify(&token, now, Steps::unheard()).ok()
}

/// A token of exactly these parts, with the HMAC that belongs to them.
fn signed(header: &[u8], claims: &[u8]) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jws::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.expect("HMAC signs anything"))
}

/// A token as it came. No key of the gate has made it, unless its signature is right.
pub fn jwt_compact(data: &[u8]) {
    let token = String::from_utf8_lossy(data);
    let Ok(parsed) = Compact::parse(&token) else {
        return;
    };
    assert!(token.starts_with(parsed.signed()));
    let (header, claims) = parsed.signed().split_once('.').expect("two parts");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let (header, claims) = (decode(header), decode(claims));
    let parsed: Value = serde_json::from_slice(&claims).expect("JSON");
    assert!(parsed.is_object());
    if verify(&token).is_some() {
        assert_eq!(token, signed(&header, &claims), "another spelling counts");
    }
}

/// A header over good claims with a right signature: only HS256 without extensions is accepted.
pub fn jwt_header(data: &[u8]) {
    let claims = json!({"user_id": 7, "exp": NOW + 600, "iss": ISSUER, "aud": AUDIENCE});
    let token = signed(data, claims.to_string().as_bytes());
    if verify(&token).is_some() {
        let header: Value = serde_json::from_slice(data).expect("JSON");
        assert_eq!(header["alg"], "HS256");
        assert!(header.get("crit").is_none() && header.get("b64").is_none());
    }
}

/// Claims with a right signature: what is accepted is for the gate and for now, and names one user.
pub fn jwt_claims(data: &[u8]) {
    let token = signed(br#"{"alg":"HS256"}"#, data);
    let Some(verified) = verify(&token) else {
        return;
    };
    let claims: Value = serde_json::from_slice(data).expect("JSON");
    assert_eq!(claims["iss"], ISSUER);
    let for_us = |audience: &Value| audience == AUDIENCE;
    let audience = &claims["aud"];
    assert!(
        for_us(audience)
            || audience
                .as_array()
                .is_some_and(|all| all.iter().any(for_us))
    );
    let number = |name: &str| claims.get(name).map(|at| at.as_f64().expect("a number"));
    let (now, exp) = (f64::from(1_800_000_000_u32), number("exp").expect("exp"));
    let made = number("iat").unwrap_or(now);
    assert!(exp > now && exp - made <= f64::from(86_400_u32) && made <= now + 60.0);
    assert!(number("nbf").unwrap_or(0.0) <= now);
    if let Ok(claimant) = Claimant::from_claims(&verified) {
        let Identity::Id(id) = claimant.identity else {
            panic!("a native token names a user by id");
        };
        let named = &claims["user_id"];
        let text = named
            .as_str()
            .map_or_else(|| named.to_string(), str::to_owned);
        assert_eq!(text.parse(), Ok(id));
        assert!(id > 0);
    }
}
