//! `[external]`: method 1, issuers whose tokens are accepted: one as flat settings, more as tables.

mod issuer;
mod keys;

use std::collections::BTreeSet;

use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

pub(super) use self::issuer::RequiredClaims;
use self::issuer::{IssuerSettings, IssuerTable};
use super::declaration::declared;
use super::input::{Input, Unread};
use super::label_studio::LabelStudio;
use crate::gate::identity::ClaimMapping;
use crate::gate::verify::{Expectation, KeySet, LoadBalancer};

/// Method 1: tokens of your own issuer. It is on if there is a secret, a public key, or a place to
/// find keys.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ExternalSection {
    #[serde(flatten)]
    issuer: IssuerSettings,
    /// Further issuers: tables `[[external.issuers]]`, each with a `name` and the settings above.
    /// There, `secret` and `public_key` may be lists, and `secret_file` and `public_key_file` name
    /// files. The settings above are for the issuer that they name a key for; without one, they are
    /// refused. In the variable, the issuers are a JSON array.
    #[schemars(with = "Vec<IssuerTable>", extend("x-secret" = true))]
    issuers: Vec<Map<String, Value>>,
}

/// Method 1.
#[derive(Debug)]
pub struct External {
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<Issuer>,
}

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub struct Issuer {
    /// Its name in messages.
    pub name: String,
    /// Where its keys are.
    pub keys: IssuerKeys,
    /// What its tokens must say.
    pub expectation: Expectation,
    /// Which user a token names, and what it permits.
    pub mapping: ClaimMapping,
    /// The load balancer of AWS that makes its tokens.
    pub load_balancer: Option<LoadBalancer>,
}

/// Where the keys of an issuer are.
#[derive(Debug)]
pub enum IssuerKeys {
    /// In the settings.
    Configured(KeySet),
    /// At a key server.
    Served(KeyPlace),
}

/// A key server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// What it publishes, and where.
    pub location: KeyLocation,
    /// Accepted algorithms; empty: those of the keys.
    pub allowed: Vec<Algorithm>,
    /// Whether keys may be fetched over plain HTTP.
    pub allow_http: bool,
}

/// Where a key server publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLocation {
    /// A JSON Web Key Set (RFC 7517 §5).
    Jwks(Url),
    /// Keys in PEM form, each below this address by its ID, a UUID.
    ById(Url),
    /// An OpenID provider, whose discovery document names the set (OpenID Connect Discovery 1.0,
    /// §4).
    Discovery {
        /// The document.
        document: Url,
        /// The `issuer` that the document must have (§4.3).
        issuer: String,
    },
}

impl External {
    pub(super) fn new(
        section: ExternalSection,
        input: &mut Input,
        label_studio: &LabelStudio,
    ) -> Self {
        let mut issuers = Vec::new();
        let flat = IssuerTable::flat(section.issuer);
        if flat.has_keys() {
            let mut place = Place::new(input, "external".to_owned(), label_studio);
            issuers.extend(flat.check(&mut place));
        } else {
            refuse_unread(input, !section.issuers.is_empty());
        }
        let mut names = BTreeSet::new();
        for (n, given) in section.issuers.iter().enumerate() {
            let prefix = format!("external.issuers[{n}]");
            let table: IssuerTable = input.read_table(&prefix, given, &declared::<IssuerTable>());
            let prefix = match table.name.as_str() {
                "" => prefix,
                name => format!("{prefix} ({name})"),
            };
            let mut place = Place::new(input, prefix, label_studio);
            if !table.name.is_empty() && !names.insert(table.name.clone()) {
                let why = format!("{:?} is the name of another issuer", table.name);
                place.refuse("name", why);
            }
            if !table.has_keys() {
                place.refuse(
                    "secret",
                    "an issuer needs one of secret, public_key, jwks_url and discovery",
                );
            }
            issuers.extend(table.check(&mut place));
        }
        Self { issuers }
    }
}

/// Refuses settings of one issuer that is not there.
fn refuse_unread(input: &mut Input, has_tables: bool) {
    let why = match has_tables {
        true => Unread::Beside("external.issuers"),
        false => Unread::Off("a key: secret, public_key, jwks_url or discovery"),
    };
    let keys = ["secret", "public_key", "jwks_url", "discovery", "issuers"];
    let is_unusable = |key: &str| input.is_unusable(&format!("external.{key}"));
    if !keys.into_iter().any(is_unusable) {
        input.refuse_unread("external", &declared::<IssuerSettings>(), why);
    }
}

/// Where an issuer's settings are, for error messages.
struct Place<'i> {
    input: &'i mut Input,
    prefix: String,
    label_studio: &'i LabelStudio,
}

impl<'i> Place<'i> {
    const fn new(input: &'i mut Input, prefix: String, label_studio: &'i LabelStudio) -> Self {
        Self {
            input,
            prefix,
            label_studio,
        }
    }

    fn refuse(&mut self, field: &str, why: impl std::fmt::Display) {
        let name = format!("{}.{field}", self.prefix);
        self.input.refuse(&name, why);
    }
}
