//! Session contents and their storage formats:
//! `django/contrib/sessions/backends/{base,db,signed_cookies}.py`.
//!
//! A row of `django_session` and a cookie of the `signed_cookies` engine hold the same JSON object,
//! signed with different salts.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::excerpt::SessionExcerpt;
use super::signing::{TimestampSigner, decode_payload, encode_payload};

const ROW_SALT: &str = "django.contrib.sessions.SessionStore";
const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";

/// More than the JSON of most sessions, in bytes.
const USUAL_JSON_LENGTH: usize = 512;

/// The entries of a session.
pub trait SessionEntries {
    /// The value with this name.
    fn get(&self, name: &str) -> Option<&Value>;

    /// `_auth_user_id`. Django writes the primary key as a string and also accepts a number.
    fn user_id(&self) -> Option<i32> {
        match self.get("_auth_user_id")? {
            Value::String(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()
            }
            Value::Number(number) => i32::try_from(number.as_i64()?).ok(),
            _ => None,
        }
    }

    /// `_auth_user_hash`
    fn auth_hash(&self) -> Option<&str> {
        self.get("_auth_user_hash")?.as_str()
    }

    /// `_auth_user_backend`
    fn backend(&self) -> Option<&str> {
        self.get("_auth_user_backend")?.as_str()
    }

    /// `last_login`, set by Label Studio: seconds since the epoch. A string makes Label Studio
    /// fail, so it counts as missing.
    fn last_login(&self) -> Option<f64> {
        self.get("last_login")?.as_f64()
    }
}

/// The contents of a session, in insertion order.
#[derive(Clone, PartialEq, Default)]
pub struct SessionData(Map<String, Value>);

impl SessionEntries for SessionData {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// Shows the names but never the values.
impl std::fmt::Debug for SessionData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SessionData {
    /// An empty session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// `json.dumps(…, separators=(",", ":"))`. ASCII only, because Django decodes the bytes as
    /// Latin-1.
    fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(USUAL_JSON_LENGTH);
        serde_json::to_writer(&mut json, &self.0).expect("JSON values have a JSON form");
        let needs_no_escape = |b: &u8| b.is_ascii() && *b != 0x7f;
        if json.iter().all(needs_no_escape) {
            return json;
        }
        let json = String::from_utf8(json).expect("JSON is UTF-8");
        let mut ascii = String::with_capacity(json.len());
        for character in json.chars() {
            // Python escapes U+007F too (`json/encoder.py`, `ESCAPE_ASCII`). Characters below
            // U+0020 are already escaped.
            if character.is_ascii() && character != '\u{7f}' {
                ascii.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        ascii.into_bytes()
    }
}

/// Why a session can't be read. Django treats each case as an anonymous visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Signed with another key or for another use, or modified.
    #[error("the session's signature does not match")]
    BadSignature,
    /// Signed longer ago than the session age.
    #[error("the session has expired")]
    Expired,
    /// Correctly signed, but not a session.
    #[error("the session cannot be read")]
    Malformed,
}

/// Reads and writes sessions under one `SECRET_KEY`.
#[derive(Debug, Clone)]
pub struct SessionCodec {
    rows: TimestampSigner,
    cookies: TimestampSigner,
}

impl SessionCodec {
    /// Uses `SECRET_KEY`.
    pub fn new(secret_key: &SecretString) -> Self {
        let secret = secret_key.expose_secret().as_bytes();
        Self {
            rows: TimestampSigner::new(ROW_SALT, secret),
            cookies: TimestampSigner::new(COOKIE_SALT, secret),
        }
    }

    /// Writes `session_data` of a row.
    pub fn encode_row(&self, session: &SessionData, at: SystemTime) -> String {
        self.rows.sign(&encode_payload(&session.to_json()), at)
    }

    /// Reads `session_data`. Its age doesn't matter: a row is valid until its `expire_date`.
    pub fn decode_row(&self, data: &str) -> Result<SessionData, SessionError> {
        decode(&self.rows, data, all).map(|(session, _)| session)
    }

    /// The same, but only the entries with these names.
    pub fn excerpt_row(
        &self,
        data: &str,
        names: &'static [&'static str],
    ) -> Result<SessionExcerpt, SessionError> {
        let read = |json: &str| SessionExcerpt::read(json, names);
        decode(&self.rows, data, read).map(|(session, _)| session)
    }

