//! `django/core/signing.py` and `salted_hmac` of `django/utils/crypto.py`, from Django 3.2 to 5.2.
//!
//! A signed value is `value:timestamp:signature`. The timestamp is base 62; the signature is an
//! HMAC-SHA256 in base64url without padding. Its key is derived from `SECRET_KEY` and a salt that
//! separates the uses of the key.

use std::io::Read as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Maximum size of a decompressed payload. A cookie has at most 4 kB, a session row of Label Studio
/// less than one.
const MAX_INFLATED_SIZE: u64 = 64 * 1024;

/// Decodes like Python (`base64.urlsafe_b64decode`): the unused bits after the last byte need not
/// be zero. The signature covers the encoded text.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// `salted_hmac(key_salt, value, secret, algorithm="sha256")`, for one salt and one secret.
///
/// The key is already absorbed, which is more than half the work for a short value.
#[derive(Clone)]
pub struct SaltedHmac(Hmac<Sha256>);

/// Omits the key.
impl std::fmt::Debug for SaltedHmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltedHmac")
    }
}

impl SaltedHmac {
    /// Derives the key from salt and secret.
    pub fn new(key_salt: &str, secret: &[u8]) -> Self {
        let mut key = Sha256::new();
        key.update(key_salt.as_bytes());
        key.update(secret);
        Self(Hmac::new_from_slice(&key.finalize()).expect("HMAC takes keys of any length"))
    }

    /// The HMAC of a value.
    pub fn digest(&self, value: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

/// The value is not signed, or not with this key and salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct BadSignature;

/// `django.core.signing.TimestampSigner`
#[derive(Debug, Clone)]
pub struct TimestampSigner(SaltedHmac);

impl TimestampSigner {
    /// Signs with `secret` for the use named by `salt`.
    pub fn new(salt: &str, secret: &[u8]) -> Self {
        Self(SaltedHmac::new(&format!("{salt}signer"), secret))
    }

    /// `value:timestamp:signature`
    pub fn sign(&self, value: &str, at: SystemTime) -> String {
        let stamped = format!("{value}:{}", base62_encode(seconds(at)));
        let signature = self.signature(&stamped);
        stamped + ":" + &signature
    }

    /// Returns the value and its signing time in seconds since the epoch.
    pub fn unsign<'a>(&self, signed: &'a str) -> Result<(&'a str, i64), BadSignature> {
        let (stamped, signature) = signed.rsplit_once(':').ok_or(BadSignature)?;
        // Compare strings, as Django does: another encoding of the same bytes is not a valid
        // signature.
        if !bool::from(
            self.signature(stamped)
                .as_bytes()
                .ct_eq(signature.as_bytes()),
        ) {
            return Err(BadSignature);
        }
        let (value, timestamp) = stamped.rsplit_once(':').ok_or(BadSignature)?;
        Ok((value, base62_decode(timestamp).ok_or(BadSignature)?))
    }

    fn signature(&self, value: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.digest(value.as_bytes()))
    }
}

/// Encodes JSON as `dumps` does, in base64url without compression.
///
/// Django compresses if that is shorter, and reads both forms. Compression would save a hundred of
/// a session's five hundred bytes, but setting up the compressor takes longer than the rest of a
/// login.
pub(super) fn encode_payload(json: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// Decodes the JSON of a signed payload.
pub(super) fn decode_payload(payload: &str) -> Option<Vec<u8>> {
    let Some(compressed) = payload.strip_prefix('.') else {
        return LENIENT.decode(payload).ok();
    };
    let bytes = LENIENT.decode(compressed).ok()?;
    let mut json = Vec::new();
    let read = ZlibDecoder::new(bytes.as_slice())
        .take(MAX_INFLATED_SIZE + 1)
        .read_to_end(&mut json)
        .ok()?;
    (u64::try_from(read).ok()? <= MAX_INFLATED_SIZE).then_some(json)
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `b62_encode`
pub fn base62_encode(number: i64) -> String {
    let mut digits = Vec::new();
    let mut rest = number.unsigned_abs();
    loop {
        digits.push(BASE62[usize::try_from(rest % 62).unwrap_or(0)]);
        rest /= 62;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push(b'-');
    }
    digits.iter().rev().map(|b| char::from(*b)).collect()
}

/// `b62_decode`; `None` if the text is not base 62.
pub fn base62_decode(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0_i64, |number, byte| {
        let digit = BASE62.iter().position(|b| *b == byte)?;
        number
            .checked_mul(62)?
            .checked_add(sign * i64::try_from(digit).ok()?)
    })
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}
