//! The keys of an issuer: secrets, public keys, or where they are published.

use std::borrow::Cow;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::super::label_studio::SHORTEST_KEY;
use super::issuer::{IssuerSettings, IssuerTable, OneOrMore, secrets};
use super::{IssuerKeys, KeyLocation, KeyPlace, Place};
use crate::gate::verify::KeySet;
use crate::http_client::{has_user, shown};

/// OpenID Connect Discovery 1.0 §4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

impl IssuerTable {
    /// `None` if something is wrong, which has been reported.
    pub(super) fn keys(&self, place: &mut Place<'_>) -> Option<IssuerKeys> {
        let settings = &self.issuer;
        let allowed = settings.allowed(place)?;
        let mut shared = texts(
            place,
            "secret",
            secrets(&settings.secret),
            &self.secret_file,
        )?;
        let previous = settings.previous_secret.expose_secret();
        shared.extend((!previous.is_empty()).then(|| previous.to_owned()));
        let listed = secrets(&settings.public_key);
        let mut public = texts(place, "public_key", listed, &self.public_key_file)?;
        let mut field = "public_key";
        // PyJWT takes a public key where it takes a secret, and the plugin has one setting for
        // both.
        if allowed.first().is_some_and(|one| !is_hmac(*one)) && !shared.is_empty() {
            public.append(&mut shared);
            field = "secret";
        }
        let sources = [
            !shared.is_empty(),
            !public.is_empty(),
            !settings.jwks_url.is_empty(),
            !settings.discovery.is_empty(),
        ];
        if sources.iter().filter(|is_set| **is_set).count() > 1 {
            place.refuse(
                "secret",
                "only one of secret, public_key, jwks_url and discovery may be set: configure the \
                 second as another issuer",
            );
            return None;
        }
        if !shared.is_empty() {
            return shared_keys(place, &shared, &allowed).map(IssuerKeys::Configured);
        }
        if !public.is_empty() {
            return public_keys(place, field, &public, &allowed).map(IssuerKeys::Configured);
        }
        settings.served(place, allowed).map(IssuerKeys::Served)
    }
}

impl IssuerSettings {
    /// The `iss` that tokens must have.
    pub(super) fn expected_issuer(&self) -> Option<Cow<'_, str>> {
        match (self.issuer.as_str(), self.discovery.as_str()) {
            ("", "") => None,
            ("", discovery) => Some(issuer_of(discovery).into()),
            (issuer, _) => Some(issuer.into()),
        }
    }

    fn allowed(&self, place: &mut Place<'_>) -> Option<Vec<Algorithm>> {
        let mut allowed: Vec<Algorithm> = Vec::new();
        for name in &self.algorithms {
            let Ok(algorithm) = name.parse() else {
                let why = format!(
                    "must be HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
                     ES384 or EdDSA, not {name:?}"
                );
                place.refuse("algorithms", why);
                return None;
            };
            allowed.push(algorithm);
        }
        if allowed
            .windows(2)
            .any(|two| two[0].family() != two[1].family())
        {
            let why = "must be of one family, because a key works with one family only";
            place.refuse("algorithms", why);
            return None;
        }
        Some(allowed)
    }

    fn served(&self, place: &mut Place<'_>, allowed: Vec<Algorithm>) -> Option<KeyPlace> {
        let location = if !self.discovery.is_empty() {
            let base = issuer_of(&self.discovery);
            let document = format!("{}{WELL_KNOWN}", base.trim_end_matches('/'));
            let document = self.url(place, "discovery", &document)?;
            if self.issuer.is_empty() && has_user(&document) {
                let why = "is required: the user in discovery is no part of the issuer's name";
                place.refuse("issuer", why);
            }
            KeyLocation::Discovery {
                document,
                issuer: self.expected_issuer()?.into_owned(),
            }
        } else if !self.jwks_url.is_empty() {
            let url = self.url(place, "jwks_url", &self.jwks_url)?;
            match self.load_balancer.as_str() {
                "" => KeyLocation::Jwks(url),
                _ => KeyLocation::ById(url),
            }
        } else {
            return None;
        };
        if allowed.iter().any(|one| is_hmac(*one)) {
            place.refuse(
                "algorithms",
                "must be for public keys with jwks_url and discovery: a published secret is no secret",
            );
            return None;
        }
        Some(KeyPlace {
            location,
            allowed,
            allow_http: self.allow_http,
        })
    }

    fn url(&self, place: &mut Place<'_>, field: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok();
        match url.as_ref().map(Url::scheme) {
            Some("https") => url,
            Some("http") if self.allow_http => url,
            Some("http") => {
                place.refuse(
                    field,
                    "must begin with https://: an attacker on the network could replace the keys; \
                     allow_http permits it",
                );
                None
            }
            _ => {
                place.refuse(field, format!("must be a URL, not {:?}", shown(text)));
                None
            }
        }
    }
}

