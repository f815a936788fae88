//! Seals what the gate gives to a browser and wants back unread and unchanged.
//!
//! In: a value and its purpose. Out: text for a cookie or a form, and later the value again.
//! Afterwards, only a gate with the same `SECRET_KEY` has written it, and for this purpose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gate::entropy::Entropy;

/// Keys derived from `SECRET_KEY` and its predecessors.
pub(super) struct Seal {
    /// The first one seals; the others open what was sealed before a change of `SECRET_KEY`.
    keys: Vec<LessSafeKey>,
}

impl Seal {
    pub(super) fn new(secret_key: &SecretString, former: &[SecretString]) -> Self {
        let keys = std::iter::once(secret_key).chain(former).map(key);
        Self {
            keys: keys.collect(),
        }
    }

    /// A random nonce, and AES-256-GCM (RFC 5116 §5.2) with the purpose as associated data: the text
    /// is worth nothing elsewhere.
    pub(super) fn close<T: Serialize>(
        &self,
        purpose: &str,
        value: &T,
        entropy: &dyn Entropy,
    ) -> String {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&entropy.sixteen()[..NONCE_LEN]);
        let mut text = serde_json::to_vec(value).expect("the value is strings, numbers and maps");
        self.keys[0]
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose),
                &mut text,
            )
            .expect("the value is shorter than 64 GB");
        URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())
    }

    pub(super) fn open<T: DeserializeOwned>(&self, purpose: &str, text: &str) -> Option<T> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let text = key
                .open_in_place(nonce, Aad::from(purpose), &mut text)
                .ok()?;
            serde_json::from_slice(text).ok()
        })
    }
}

/// HKDF (RFC 5869), with a label of its own: `SECRET_KEY` also signs sessions and tokens.
fn key(secret_key: &SecretString) -> LessSafeKey {
    let secret =
        Salt::new(HKDF_SHA256, b"label-studio-gate").extract(secret_key.expose_secret().as_bytes());
    let info = [b"sign-in flow cookie".as_slice()];
    let key = secret
        .expand(&info, &AES_256_GCM)
        .expect("HKDF makes keys of this length");
    LessSafeKey::new(UnboundKey::from(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::entropy::Fixed;

    #[test]
    fn text_is_bound_to_its_purpose_and_key() {
        let (ours, other) = (
            Seal::new(&"secret".into(), &[]),
            Seal::new(&"another secret".into(), &[]),
        );
        let text = ours.close("a", &"value", &Fixed);
        assert_eq!(ours.open("a", &text), Some("value".to_owned()));
        assert_eq!(ours.open::<String>("b", &text), None);
        assert_eq!(other.open::<String>("a", &text), None);
        let rotated = Seal::new(&"new".into(), &["secret".into()]);
        assert_eq!(rotated.open("a", &text), Some("value".to_owned()));
    }

    proptest! {
        #[test]
        fn no_other_text_is_opened(text in "\\PC{0,200}", flip in 0_usize..2000) {
            let seal = Seal::new(&"secret".into(), &[]);
            prop_assert_eq!(seal.open::<String>("a", &text), None);
            let mut sealed = seal.close("a", &"value", &Fixed).into_bytes();
            let place = flip % sealed.len();
            sealed[place] = if sealed[place] == b'A' { b'B' } else { b'A' };
            let sealed = String::from_utf8(sealed).expect("still ASCII");
            prop_assert_eq!(seal.open::<String>("a", &sealed), None);
        }
    }
}