    /// Writes a session cookie of the `signed_cookies` engine.
    pub fn encode_cookie(&self, session: &SessionData, at: SystemTime) -> String {
        self.cookies.sign(&encode_payload(&session.to_json()), at)
    }

    /// Reads a session cookie signed no longer than `max_age` ago.
    pub fn decode_cookie(
        &self,
        value: &str,
        now: SystemTime,
        max_age: Duration,
    ) -> Result<SessionData, SessionError> {
        let (session, signed) = decode(&self.cookies, value, all)?;
        signed.within(max_age, now).map(|()| session)
    }

    /// Reads the entries with these names of a session cookie, whenever it was signed, and tells when
    /// that was.
    pub fn excerpt_cookie(
        &self,
        value: &str,
        names: &'static [&'static str],
    ) -> Result<(SessionExcerpt, Signed), SessionError> {
        let read = |json: &str| SessionExcerpt::read(json, names);
        decode(&self.cookies, value, read)
    }
}

/// When a cookie was signed, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed(i64);

impl Signed {
    /// Whether that is no longer than `max_age` ago. A time in the future is accepted, as in Django.
    pub fn within(self, max_age: Duration, now: SystemTime) -> Result<(), SessionError> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "Django compares floats as well")]
        let age = now - self.0 as f64;
        if age > max_age.as_secs_f64() {
            return Err(SessionError::Expired);
        }
        Ok(())
    }
}

/// Reads every entry.
fn all(json: &str) -> Option<SessionData> {
    serde_json::from_str(json).ok().map(SessionData)
}

/// The session in a signed value, and when it was signed.
fn decode<S>(
    signer: &TimestampSigner,
    value: &str,
    read: impl FnOnce(&str) -> Option<S>,
) -> Result<(S, Signed), SessionError> {
    let (payload, signed_at) = signer
        .unsign(value)
        .map_err(|_| SessionError::BadSignature)?;
    let session = decode_payload(payload).and_then(|json| read(&latin_1(&json)));
    Ok((session.ok_or(SessionError::Malformed)?, Signed(signed_at)))
}

/// The text of these bytes: Latin-1 maps each to the code point of the same number.
fn latin_1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The characters of a session key (`VALID_KEY_CHARS`).
const KEY_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// [`base36`] writes six digits at a time: a higher power of 36 would not fit into 32 bits.
const SIX_DIGITS: u64 = 36_u64.pow(6);

/// The lowest `length` base-36 digits of the big-endian number `bytes`, in the alphabet of session
/// keys.
///
/// A digit holds 5.17 bits, so 24 digits hold nearly all of sixteen bytes.
pub fn base36(bytes: &[u8], length: usize) -> String {
    let limb = |bytes: &[u8]| bytes.iter().fold(0, |limb, b| limb << 8 | u64::from(*b));
    // From the lowest, 32 bits each.
    let mut limbs: Vec<u64> = bytes.rchunks(4).map(limb).collect();
    let mut digits = String::with_capacity(length);
    while digits.len() < length {
        let mut six = 0;
        for limb in limbs.iter_mut().rev() {
            let value = six << 32 | *limb;
            *limb = value / SIX_DIGITS;
            six = value % SIX_DIGITS;
        }
        for _ in 0..6.min(length - digits.len()) {
            let digit = usize::try_from(six % 36).expect("below 36");
            digits.push(char::from(KEY_ALPHABET[digit]));
            six /= 36;
        }
    }
    digits
}

/// Whether a session with this key can exist: Django requires at least eight characters, and the
/// column holds forty.
pub fn is_plausible_session_key(key: &str) -> bool {
    (8..=40).contains(&key.chars().count()) && !key.contains('\0')
}

/// Whether the value looks like the key of a row that Django made: 32 letters and digits
/// (`django/contrib/sessions/backends/base.py`).
pub fn is_row_key(value: &str) -> bool {
    value.len() == 32
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Whether the value looks like a signed cookie: a payload, a time, and a SHA-256 in base64
/// (`django/core/signing.py`).
pub fn is_signed_cookie(value: &str) -> bool {
    let mut parts = value.rsplit(':');
    let (signature, time, payload) = (parts.next(), parts.next(), parts.next());
    signature.is_some_and(|it| it.len() == 43)
        && time.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric()))
        && payload.is_some()
}