/// The issuer of a discovery document, which may be given by its full URL.
fn issuer_of(discovery: &str) -> &str {
    discovery.strip_suffix(WELL_KNOWN).unwrap_or(discovery)
}

fn is_hmac(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// The listed texts and the contents of the files.
fn texts<'t>(
    place: &mut Place<'_>,
    field: &str,
    listed: impl Iterator<Item = &'t str>,
    files: &OneOrMore<String>,
) -> Option<Vec<String>> {
    let listed = listed.filter(|text| !text.is_empty());
    let mut texts: Vec<String> = listed.map(str::to_owned).collect();
    for file in files.as_slice().iter().filter(|file| !file.is_empty()) {
        match place.input.read_secret(file, false) {
            Ok(text) => texts.push(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(why) => {
                place.refuse(&format!("{field}_file"), why);
                return None;
            }
        }
    }
    Some(texts)
}

fn shared_keys(place: &mut Place<'_>, secrets: &[String], allowed: &[Algorithm]) -> Option<KeySet> {
    let secret_key = place.label_studio.secret_key.expose_secret();
    let any = |is_bad: &dyn Fn(&str) -> bool| secrets.iter().any(|secret| is_bad(secret));
    let why = if any(&|secret| secret == secret_key) {
        "is Label Studio's SECRET_KEY: an issuer that knows it could forge sessions; use another \
         secret"
            .to_owned()
    } else if any(&|secret| secret.len() < SHORTEST_KEY) {
        format!(
            "is shorter than {SHORTEST_KEY} bytes, the minimum for HS256 (RFC 7518 §3.2): a short \
             secret can be guessed from one token"
        )
    } else if any(&|secret| secret.contains("-----BEGIN ")) {
        "is a key in PEM form: name its algorithm in algorithms (JWT_SSO_ALGORITHM)".to_owned()
    } else {
        let secrets = secrets.iter().cloned().map(SecretString::from);
        let mut keys = KeySet::from_secrets(&secrets.collect::<Vec<_>>());
        keys.restrict(if allowed.is_empty() {
            &[Algorithm::HS256]
        } else {
            allowed
        });
        return Some(keys);
    };
    place.refuse("secret", why);
    None
}

/// `field`: the setting that holds them.
fn public_keys(
    place: &mut Place<'_>,
    field: &str,
    texts: &[String],
    allowed: &[Algorithm],
) -> Option<KeySet> {
    let mut keys = KeySet::default();
    for text in texts {
        match KeySet::from_pem(text) {
            Ok(more) => keys.extend(more),
            Err(error) => {
                let why = mistaken(place, text).unwrap_or_else(|| error.to_string());
                place.refuse(field, why);
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

/// What is in the place of a public key, if it is something that is easily mistaken for one.
fn mistaken(place: &Place<'_>, text: &str) -> Option<String> {
    if text.contains("-----BEGIN CERTIFICATE") {
        let why = "is a certificate, and the public key in it is needed: \
            openssl x509 -pubkey -noout -in FILE";
        return Some(why.to_owned());
    }
    let is_path = text.starts_with('/') && !text.contains('\n');
    is_path.then(|| {
        let file = match place.prefix.as_str() {
            "external" => "the variable GATE_EXTERNAL_PUBLIC_KEY_FILE",
            _ => "public_key_file",
        };
        format!("is a path, not a public key in PEM form: name the file in {file}")
    })
}
