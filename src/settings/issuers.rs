//! `[external]`: whoever issues tokens, as flat settings for one issuer and as a list of tables for more.

mod keys;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use url::Url;

use self::written::Written;
use super::label_studio::LabelStudio;
use super::reader::Reader;
use crate::gate::identity::PersonRules;
use crate::gate::verify::{Expectation, KeySet};
use crate::outgoing::Limits;

/// Method 1.
#[derive(Debug)]
pub struct External {
    /// Everybody whose tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// How often keys are read again.
    pub refresh: Duration,
    /// How soon a token may have them read again.
    pub cooldown: Duration,
    /// What reading them may take; plain HTTP is each issuer's own choice.
    pub limits: Limits,
}

/// Somebody whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    /// As messages call it.
    pub name: String,
    /// Where the keys are.
    pub keys: IssuerKeys,
    /// What the tokens must say.
    pub expectation: Expectation,
    /// Whom they speak of, and what may be done for them.
    pub rules: PersonRules,
}

/// Where the keys of an issuer are.
#[derive(Debug)]
pub enum IssuerKeys {
    /// Here.
    Configured(KeySet),
    /// At a key server.
    Served(KeyPlace),
}

/// A key server.
#[derive(Debug, Clone)]
pub struct KeyPlace {
    /// Which.
    pub location: KeyLocation,
    /// Algorithms that are accepted; empty: those of the keys.
    pub allowed: Vec<Algorithm>,
    /// Whether plain HTTP will do.
    pub allow_http: bool,
}

/// Where a key server publishes.
#[derive(Debug, Clone)]
pub enum KeyLocation {
    /// A JSON Web Key Set (RFC 7517 §5).
    Jwks(Url),
    /// An OpenID provider: its discovery document names the set (OpenID Connect Discovery 1.0 §4).
    Discovery {
        /// The document.
        document: Url,
        /// `issuer` in it, which must be the one whose tokens are expected (§4.3).
        issuer: String,
    },
}

impl External {
    pub(super) fn read(reader: &mut Reader, label_studio: &LabelStudio) -> Self {
        let mut issuers = Vec::new();
        let flat = Written::flat(reader);
        if flat.has_keys() {
            let mut place = Place {
                reader,
                prefix: "external".to_owned(),
                label_studio,
            };
            issuers.extend(flat.check(&mut place));
        }
        for (n, table) in tables(reader).into_iter().enumerate() {
            let prefix = format!("external.issuers[{n}]");
            let written: Written = match serde_json::from_value(table) {
                Ok(written) => written,
                Err(error) => {
                    reader.refuse(&prefix, error);
                    continue;
                }
            };
            let name = match written.name.as_str() {
                "" => prefix,
                name => format!("{prefix} ({name})"),
            };
            let mut place = Place {
                reader,
                prefix: name,
                label_studio,
            };
            if !written.has_keys() {
                place.refuse(
                    "secret",
                    "an issuer needs one of secret, public_key, jwks_url and discovery",
                );
            }
            issuers.extend(written.check(&mut place));
        }
        Self {
            issuers,
            refresh: reader.seconds("key_server.refresh_seconds", 10..=86_400),
            cooldown: reader.seconds("key_server.cooldown_seconds", 1..=3600),
            limits: Limits {
                timeout: reader.milliseconds("key_server.timeout_ms", 10..=60_000),
                max_bytes: reader.number("key_server.max_bytes", 1024..=16_777_216),
                redirects: reader.number("key_server.redirects", 0..=10),
                allow_http: false,
                ca_file: reader.optional("key_server.ca_file").map(PathBuf::from),
            },
        }
    }
}

fn tables(reader: &mut Reader) -> Vec<Value> {
    match reader.json("external.issuers") {
        Ok(Value::Array(tables)) => tables,
        Ok(_) => {
            reader.refuse("external.issuers", "must be an array of tables");
            Vec::new()
        }
        Err(why) => {
            reader.refuse("external.issuers", why);
            Vec::new()
        }
    }
}

/// Where an issuer is written, for messages.
struct Place<'r> {
    reader: &'r mut Reader,
    prefix: String,
    label_studio: &'r LabelStudio,
}

impl Place<'_> {
    fn refuse(&mut self, field: &str, why: impl std::fmt::Display) {
        let name = format!("{}.{field}", self.prefix);
        self.reader.refuse(&name, why);
    }

    fn url(&mut self, field: &str, text: &str, allow_http: bool) -> Option<Url> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" || (allow_http && url.scheme() == "http") => {
                Some(url)
            }
            Ok(url) if url.scheme() == "http" => {
                self.refuse(
                    field,
                    "must begin with https://: whoever sits in between could put keys of their own there; allow_http permits it",
                );
                None
            }
            Ok(_) | Err(_) => {
                self.refuse(field, format!("must be a URL, and is {text:?}"));
                None
            }
        }
    }
}
