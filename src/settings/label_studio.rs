//! `[label_studio]`: the key that everything is signed with, and which ones protect nothing.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use super::reader::Reader;

/// What Label Studio runs with.
#[derive(Debug)]
pub struct LabelStudio {
    /// `SECRET_KEY`
    pub secret_key: SecretString,
    /// Where browsers reach it.
    pub url: Option<String>,
    /// Those before it.
    pub former_secret_keys: Vec<SecretString>,
}

/// The key of every Label Studio before 1.8.2: whoever has read its source can sign with it.
const PUBLIC_CONSTANT: &str = "$(fefwefwef13;LFK{P!)@#*!)kdsjfWF2l+i5e3t(8a1n";

/// RFC 7518 §3.2: a key for HS256 has 256 bits or more.
pub(super) const SHORTEST_KEY: usize = 32;

impl LabelStudio {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let name = "label_studio.secret_key";
        let secret_key = reader.secret(name);
        let key = secret_key.expose_secret();
        let distinct: BTreeSet<char> = key.chars().collect();
        if key.is_empty() {
            reader.refuse(
                name,
                "is required: Label Studio's SECRET_KEY, in a variable SECRET_KEY of both services",
            );
        } else if key == PUBLIC_CONSTANT {
            reader.refuse(name, "is the constant of Label Studio before 1.8.2, which everybody knows: upgrade Label Studio and set a SECRET_KEY of your own");
        } else if key.starts_with('$') {
            reader.refuse(name, "starts with '$': Label Studio takes that for the name of a variable and makes a random key at each start");
        } else if key.len() < SHORTEST_KEY {
            reader.refuse(
                name,
                format!(
                    "is shorter than {SHORTEST_KEY} bytes, the least for HS256 (RFC 7518 §3.2)"
                ),
            );
        } else if distinct.len() < 5 {
            reader.refuse(name, "holds fewer than 5 different characters");
        }
        let former = reader.list("label_studio.secret_key_fallbacks");
        if former
            .iter()
            .any(|key| key.len() < SHORTEST_KEY || key == PUBLIC_CONSTANT)
        {
            reader.refuse(
                "label_studio.secret_key_fallbacks",
                format!("holds a key that protects nothing: shorter than {SHORTEST_KEY} bytes, or the constant of Label Studio before 1.8.2"),
            );
        }
        Self {
            secret_key,
            url: reader.optional("label_studio.url"),
            former_secret_keys: former.into_iter().map(SecretString::from).collect(),
        }
    }
}
