//! Compares this module with what the real Django 3.2, 4.2, 5.1 and 5.2 wrote and accepted
//! (`tests/vectors`).

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::Value;

use super::signing::decode_payload;
use super::*;

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("the vectors are JSON")
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is not a string in {value}"))
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    let list = value[name].as_array().map(Vec::as_slice);
    let list = list.unwrap_or_else(|| panic!("{name} is not a list"));
    assert!(!list.is_empty(), "{name} is empty");
    list
}

fn at(seconds: f64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
}

fn time(value: &Value) -> SystemTime {
    at(value.as_f64().expect("a number"))
}

fn session(json: &str) -> SessionData {
    let mut session = SessionData::new();
    let Ok(Value::Object(object)) = serde_json::from_str(json) else {
        panic!("{json} is not an object");
    };
    for (name, value) in object {
        session.insert(&name, value);
    }
    session
}

#[test]
fn signing_primitives_match_django() {
    let vectors = vectors(include_str!("../../tests/vectors/signing_primitives.json"));
    for case in list(&vectors, "base62") {
        let number = case["int"].as_i64().expect("an integer");
        assert_eq!(base62_encode(number), text(case, "str"));
        assert_eq!(base62_decode(text(case, "str")), Some(number));
    }
    let mut sha256 = 0;
    for case in list(&vectors, "salted_hmac") {
        // Only Django 3.2 reads SHA-1, and no version writes it.
        if text(case, "algorithm") == "sha256" {
            let hmac = SaltedHmac::new(text(case, "key_salt"), text(case, "secret").as_bytes());
            let hex = hex::encode(hmac.digest(text(case, "value").as_bytes()));
            assert_eq!(hex, text(case, "hex"), "{case}");
            sha256 += 1;
        }
    }
    assert!(sha256 >= 5);
    for case in list(&vectors, "signers") {
        if text(case, "class") == "TimestampSigner" {
            let signer = TimestampSigner::new(text(case, "salt"), text(case, "key").as_bytes());
            let signed = signer.sign(text(case, "value"), time(&case["time"]));
            assert_eq!(signed, text(case, "out"));
            let seconds = case["time"].as_i64().expect("an integer");
            assert_eq!(signer.unsign(&signed), Ok((text(case, "value"), seconds)));
        }
    }
}

