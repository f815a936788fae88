//! One row per defect of a token, with the expected reason.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::gate::identity::{Claimant, Identity, Unnamed};
use crate::gate::jws;
use crate::gate::observer::NoObserver;

mod external;

const SECRET: &str = "unit-test-secret-key-of-fifty-characters-0123456789";
const NOW: i64 = 1_800_000_000;

/// Maximum lifetime of a native token.
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
}

fn verify(token: &str) -> Result<Identity, CredentialError> {
    let secret = SecretString::from(SECRET);
    let native = Native::new(
        &secret,
        [],
        "user_id".to_owned(),
        Duration::ZERO,
        Some(MAX_LIFETIME),
    );
    let verifier = Verifier {
        native: Some(native),
        ..no_methods()
    };
    identity(&verifier, &Credential::Token(token.into()))
}

/// The identity that the credential names, or the reason why it is refused.
fn identity(verifier: &Verifier, credential: &Credential<'_>) -> Result<Identity, CredentialError> {
    let verified =
        futures_util::FutureExt::now_or_never(verifier.verify(credential, now(), &NoObserver));
    let claims = verified
        .expect("no key server is asked")
        .map_err(|why| match why {
            Unverified::Unrecognized(reason) | Unverified::Refused(reason) => reason,
            Unverified::Outage(outage) => panic!("{outage}"),
        })?;
    match Claimant::from_claims(&claims) {
        Ok(claimant) => Ok(claimant.identity),
        Err(nobody) => match nobody.why {
            Unnamed::Unverified(why) => Err(why),
            Unnamed::Refused { .. } => unreachable!("no groups are configured"),
        },
    }
}

/// No method is enabled.
fn no_methods() -> Verifier {
    Verifier {
        issuers: Vec::new(),
        native: None,
        api_tokens: None,
        application_session: None,
        unsigned: None,
        max_length: 16 * 1024,
    }
}

fn claims() -> Value {
    json!({
        "user_id": 7, "email": "a@example.com", "iat": NOW, "exp": NOW + 600,
        "iss": "label-studio", "aud": "label-studio-sso",
    })
}

/// The valid claims with some changes; `null` removes a claim.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().expect("claims are an object");
    for (name, value) in changes.as_object().expect("changes are an object") {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jws::encode(&Header::new(algorithm), claims, &key).expect("HMAC signs anything")
}

/// A correctly signed token with exactly this header and payload.
fn raw(header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature =
        jws::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("HMAC signs anything");
    format!("{signed}.{signature}")
}

#[test]
fn claims_are_checked() {
    use CredentialError::*;
    let accepted = || Ok(Identity::Id(7));
    for (changes, expected) in [
        (json!({}), accepted()),
        (json!({"user_id": "7"}), accepted()),
        (json!({"aud": ["x", "label-studio-sso"]}), accepted()),
        (json!({"exp": NOW + 1, "nbf": NOW}), accepted()),
        (json!({"exp": NOW as f64 + 0.5}), accepted()),
        (json!({"iat": NOW + 30}), accepted()),
        (json!({"iat": null, "email": null}), accepted()),
        (json!({"exp": NOW}), Err(TokenExpired)),
        (json!({"exp": NOW - 1}), Err(TokenExpired)),
        (json!({"exp": 0}), Err(TokenExpired)),
        // A native token has a maximum lifetime, whatever it says.
        (json!({"exp": NOW + 86_400}), accepted()),
        (json!({"exp": NOW + 86_401}), Err(TokenLifetimeTooLong)),
        (
            json!({"exp": NOW + 86_401, "iat": null}),
            Err(TokenLifetimeTooLong),
        ),
        (json!({"iat": 0}), Err(TokenLifetimeTooLong)),
        (
            json!({"exp": NOW + 6_307_200_000_i64}),
            Err(TokenLifetimeTooLong),
        ),
        (json!({"exp": null}), Err(TokenClaimMissing)),
        (json!({"exp": "2099-01-01"}), Err(TokenClaimInvalid)),
        (
            json!({"exp": (NOW + 600).to_string()}),
            Err(TokenClaimInvalid),
        ),
        (json!({"exp": true}), Err(TokenClaimInvalid)),
        (json!({"exp": [NOW + 600]}), Err(TokenClaimInvalid)),
        (json!({"nbf": NOW + 1}), Err(TokenNotYetValid)),
        (json!({"nbf": "soon"}), Err(TokenClaimInvalid)),
        (json!({"iat": NOW + 3600}), Err(TokenNotYetValid)),
        (json!({"iat": {}}), Err(TokenClaimInvalid)),
        (json!({"iss": null}), Err(TokenClaimMissing)),
        (json!({"iss": "somebody"}), Err(TokenIssuerRefused)),
        (json!({"iss": ["label-studio"]}), Err(TokenIssuerRefused)),
        (json!({"aud": null}), Err(TokenClaimMissing)),
        (json!({"aud": "somewhere"}), Err(TokenAudienceRefused)),
        (json!({"aud": []}), Err(TokenAudienceRefused)),
        (json!({"aud": 1}), Err(TokenAudienceRefused)),
        (json!({"user_id": null}), Err(TokenClaimMissing)),
        (json!({"user_id": true}), Err(TokenClaimInvalid)),
        (json!({"user_id": 7.0}), Err(TokenClaimInvalid)),
        (json!({"user_id": "seven"}), Err(TokenClaimInvalid)),
    ] {
        let token = sign(Algorithm::HS256, SECRET, &with(&changes));
        assert_eq!(verify(&token), expected, "{changes}");
    }
}

