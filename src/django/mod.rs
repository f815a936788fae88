//! The formats in which Django 3.2 to 5.2 stores Label Studio's sessions and sets its cookies.
//!
//! Pure functions over bytes: no clock, no randomness, no I/O. Django reads what this module
//! writes, and the other way around; `tests/vectors` contains what the real Django wrote.

mod auth_hash;
mod excerpt;
mod session;
mod set_cookie;
mod signing;
#[cfg(test)]
mod tests;

pub use self::auth_hash::AuthHasher;
pub use self::excerpt::SessionExcerpt;
pub use self::session::{
    SessionCodec, SessionData, SessionEntries, SessionError, Signed, base36,
    is_plausible_session_key, is_row_key, is_signed_cookie,
};
pub use self::set_cookie::{CookieAttributes, SameSite};
pub use self::signing::{BadSignature, SaltedHmac, TimestampSigner, base62_decode, base62_encode};
