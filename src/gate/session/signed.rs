//! Sessions in signed cookies.
//!
//! In: the value of a session cookie. Out: its session, unless the cookie was signed too long ago. What
//! a cookie holds follows from its value and `SECRET_KEY` alone, and a browser sends the same value
//! with all requests of a page: Label Studio signs it again with its responses. So the sessions of
//! recent cookies are cached; age, end, user and revocations are checked on every request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::row::Session;
use crate::django::{SessionCodec, SessionError, Signed};

/// The longest value that is kept, in bytes. Label Studio's have half of that.
const LONGEST: usize = 1024;

/// Reads session cookies.
pub(super) struct SignedCookies {
    max_age: Duration,
    /// By the digest of the whole value: the signature alone says nothing about the rest, and the value
    /// is a credential. `None`: none is kept.
    kept: Option<Cache<[u8; 32], Cookie>>,
}

#[derive(Clone)]
struct Cookie {
    session: Arc<Session>,
    signed: Signed,
}

impl SignedCookies {
    /// Cookies are valid for `max_age`. Up to `capacity` of them are kept.
    pub(super) fn new(max_age: Duration, capacity: usize) -> Self {
        Self {
            max_age,
            kept: (capacity > 0).then(|| Cache::new(capacity)),
        }
    }

    /// Reads a session cookie. All callers have the same `codec`.
    pub(super) fn read(
        &self,
        codec: &SessionCodec,
        value: &str,
        now: SystemTime,
    ) -> Result<Arc<Session>, SessionError> {
        let kept = self.kept.as_ref().filter(|_| value.len() <= LONGEST);
        let kept = kept.map(|kept| (kept, <[u8; 32]>::from(Sha256::digest(value))));
        if let Some((kept, key)) = &kept
            && let Some(Cookie { session, signed }) = kept.get(key)
        {
            return signed.within(self.max_age, now).map(|()| session);
        }
        let (session, signed) = Session::of_cookie(codec, value)?;
        signed.within(self.max_age, now)?;
        let session = Arc::new(session);
        if let Some((kept, key)) = kept {
            let session = session.clone();
            kept.insert(key, Cookie { session, signed });
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::django::SessionData;

    const DAY: Duration = Duration::from_secs(86_400);

    fn codec() -> SessionCodec {
        SessionCodec::new(&SecretString::from("secret"))
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn cookie(user: &str, length: usize) -> String {
        let mut session = SessionData::new();
        session.insert("_auth_user_id", json!(user));
        session.insert("filler", json!("x".repeat(length)));
        codec().encode_cookie(&session, now())
    }

    #[test]
    fn a_cookie_is_read_once_and_its_age_is_looked_at_every_time() {
        let cookies = SignedCookies::new(DAY, 10);
        let value = cookie("7", 0);
        let read = |at| cookies.read(&codec(), &value, at);
        let first = read(now()).expect("a session");
        assert_eq!(first.user_id(), Some(7));
        assert!(Arc::ptr_eq(&first, &read(now() + DAY).expect("the same")));
        let later = now() + DAY + Duration::from_secs(1);
        assert_eq!(read(later).err(), Some(SessionError::Expired));
    }

    #[test]
    fn a_cached_cookie_matches_only_its_whole_value() {
        let cookies = SignedCookies::new(DAY, 10);
        let (value, other) = (cookie("7", 0), cookie("8", 0));
        let read = |value: &str| cookies.read(&codec(), value, now());
        assert!(read(&value).is_ok());
        let (_, signature) = value.rsplit_once(':').expect("signed");
        let (stamped, _) = other.rsplit_once(':').expect("signed");
        for forged in [
            format!("{stamped}:{signature}"),
            value.to_ascii_uppercase(),
            value[1..].to_owned(),
            format!("{value}="),
        ] {
            for _ in 0..2 {
                let refused = read(&forged).err();
                assert_eq!(refused, Some(SessionError::BadSignature), "{forged}");
            }
        }
    }

    #[test]
    fn none_is_kept_if_there_is_no_room_or_it_is_long() {
        for (capacity, length) in [(0, 0), (10, LONGEST)] {
            let cookies = SignedCookies::new(DAY, capacity);
            let value = cookie("7", length);
            let read = || cookies.read(&codec(), &value, now()).expect("a session");
            assert!(!Arc::ptr_eq(&read(), &read()), "{capacity}");
        }
    }
}
