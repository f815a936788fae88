//! The formats of Django 3.2 to 5.2 in which Label Studio keeps sessions and sets cookies.
//!
//! Pure functions over bytes: no clock, no randomness, no input or output. What is written here Django reads, and the other way round;
//! `tests/vectors` holds what the real Django wrote.

mod auth_hash;
mod session;
mod set_cookie;
mod signing;
#[cfg(test)]
mod tests;

pub use self::auth_hash::AuthHasher;
pub use self::session::{
    SessionCodec, SessionData, SessionError, base36, is_plausible_session_key,
};
pub use self::set_cookie::{CookieAttributes, SameSite};
pub use self::signing::{BadSignature, TimestampSigner, base62_decode, base62_encode, salted_hmac};
