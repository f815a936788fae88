//! The form of a shared secret: what a copy of it has too much, for an operator who wonders why it
//! makes other signatures.
//!
//! In: a secret that did not make a token's signature. Out: in which form it did, if it is one that
//! copies of secrets commonly have. Nothing is accepted because of it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Decodes either alphabet, with and without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// In which other form the secret made the signature, which `made_by` compares with a secret's.
pub(super) fn right_form(secret: &[u8], made_by: impl Fn(&[u8]) -> bool) -> Option<&'static str> {
    let trimmed = secret.trim_ascii();
    if trimmed != secret && made_by(trimmed) {
        return Some("without the white space or line break around it");
    }
    if unquoted(trimmed).is_some_and(&made_by) {
        return Some("without the quotation marks around it");
    }
    let alphabets = [alphabet::STANDARD, alphabet::URL_SAFE];
    let is_encoded = alphabets.iter().any(|alphabet| {
        let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(trimmed);
        decoded.is_ok_and(|decoded| made_by(&decoded))
    });
    is_encoded.then_some("decoded: it is base64 of the secret")
}

fn unquoted(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_secret_is_recognized_by_what_it_has_too_much() {
        let secret = b"\xffa secret of an issuer".as_slice();
        let text = b"a secret of an issuer".as_slice();
        for (right, copy, form) in [
            (text, "a secret of an issuer\n", Some("white space")),
            (text, " a secret of an issuer", Some("white space")),
            (text, "\"a secret of an issuer\"", Some("quotation marks")),
            (text, "'a secret of an issuer'\r\n", Some("quotation marks")),
            (text, "YSBzZWNyZXQgb2YgYW4gaXNzdWVy", Some("base64")),
            (secret, "/2Egc2VjcmV0IG9mIGFuIGlzc3Vlcg==", Some("base64")),
            (secret, "_2Egc2VjcmV0IG9mIGFuIGlzc3Vlcg\n", Some("base64")),
            (text, "\"a secret of an issuer", None),
            (text, "another secret\n", None),
            // It made the signature as it is.
            (text, "a secret of an issuer", None),
            (b"", "\"", None),
        ] {
            let found = right_form(copy.as_bytes(), |candidate| candidate == right);
            assert_eq!(found.is_some(), form.is_some(), "{copy:?}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(
                found.contains(form.unwrap_or_default()),
                "{copy:?}: {found}"
            );
        }
    }
}
