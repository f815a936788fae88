//! Django sessions, in a row and in a cookie: unsigned data is never a session, and signed data survives a round trip.

use std::time::{Duration, SystemTime};

use label_studio_gate::django::{
    SessionCodec, SessionData, SessionEntries as _, TimestampSigner, is_plausible_session_key,
};
use secrecy::SecretString;

const SECRET: &str = "fuzzing-secret-key-of-fifty-characters-0123456789-";
const ROW: &str = "django.contrib.sessions.SessionStore";
const COOKIE: &str = "django.contrib.sessions.backends.signed_cookies";
const NAMES: &[&str] = &["_auth_user_id", "_auth_user_hash", "last_login", "uid"];

/// A payload: as it came, and signed as Django would have signed it.
pub fn django_session(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let codec = SessionCodec::new(&SecretString::from(SECRET));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let day = Duration::from_secs(86_400);
    let _ = is_plausible_session_key(&text);
    // With their own signatures, rows and cookies of the corpus may be genuine, but a row is never a valid cookie, nor a cookie a row.
    let (row, cookie) = (
        codec.decode_row(&text),
        codec.decode_cookie(&text, now, day),
    );
    assert!(row.is_err() || cookie.is_err());

    let sign = |salt| TimestampSigner::new(salt, SECRET.as_bytes()).sign(&text, now);
    let row = codec.decode_row(&sign(ROW)).ok();
    let cookie = codec.decode_cookie(&sign(COOKIE), now, day).ok();
    assert_eq!(row, cookie);
    if let Some(session) = row {
        check(&codec, &session, now);
    }
}

fn check(codec: &SessionCodec, session: &SessionData, now: SystemTime) {
    let row = codec.encode_row(session, now);
    assert!(row.is_ascii(), "Django decodes it as Latin-1");
    assert_eq!(codec.decode_row(&row).as_ref(), Ok(session));
    let excerpt = codec.excerpt_row(&row, NAMES).expect("a session");
    for name in NAMES {
        assert_eq!(excerpt.get(name), session.get(name), "{name}");
    }
    if let Some(id) = session.user_id() {
        let stored = session
            .get("_auth_user_id")
            .expect("it was read from there");
        let text = stored
            .as_str()
            .map_or_else(|| stored.to_string(), str::to_owned);
        assert_eq!(text.parse(), Ok(id));
    }
    assert!(session.last_login().is_none_or(f64::is_finite));
}