/// Numbers outside the years 1970 to 9999.
const OUT_OF_RANGE: [&str; 12] = [
    "1e300",
    "-1e300",
    "1e308",
    "1.7976931348623157e308",
    "253402300800",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-0.5",
    "-9223372036854775808",
];

/// Numbers that no JSON parser has to accept (RFC 8259 §6).
const INVALID_NUMBERS: [&str; 6] = ["1e999", "-1e999", "NaN", "Infinity", "0x10", "01"];

#[test]
fn times_must_lie_between_1970_and_9999() {
    let header = r#"{"alg":"HS256"}"#;
    let payload = claims().to_string();
    let exp = format!(r#""exp":{}"#, NOW + 600);
    assert!(payload.contains(&exp));
    for (numbers, expected) in [
        (&OUT_OF_RANGE[..], CredentialError::TokenClaimInvalid),
        (&INVALID_NUMBERS[..], CredentialError::TokenMalformed),
    ] {
        for number in numbers {
            let changed = payload.replace(&exp, &format!(r#""exp":{number}"#));
            assert_eq!(
                verify(&raw(header, &changed)),
                Err(expected),
                "exp {number}"
            );
            for name in ["nbf", "iat"] {
                let text = payload.replace(r#""iat":"#, r#""_":"#);
                let changed = text.replacen('{', &format!(r#"{{"{name}":{number},"#), 1);
                let found = verify(&raw(header, &changed));
                assert_eq!(found, Err(expected), "{name} {number}");
            }
        }
    }
}

#[test]
fn keys_and_algorithms_are_checked() {
    use CredentialError::*;
    let good = sign(Algorithm::HS256, SECRET, &claims());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let payload = claims().to_string();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    flipped[0] ^= 1;
    let other_payload = URL_SAFE_NO_PAD.encode(with(&json!({"user_id": 1})).to_string());
    let header = signed.split('.').next().expect("a header");
    for (what, token, reason) in [
        (
            "another key",
            sign(Algorithm::HS256, "another-key", &claims()),
            TokenSignatureInvalid,
        ),
        (
            "HS384 with the key",
            sign(Algorithm::HS384, SECRET, &claims()),
            TokenAlgorithmRefused,
        ),
        (
            "HS512 with the key",
            sign(Algorithm::HS512, SECRET, &claims()),
            TokenAlgorithmRefused,
        ),
        (
            "alg none, unsigned",
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
                URL_SAFE_NO_PAD.encode(&payload)
            ),
            TokenAlgorithmRefused,
        ),
        (
            "alg None, signed",
            raw(r#"{"alg":"None"}"#, &payload),
            TokenAlgorithmRefused,
        ),
        (
            "alg RS256",
            raw(r#"{"alg":"RS256"}"#, &payload),
            TokenAlgorithmRefused,
        ),
        (
            "alg hs256",
            raw(r#"{"alg":"hs256"}"#, &payload),
            TokenAlgorithmRefused,
        ),
        (
            "alg missing",
            raw(r#"{"typ":"JWT"}"#, &payload),
            TokenMalformed,
        ),
        (
            "alg a number",
            raw(r#"{"alg":256}"#, &payload),
            TokenMalformed,
        ),
        (
            "crit",
            raw(r#"{"alg":"HS256","crit":["exp"]}"#, &payload),
            TokenHeaderRefused,
        ),
        (
            "b64",
            raw(r#"{"alg":"HS256","b64":false}"#, &payload),
            TokenHeaderRefused,
        ),
        (
            "encrypted",
            format!(
                "{}.a2V5.aXY",
                raw(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, "cipher text")
            ),
            TokenHeaderRefused,
        ),
        (
            "alg twice",
            raw(r#"{"alg":"none","alg":"HS256"}"#, &payload),
            TokenMalformed,
        ),
        (
            "exp twice",
            raw(
                r#"{"alg":"HS256"}"#,
                &payload.replacen('{', r#"{"exp":1,"#, 1),
            ),
            TokenMalformed,
        ),
        (
            "payload no object",
            raw(r#"{"alg":"HS256"}"#, "[]"),
            TokenMalformed,
        ),
        (
            "payload no JSON",
            raw(r#"{"alg":"HS256"}"#, "user_id=7"),
            TokenMalformed,
        ),
        (
            "payload exchanged",
            format!("{header}.{other_payload}.{signature}"),
            TokenSignatureInvalid,
        ),
        (
            "signature changed",
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&flipped)),
            TokenSignatureInvalid,
        ),
        (
            "signature missing",
            format!("{signed}."),
            TokenSignatureInvalid,
        ),
        (
            "signature short",
            format!("{signed}.{}", &signature[..20]),
            TokenSignatureInvalid,
        ),
        (
            "signature padded",
            format!("{signed}.{signature}="),
            TokenSignatureInvalid,
        ),
        ("two parts", signed.to_owned(), TokenMalformed),
        ("four parts", format!("{good}.x"), TokenMalformed),
        ("encrypted", format!("{good}.x.y"), TokenMalformed),
        ("rubbish", "rubbish".to_owned(), TokenMalformed),
        ("8 kB of rubbish", "x".repeat(8192), TokenMalformed),
        (
            "too long",
            format!("{good}{}", "A".repeat(16 * 1024)),
            TokenMalformed,
        ),
    ] {
        assert_eq!(verify(&token), Err(reason), "{what}");
    }
}

#[test]
fn api_token_is_not_a_native_token() {
    // Label Studio signs its own API tokens with the same key. Without `iss` and `aud` they are not
    // native tokens.
    let token =
        json!({"token_type": "access", "exp": NOW + 300, "iat": NOW, "jti": "x", "user_id": "7"});
    let token = sign(Algorithm::HS256, SECRET, &token);
    assert_eq!(verify(&token), Err(CredentialError::TokenClaimMissing));
}

#[test]
fn fingerprint_depends_on_method_and_signed_text() {
    let of = |signed| *Fingerprint::of("native", signed).as_bytes();
    assert_eq!(of("a.b"), of("a.b"));
    assert_ne!(of("a.b"), of("a.c"));
    assert_ne!(of("a.b"), *Fingerprint::of("external", "a.b").as_bytes());
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(token in "\\PC{0,200}") {
        proptest::prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn changed_token_is_refused(at in 0_usize..200, by in 1_u8..=63) {
        let good = sign(Algorithm::HS256, SECRET, &claims());
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = bytes[at].wrapping_add(by) & 0x7f;
        let changed = String::from_utf8(bytes).expect("ASCII");
        proptest::prop_assume!(changed != good);
        proptest::prop_assert!(verify(&changed).is_err(), "{changed}");
    }
}
