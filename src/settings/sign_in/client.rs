//! What the gate authenticates with at a provider, and the keys that may sign ID tokens.

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};
use secrecy::{ExposeSecret as _, SecretString};

use super::Place;
use super::provider::{ProviderSettings, ProviderTable};
use crate::gate::jws;
use crate::settings::label_studio::SHORTEST_KEY;

/// What the gate authenticates with.
pub enum ClientAuthentication {
    /// Nothing: a public client.
    Public,
    /// A secret shared with the provider.
    Secret(SecretString),
    /// A private key (`private_key_jwt`).
    PrivateKey {
        /// The key.
        key: EncodingKey,
        /// Its algorithm.
        algorithm: Algorithm,
        /// The ID under which the provider knows it.
        id: Option<String>,
    },
}

/// Shows neither secret nor key.
impl std::fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public => "Public",
            Self::Secret(_) => "Secret",
            Self::PrivateKey { .. } => "PrivateKey",
        })
    }
}

impl ProviderTable {
    /// `None` if something is wrong, which has been reported.
    pub(super) fn authentication(&self, place: &mut Place<'_>) -> Option<ClientAuthentication> {
        let settings = &self.provider;
        let secret = text(
            place,
            "client_secret",
            &settings.client_secret,
            &self.client_secret_file,
        )?;
        let key = text(
            place,
            "private_key",
            &settings.private_key,
            &self.private_key_file,
        )?;
        match (secret.is_empty(), key.is_empty()) {
            (true, true) => Some(ClientAuthentication::Public),
            (false, true) => Some(ClientAuthentication::Secret(secret.into())),
            (true, false) => settings.private_key(place, &key),
            (false, false) => {
                place.refuse("client_secret", "and private_key exclude each other");
                None
            }
        }
    }
}

/// The text itself or the contents of a file.
fn text(place: &mut Place<'_>, field: &str, given: &SecretString, file: &str) -> Option<String> {
    if file.is_empty() {
        return Some(given.expose_secret().to_owned());
    }
    match place.input.read_secret(file, false) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(why) => {
            place.refuse(&format!("{field}_file"), why);
            None
        }
    }
}

impl ProviderSettings {
    fn private_key(&self, place: &mut Place<'_>, pem: &str) -> Option<ClientAuthentication> {
        let algorithm = one_algorithm(place, "private_key_algorithm", &self.private_key_algorithm)?;
        if algorithm.family() == AlgorithmFamily::Hmac {
            place.refuse("private_key_algorithm", "must be for private keys");
            return None;
        }
        match jws::private_key(pem, algorithm) {
            Ok(key) => Some(ClientAuthentication::PrivateKey {
                key,
                algorithm,
                id: self.private_key_id.clone(),
            }),
            Err(error) => {
                let why = format!(
                    "is no private key for {algorithm:?} in PEM form: {error} (an EC key must \
                     contain its public key; an RSA key has 2048 to 4096 bits)"
                );
                place.refuse("private_key", why);
                None
            }
        }
    }

    /// Accepted algorithms of ID tokens; empty: those of the provider's keys. With a shared secret
    /// instead, the client secret is the key (OpenID Connect Core §10.1).
    pub(super) fn id_token_algorithms(
        &self,
        place: &mut Place<'_>,
        authentication: &ClientAuthentication,
    ) -> Option<Vec<Algorithm>> {
        let names = self.id_token_algorithms.iter();
        let allowed: Option<Vec<Algorithm>> = names
            .map(|name| one_algorithm(place, "id_token_algorithms", name))
            .collect();
        let allowed = allowed?;
        let is_hmac = |one: &Algorithm| one.family() == AlgorithmFamily::Hmac;
        if !allowed.iter().any(is_hmac) {
            return Some(allowed);
        }
        let why = match authentication {
            _ if !allowed.iter().all(is_hmac) => {
                "must be either for the client secret (HS256) or for public keys"
            }
            ClientAuthentication::Secret(secret) if secret.expose_secret().len() < SHORTEST_KEY => {
                "is HS256, for which the client secret must have 32 bytes (RFC 7518 §3.2)"
            }
            ClientAuthentication::Secret(_) => return Some(allowed),
            ClientAuthentication::Public | ClientAuthentication::PrivateKey { .. } => {
                "is HS256, whose key is the client secret, and there is none"
            }
        };
        place.refuse("id_token_algorithms", why);
        None
    }
}

fn one_algorithm(place: &mut Place<'_>, field: &str, name: &str) -> Option<Algorithm> {
    let algorithm = name.parse().ok();
    if algorithm.is_none() {
        let why = format!(
            "must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA, not {name:?}"
        );
        place.refuse(field, why);
    }
    algorithm
}
