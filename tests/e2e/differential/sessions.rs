//! Sessions: whatever the gate reads from a row or a cookie, Django reads too.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use label_studio_gate::django::{
    SessionCodec, SessionData, SessionEntries, SessionExcerpt, TimestampSigner,
};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::ask;
use crate::support::token::SECRET_KEY;

const SALTS: [&str; 2] = [
    "django.contrib.sessions.SessionStore",
    "django.contrib.sessions.backends.signed_cookies",
];

/// JSON that parsers disagree about.
const KEPT: &[&str] = &[
    r#"{}"#,
    r#"[]"#,
    r#"null"#,
    r#"{"a":1,"a":2}"#,
    r#"{"a":NaN,"_auth_user_id":"7"}"#,
    r#"{"a":1e999}"#,
    r#"{"_auth_user_id":null,"":255047085971E300}"#,
    r#"{"_auth_user_id":"7","a":"\ud800"}"#,
    r#"{"_auth_user_id":"7","last_login":1e999}"#,
    r#"{"a":123456789012345678901234567890}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":"\ud83d\ude00"}"#,
    "{\"a\":\"\u{e9}\u{7f}\"}",
    r#"{"last_login":"soon","_auth_user_id":7}"#,
    r#"{"last_login":-0.0,"_auth_user_id":" 7"}"#,
    r#" {"_auth_user_id":"7"} "#,
    r#"{"_auth_user_id":"2147483648"}"#,
];

/// A session that Django could have stored.
fn session() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        proptest::sample::select(vec!["7", "-7", "0", "99999999999", "٧"]).prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("_auth_user_id".to_owned()),
        Just("_auth_user_hash".to_owned()),
        Just("last_login".to_owned()),
        "\\PC{0,8}",
    ];
    let object = proptest::collection::vec((names, leaf), 0..6);
    object.prop_map(|entries| Value::Object(entries.into_iter().collect()).to_string())
}

/// The bytes that are signed: sessions, truncated or changed sessions, and other bytes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let changed = (session(), any::<proptest::sample::Index>(), any::<u8>());
    let changed = changed.prop_map(|(text, at, byte)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![
        4 => session().prop_map(String::into_bytes),
        2 => changed,
        1 => proptest::sample::select(KEPT).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

fn deflated(bytes: &[u8], level: u32) -> Vec<u8> {
    use std::io::Write as _;
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The encoding of the bytes: plain or compressed, sometimes truncated afterwards.
fn written() -> impl Strategy<Value = String> {
    (payload(), 0_u32..12, 0_usize..40).prop_map(|(bytes, level, cut)| {
        let mut text = match level {
            0..=9 => format!(".{}", URL_SAFE_NO_PAD.encode(deflated(&bytes, level))),
            _ => URL_SAFE_NO_PAD.encode(bytes),
        };
        if cut < 3 {
            text.truncate(text.len().saturating_sub(cut));
        }
        text
    })
}

/// Whether the gate may read less than Django, whose parser accepts numbers and strings that are
/// not JSON or that Rust's types do not hold.
fn is_beyond_json(django: &Value) -> bool {
    let text = django["entries"].to_string();
    django["whole"] == false || text.contains("e+") || text.len() > 60_000
}

fn check(payloads: &[String]) {
    let codec = SessionCodec::new(&SecretString::from(SECRET_KEY));
    let (now, age) = (SystemTime::now(), Duration::from_secs(1_209_600));
    let signed: Vec<[String; 2]> = payloads
        .iter()
        .map(|text| {
            SALTS.map(|salt| TimestampSigner::new(salt, SECRET_KEY.as_bytes()).sign(text, now))
        })
        .collect();
    let cases = signed
        .iter()
        .map(|[row, cookie]| json!({"row": row, "cookie": cookie}));
    let cases: Vec<Value> = cases.collect();
    for answers in ask("session", &cases) {
        for (([row, cookie], answer), payload) in signed.iter().zip(&answers).zip(payloads) {
            let whole = codec.decode_row(row).ok();
            assert_eq!(codec.decode_cookie(cookie, now, age).ok(), whole);
            let of_row = codec.excerpt_row(row, NAMES).ok();
            compare(of_row.as_ref(), &answer["row"], payload);
            let of_cookie = codec
                .excerpt_cookie(cookie, NAMES)
                .ok()
                .map(|(entries, _)| entries);
            compare(of_cookie.as_ref(), &answer["cookie"], payload);
            if let Some(whole) = whole {
                let excerpt = of_row.expect("what can be read can be read in part");
                for name in NAMES {
                    assert_eq!(excerpt.get(name), whole.get(name), "{payload}");
                }
            }
        }
    }
}

/// The entries that are compared.
const NAMES: &[&str] = &[
    "_auth_user_id",
    "_auth_user_hash",
    "_auth_user_backend",
    "last_login",
];

fn compare(ours: Option<&SessionExcerpt>, django: &Value, payload: &str) {
    let Some(ours) = ours else {
        // Django never writes such sessions, so no real session is lost.
        let read = django["entries"] != json!({});
        assert!(!read || is_beyond_json(django), "{payload}: {django}");
        return;
    };
    for name in NAMES {
        let theirs = django["entries"].get(*name);
        assert_eq!(ours.get(name), theirs, "{payload}: {django}");
    }
}

#[test]
fn stored_sessions_are_read_alike() {
    let plain = KEPT.iter().map(|text| URL_SAFE_NO_PAD.encode(text));
    check(&plain.collect::<Vec<_>>());
}

/// With a single changed character, neither accepts the session.
#[test]
fn a_changed_session_is_refused() {
    let codec = SessionCodec::new(&SecretString::from(SECRET_KEY));
    let (now, age) = (SystemTime::now(), Duration::from_secs(1_209_600));
    let mut session = SessionData::new();
    session.insert("_auth_user_id", json!("7"));
    let (row, cookie) = (
        codec.encode_row(&session, now),
        codec.encode_cookie(&session, now),
    );
    let mut cases = Vec::new();
    for at in 0..row.len().min(cookie.len()) {
        for letter in ["A", "_", ":", "=", "."] {
            let change = |text: &str| format!("{}{letter}{}", &text[..at], &text[at + 1..]);
            let (changed, other) = (change(&row), change(&cookie));
            if changed != row && other != cookie {
                assert!(codec.decode_row(&changed).is_err(), "{changed}");
                assert!(codec.decode_cookie(&other, now, age).is_err(), "{other}");
                cases.push(json!({"row": changed, "cookie": other}));
            }
        }
    }
    assert!(cases.len() > 200);
    for answers in ask("session", &cases) {
        for (answer, case) in answers.iter().zip(&cases) {
            for kind in ["row", "cookie"] {
                assert_eq!(answer[kind]["entries"].get("_auth_user_id"), None, "{case}");
            }
        }
    }
}

proptest! {
    #[test]
    fn sessions_are_read_alike(payloads in proptest::collection::vec(written(), 16)) {
        check(&payloads);
    }
}
