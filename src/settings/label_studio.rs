//! `[label_studio]`: Label Studio's own settings, and the check for weak keys.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::input::Input;
use super::types::{PublicUrl, Secret};

/// Label Studio's own settings. Both services need the same values.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LabelStudio {
    /// Label Studio's `SECRET_KEY`. Required, and the same value in both services.
    #[schemars(extend("x-env" = ["SECRET_KEY"]))]
    pub secret_key: Secret,
    /// Public URL of Label Studio, as browsers see it. URLs that lead back start with its origin
    /// (empty: the origin of the request), its path is where Label Studio is published, warnings
    /// compare the cookies with it, and `doctor` tries it.
    #[schemars(extend("x-env" = ["LABEL_STUDIO_HOST", "HEARTEX_HOST"]))]
    pub url: Option<PublicUrl>,
    /// Previous values of `SECRET_KEY`: tokens signed with them are still accepted.
    #[schemars(extend("x-env" = ["SECRET_KEY_FALLBACKS"], "x-empty-file" = true))]
    pub secret_key_fallbacks: Vec<Secret>,
}

/// The `SECRET_KEY` of every Label Studio before 1.8.2, which is in the public source code.
const PUBLIC_CONSTANT: &str = "$(fefwefwef13;LFK{P!)@#*!)kdsjfWF2l+i5e3t(8a1n";

/// Shortest acceptable key in bytes: HS256 needs 256 bits (RFC 7518 §3.2).
pub(super) const SHORTEST_KEY: usize = 32;

impl LabelStudio {
    /// Previous values of `SECRET_KEY`.
    pub fn former_secret_keys(&self) -> Vec<SecretString> {
        let keys = self.secret_key_fallbacks.iter();
        keys.map(|key| SecretString::clone(key)).collect()
    }

    pub(super) fn check(&self, input: &mut Input) {
        if let Some(why) = weakness(self.secret_key.expose_secret()) {
            input.refuse("label_studio.secret_key", why);
        }
        let mut former = self.secret_key_fallbacks.iter();
        if former.any(|key| {
            key.expose_secret().len() < SHORTEST_KEY || key.expose_secret() == PUBLIC_CONSTANT
        }) {
            input.refuse(
                "label_studio.secret_key_fallbacks",
                format!(
                    "contains a weak key: one that is shorter than {SHORTEST_KEY} bytes, or the \
                     public constant of Label Studio before 1.8.2"
                ),
            );
        }
    }
}

fn weakness(key: &str) -> Option<String> {
    if key.is_empty() {
        return Some(
            "is required: Label Studio's SECRET_KEY, as the variable SECRET_KEY of both services"
                .to_owned(),
        );
    }
    if key == PUBLIC_CONSTANT {
        return Some(
            "is the constant of Label Studio before 1.8.2, which is public: upgrade Label Studio \
             and set your own SECRET_KEY"
                .to_owned(),
        );
    }
    if key.starts_with('$') {
        return Some(
            "starts with '$', which Label Studio takes for the name of a variable: it then \
             generates a random key at each start"
                .to_owned(),
        );
    }
    if key.len() < SHORTEST_KEY {
        return Some(format!(
            "is shorter than {SHORTEST_KEY} bytes, the minimum for HS256 (RFC 7518 §3.2)"
        ));
    }
    let distinct: BTreeSet<char> = key.chars().collect();
    (distinct.len() < 5).then(|| "contains fewer than 5 different characters".to_owned())
}