#[test]
fn sessions_are_written_like_django() {
    let vectors = vectors(include_str!("../../tests/vectors/sessions_encode.json"));
    let codec = SessionCodec::new(&SecretString::from(text(&vectors, "secret_key")));
    let now = time(&vectors["time"]);
    let mut identical = 0;
    for case in list(&vectors, "cases") {
        let name = text(case, "name");
        let (row, cookie) = (
            text(case, "db_session_data"),
            text(case, "signed_cookie_session_key"),
        );
        let day = Duration::from_secs(86_400);
        // Only Python has NaN and integers beyond 64 bits. The gate writes neither.
        if name == "nan_inf_python_only" {
            assert_eq!(codec.decode_row(row), Err(SessionError::Malformed));
            continue;
        }
        let read = codec
            .decode_row(row)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            codec.decode_cookie(cookie, now, day).as_ref(),
            Ok(&read),
            "{name}"
        );
        assert_eq!(read, session(text(case, "json")), "{name}");
        let ours = codec.encode_row(&read, now);
        assert_eq!(codec.decode_row(&ours).as_ref(), Ok(&read), "{name}");
        if name == "numbers" {
            continue;
        }
        // Django compresses if that is shorter, so compare the decompressed payloads.
        assert_eq!(decompressed(&ours), decompressed(row), "{name}");
        if case["compressed"] == false {
            assert_eq!(ours, row, "{name}");
            assert_eq!(codec.encode_cookie(&read, now), cookie, "{name}");
            identical += 1;
        }
    }
    assert!(identical >= 7, "{identical}");
    for case in list(&vectors, "other_secret_keys") {
        let codec = SessionCodec::new(&SecretString::from(text(case, "secret_key")));
        assert!(
            codec.decode_row(text(case, "db_session_data")).is_ok(),
            "{case}"
        );
        assert!(
            codec
                .decode_cookie(text(case, "signed_cookie_session_key"), now, Duration::MAX)
                .is_ok()
        );
    }
    for case in list(&vectors, "other_times") {
        let row = codec.encode_row(&session(r#"{"a":1}"#), time(&case["time"]));
        assert_eq!(row, text(case, "db_session_data"), "{case}");
    }
}

/// The JSON of a signed payload.
fn decompressed(signed: &str) -> Vec<u8> {
    let payload = signed.split(':').next().expect("a payload");
    decode_payload(payload).expect("a readable payload")
}

/// Where the gate is stricter than Django, and why. It treats such a session as missing and opens a
/// new one.
const STRICTER: &[(&str, &str)] = &[
    ("payload_with_padding", "Label Studio never writes padding"),
    (
        "payload_std_b64_alphabet",
        "Label Studio never writes the other alphabet",
    ),
    (
        "json_list_not_dict",
        "a list is not a session; Django fails on it later",
    ),
    ("json_string", "a string is not a session"),
    ("json_null", "null is not a session"),
    (
        "json_lone_surrogate",
        "not valid in a Rust string, and in no session of Label Studio",
    ),
    ("json_nan", "not JSON (RFC 8259 §6)"),
    ("timestamp_huge", "more than 64 bits"),
    (
        "fallback_key_1_with_setting",
        "Label Studio never sets SECRET_KEY_FALLBACKS",
    ),
    (
        "fallback_key_2_with_setting",
        "Label Studio never sets SECRET_KEY_FALLBACKS",
    ),
    ("sha1_signature_legacy", "only Django 3.2 reads it"),
    ("legacy_pre31_db_format", "only Django 3.2 reads it"),
];

#[test]
fn sessions_are_accepted_and_rejected_like_django() {
    let vectors = vectors(include_str!("../../tests/vectors/sessions_decode.json"));
    let codec = SessionCodec::new(&SecretString::from(text(&vectors, "secret_key")));
    let max_age = Duration::from_secs(vectors["session_cookie_age"].as_u64().expect("seconds"));
    let mut judged = 0;
    for case in list(&vectors, "cases") {
        let (name, value) = (text(case, "name"), text(case, "value"));
        let read = match text(case, "engine") {
            "db" => codec.decode_row(value),
            _ => codec.decode_cookie(value, time(&case["now"]), max_age),
        };
        // If versions differ, the newest decides.
        let expected = match &case["expected_by_django"] {
            Value::Null => &case["expected"],
            versions => &versions["5.2.19"],
        };
        let expected = expected["session_json"].as_str().unwrap_or("{}");
        let stricter = STRICTER.iter().any(|(stricter, _)| *stricter == name);
        if stricter || expected == "{}" {
            assert!(read.is_err(), "{name}: {read:?}");
        } else {
            assert_eq!(read, Ok(session(expected)), "{name}");
        }
        judged += 1;
    }
    assert_eq!(judged, 121);
}

#[test]
fn auth_hashes_match_django() {
    let vectors = vectors(include_str!("../../tests/vectors/auth_hash.json"));
    for case in list(&vectors, "cases") {
        let hasher = AuthHasher::new(&SecretString::from(text(case, "secret_key")));
        let hash = hasher.hash(text(case, "password"));
        assert_eq!(hash, text(case, "session_auth_hash"), "{case}");
        assert!(hasher.matches(text(case, "password"), &hash));
        assert!(!hasher.matches("another", &hash));
    }
}

#[test]
fn cookies_match_django() {
    let vectors = vectors(include_str!("../../tests/vectors/cookies.json"));
    let mut compared = 0;
    for case in list(&vectors, "cases") {
        let setting = |name: &str| case["settings"][name].as_str().map(str::to_owned);
        let same_site = match setting("SESSION_COOKIE_SAMESITE").as_deref() {
            None | Some("Lax") => SameSite::Lax,
            Some("Strict") => SameSite::Strict,
            Some("None") => SameSite::None,
            // Other spellings can't be configured: the settings know these three.
            Some(_) => continue,
        };
        let attributes = CookieAttributes {
            name: setting("SESSION_COOKIE_NAME").unwrap_or_else(|| "sessionid".to_owned()),
            domain: setting("SESSION_COOKIE_DOMAIN"),
            path: setting("SESSION_COOKIE_PATH").unwrap_or_else(|| "/".to_owned()),
            same_site,
            secure: case["settings"]["SESSION_COOKIE_SECURE"] == true,
            http_only: case["settings"]["SESSION_COOKIE_HTTPONLY"] != false,
            partitioned: false,
        };
        let expected = text(case, "set_cookie");
        let (pair, _) = expected.split_once(';').expect("attributes");
        let (_, value) = pair.split_once('=').expect("a value");
        let age = expected
            .split("Max-Age=")
            .nth(1)
            .and_then(|rest| rest.split(';').next()?.parse().ok())
            .map(Duration::from_secs);
        assert_eq!(
            attributes.set(value, age, time(&case["now"])),
            expected,
            "{case}"
        );
        assert_eq!(
            attributes.delete(),
            text(case, "delete_cookie_after_flush"),
            "{case}"
        );
        compared += 1;
    }
    assert!(compared >= 18, "{compared}");
}

#[test]
fn partitioned_cookie_is_set_and_deleted_as_partitioned() {
    let attributes = CookieAttributes {
        name: "sessionid".to_owned(),
        domain: None,
        path: "/".to_owned(),
        same_site: SameSite::None,
        secure: true,
        http_only: true,
        partitioned: true,
    };
    let set = attributes.set("v", None, at(0.0));
    assert!(
        set.ends_with("; SameSite=None; Secure; Partitioned"),
        "{set}"
    );
    assert!(
        attributes
            .delete()
            .ends_with("; SameSite=None; Secure; Partitioned")
    );
}

#[test]
fn session_keys_match_django() {
    let vectors = vectors(include_str!(
        "../../tests/vectors/session_key_and_expiry.json"
    ));
    for case in list(&vectors["session_key"], "validation") {
        let Some(key) = case["key"].as_str() else {
            continue;
        };
        // Django accepts longer keys, but the column has no room for them.
        let expected = case["accepted"] == true && key.chars().count() <= 40;
        assert_eq!(is_plausible_session_key(key), expected, "{case}");
    }
    let alphabet = text(&vectors["session_key"], "alphabet");
    let key = base36(&SaltedHmac::new("salt", b"secret").digest(b"value"), 40);
    assert!(
        key.len() == 40 && key.chars().all(|c| alphabet.contains(c)),
        "{key}"
    );
}

/// Gates of different versions derive the same places. The expected digits are Python's.
#[test]
fn base36_writes_the_lowest_digits_first() {
    assert_eq!(base36(&[0; 32], 32), "a".repeat(32));
    let mut number = [0; 32];
    number[31] = 37;
    assert_eq!(base36(&number, 32), format!("bb{}", "a".repeat(30)));
    for (at, byte) in (1..).zip(&mut number) {
        *byte = at;
    }
    let digits = "mvko8i15pcle3qq9n8n7z11avycbsa1ymz9wau4d";
    for length in 0..=40 {
        assert_eq!(base36(&number, length), digits[..length]);
    }
    assert_eq!(base36(&[255; 32], 16), "py3thdndexgsh6sc");
    assert_eq!(base36(&[255; 16], 24), "ddz2w9rvq0x81yxzf99b77vf");
}

#[test]
fn decompression_bomb_is_refused() {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(b"{\"a\":\"").expect("compressed");
    zlib.write_all(&vec![b'x'; 1_000_000]).expect("compressed");
    zlib.write_all(b"\"}").expect("compressed");
    let bomb = URL_SAFE_NO_PAD.encode(zlib.finish().expect("compressed"));
    let signer = TimestampSigner::new("django.contrib.sessions.SessionStore", b"secret");
    let row = signer.sign(&format!(".{bomb}"), at(0.0));
    assert!(row.len() < 4096);
    let codec = SessionCodec::new(&SecretString::from("secret"));
    assert_eq!(codec.decode_row(&row), Err(SessionError::Malformed));
}

proptest::proptest! {
    #[test]
    fn written_sessions_can_be_read(name in "\\PC{0,20}", value in "\\PC{0,200}", number in proptest::num::f64::NORMAL) {
        let codec = SessionCodec::new(&SecretString::from("secret"));
        let mut session = SessionData::new();
        session.insert(&name, Value::String(value));
        session.insert("last_login", serde_json::json!(number));
        let row = codec.encode_row(&session, at(1_700_000_000.0));
        proptest::prop_assert!(row.is_ascii());
        proptest::prop_assert_eq!(codec.decode_row(&row), Ok(session));
    }

    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in "\\PC{0,200}") {
        let codec = SessionCodec::new(&SecretString::from("secret"));
        proptest::prop_assert!(codec.decode_row(&text).is_err());
    }
}
