//! The keys of an issuer as they are written: secrets, public keys, or where they are published.

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::{ExposeSecret, SecretString};

use super::super::label_studio::SHORTEST_KEY;
use super::written::{OneOrMore, Written};
use super::{IssuerKeys, KeyLocation, KeyPlace, Place};
use crate::gate::verify::KeySet;

impl Written {
    pub(super) fn keys(&self, place: &mut Place<'_>) -> Option<IssuerKeys> {
        let allowed = self.allowed(place)?;
        let mut secrets = texts(place, "secret", &self.secret, &self.secret_file)?;
        secrets.extend(Some(self.previous_secret.clone()).filter(|text| !text.is_empty()));
        let mut public = texts(place, "public_key", &self.public_key, &self.public_key_file)?;
        // PyJWT takes a public key where it takes a secret, and the plugin has one setting for both.
        let is_public = allowed
            .first()
            .is_some_and(|one| family(*one) != AlgorithmFamily::Hmac);
        if is_public {
            public.append(&mut secrets);
        }
        let sources = [
            !secrets.is_empty(),
            !public.is_empty(),
            !self.jwks_url.is_empty(),
            !self.discovery.is_empty(),
        ];
        if sources.iter().filter(|is_there| **is_there).count() > 1 {
            place.refuse(
                "secret",
                "one of secret, public_key, jwks_url and discovery, and not several: make another issuer of the second",
            );
            return None;
        }
        if !secrets.is_empty() {
            return shared(place, &secrets, &allowed).map(IssuerKeys::Configured);
        }
        if !public.is_empty() {
            return published(place, &public, &allowed).map(IssuerKeys::Configured);
        }
        let location = if self.discovery.is_empty() {
            let url = Some(self.jwks_url.as_str()).filter(|url| !url.is_empty())?;
            KeyLocation::Jwks(place.url("jwks_url", url, self.allow_http)?)
        } else {
            self.discovery(place)?
        };
        if allowed
            .iter()
            .any(|one| family(*one) == AlgorithmFamily::Hmac)
        {
            place.refuse(
                "algorithms",
                "must be for public keys with jwks_url and discovery: a secret that is published is none",
            );
            return None;
        }
        Some(IssuerKeys::Served(KeyPlace {
            location,
            allowed,
            allow_http: self.allow_http,
        }))
    }

    fn discovery(&self, place: &mut Place<'_>) -> Option<KeyLocation> {
        let base = issuer_of(&self.discovery);
        let document = format!("{}{WELL_KNOWN}", base.trim_end_matches('/'));
        let issuer = match self.issuer.as_str() {
            "" => base,
            issuer => issuer,
        };
        Some(KeyLocation::Discovery {
            document: place.url("discovery", &document, self.allow_http)?,
            issuer: issuer.to_owned(),
        })
    }

    fn allowed(&self, place: &mut Place<'_>) -> Option<Vec<Algorithm>> {
        let mut allowed = Vec::new();
        for name in self.algorithms.texts() {
            match name.parse() {
                Ok(algorithm) => allowed.push(algorithm),
                Err(_) => {
                    let why = format!(
                        "must be of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA, and is {name:?}"
                    );
                    place.refuse("algorithms", why);
                    return None;
                }
            }
        }
        if allowed
            .windows(2)
            .any(|two| family(two[0]) != family(two[1]))
        {
            place.refuse(
                "algorithms",
                "must be of one family: a key is good for one kind of algorithm",
            );
            return None;
        }
        Some(allowed)
    }
}

/// OpenID Connect Discovery 1.0 §4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The issuer whose discovery document that is.
pub(super) fn issuer_of(discovery: &str) -> &str {
    discovery.strip_suffix(WELL_KNOWN).unwrap_or(discovery)
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    algorithm.family()
}

/// What is written, and what stands in the files that are named.
fn texts(
    place: &mut Place<'_>,
    field: &str,
    written: &OneOrMore,
    files: &OneOrMore,
) -> Option<Vec<String>> {
    let mut texts: Vec<String> = written.texts().map(str::to_owned).collect();
    for file in files.texts() {
        match std::fs::read_to_string(file) {
            Ok(text) => texts.push(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                place.refuse(
                    &format!("{field}_file"),
                    format!("cannot read {file}: {error}"),
                );
                return None;
            }
        }
    }
    Some(texts)
}

fn shared(place: &mut Place<'_>, secrets: &[String], allowed: &[Algorithm]) -> Option<KeySet> {
    let secret_key = &place.label_studio.secret_key;
    if secrets
        .iter()
        .any(|secret| secret == secret_key.expose_secret())
    {
        place.refuse(
            "secret",
            "is Label Studio's SECRET_KEY: whoever issues tokens with it could make sessions of their own",
        );
        return None;
    }
    if secrets.iter().any(|secret| secret.len() < SHORTEST_KEY) {
        place.refuse(
            "secret",
            format!("is shorter than {SHORTEST_KEY} bytes, the least for HS256 (RFC 7518 §3.2): such a secret can be guessed from one token"),
        );
        return None;
    }
    if secrets.iter().any(|secret| secret.contains("-----BEGIN ")) {
        place.refuse(
            "secret",
            "is a key in PEM form: name its algorithm in algorithms (JWT_SSO_ALGORITHM)",
        );
        return None;
    }
    let secrets: Vec<SecretString> = secrets.iter().cloned().map(SecretString::from).collect();
    let mut keys = KeySet::from_secrets(&secrets);
    keys.restrict(if allowed.is_empty() {
        &[Algorithm::HS256]
    } else {
        allowed
    });
    Some(keys)
}

fn published(place: &mut Place<'_>, texts: &[String], allowed: &[Algorithm]) -> Option<KeySet> {
    let mut keys = KeySet::default();
    for text in texts {
        match KeySet::from_pem(text) {
            Ok(more) => keys.extend(more),
            Err(error) => {
                place.refuse("public_key", error);
                return None;
            }
        }
    }
    if !allowed.is_empty() {
        keys.restrict(allowed);
    }
    if keys.is_empty() {
        place.refuse("algorithms", "is of another family than the public key");
        return None;
    }
    Some(keys)
}
