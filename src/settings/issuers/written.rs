//! An issuer as it is written, and what must be right about it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::reader::Reader;
use super::keys::issuer_of;
use super::{Issuer, Place};
use crate::gate::identity::{Admission, PersonRules};
use crate::gate::verify::{Expectation, RequiredClaim};

/// An issuer as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) secret: OneOrMore,
    pub(super) secret_file: OneOrMore,
    pub(super) previous_secret: String,
    pub(super) public_key: OneOrMore,
    pub(super) public_key_file: OneOrMore,
    pub(super) jwks_url: String,
    pub(super) discovery: String,
    pub(super) algorithms: OneOrMore,
    pub(super) issuer: String,
    pub(super) audience: OneOrMore,
    pub(super) leeway_seconds: u64,
    pub(super) max_lifetime_seconds: u64,
    pub(super) required_claims: RequiredClaims,
    pub(super) email_claim: String,
    pub(super) username_claim: String,
    pub(super) first_name_claim: String,
    pub(super) last_name_claim: String,
    pub(super) create_users: bool,
    pub(super) update_names: bool,
    pub(super) allow_privileged: bool,
    pub(super) accept_unverified_email: bool,
    pub(super) allow_http: bool,
}

/// The defaults of `config/default.toml`, for the tables of the list.
impl Default for Written {
    fn default() -> Self {
        let text = String::new;
        Self {
            name: text(),
            secret: OneOrMore::default(),
            secret_file: OneOrMore::default(),
            previous_secret: text(),
            public_key: OneOrMore::default(),
            public_key_file: OneOrMore::default(),
            jwks_url: text(),
            discovery: text(),
            algorithms: OneOrMore::default(),
            issuer: text(),
            audience: OneOrMore::default(),
            leeway_seconds: 0,
            max_lifetime_seconds: 86_400,
            required_claims: RequiredClaims::default(),
            email_claim: "email".to_owned(),
            username_claim: text(),
            first_name_claim: "first_name".to_owned(),
            last_name_claim: "last_name".to_owned(),
            create_users: false,
            update_names: true,
            allow_privileged: true,
            accept_unverified_email: false,
            allow_http: false,
        }
    }
}

/// A text or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl OneOrMore {
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        };
        texts
            .iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }
}

/// `["name", "name=value"]`, or a table with lists of accepted values.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RequiredClaims {
    Texts(Vec<String>),
    Table(Map<String, Value>),
}

impl Default for RequiredClaims {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl RequiredClaims {
    fn read(self) -> Vec<RequiredClaim> {
        let claim = |name: &str, accepted| RequiredClaim {
            name: name.to_owned(),
            accepted,
        };
        match self {
            Self::Texts(texts) => texts
                .iter()
                .map(|text| match text.split_once('=') {
                    Some((name, value)) => claim(name, vec![value.into()]),
                    None => claim(text, Vec::new()),
                })
                .collect(),
            Self::Table(table) => table
                .into_iter()
                .map(|(name, value)| match value {
                    Value::Bool(true) => claim(&name, Vec::new()),
                    Value::Array(accepted) => claim(&name, accepted),
                    single => claim(&name, vec![single]),
                })
                .collect(),
        }
    }
}

impl Written {
    /// `external.…`
    pub(super) fn flat(reader: &mut Reader) -> Self {
        Self {
            name: String::new(),
            secret: OneOrMore::One(reader.text("external.secret")),
            secret_file: OneOrMore::default(),
            previous_secret: reader.text("external.previous_secret"),
            public_key: OneOrMore::One(reader.text("external.public_key")),
            public_key_file: OneOrMore::default(),
            jwks_url: reader.text("external.jwks_url"),
            discovery: reader.text("external.discovery"),
            algorithms: OneOrMore::More(reader.list("external.algorithms")),
            issuer: reader.text("external.issuer"),
            audience: OneOrMore::More(reader.list("external.audience")),
            leeway_seconds: reader.number("external.leeway_seconds", 0..=300),
            max_lifetime_seconds: reader.number("external.max_lifetime_seconds", 0..=u64::MAX),
            required_claims: RequiredClaims::Texts(reader.list("external.required_claims")),
            email_claim: reader.text("external.email_claim"),
            username_claim: reader.text("external.username_claim"),
            first_name_claim: reader.text("external.first_name_claim"),
            last_name_claim: reader.text("external.last_name_claim"),
            create_users: reader.flag("external.create_users"),
            update_names: reader.flag("external.update_names"),
            allow_privileged: reader.flag("external.allow_privileged"),
            accept_unverified_email: reader.flag("external.accept_unverified_email"),
            allow_http: reader.flag("external.allow_http"),
        }
    }

    pub(super) fn has_keys(&self) -> bool {
        let listed = [
            &self.secret,
            &self.secret_file,
            &self.public_key,
            &self.public_key_file,
        ];
        listed.iter().any(|list| list.texts().next().is_some())
            || !self.jwks_url.is_empty()
            || !self.discovery.is_empty()
    }

    /// `None` when something is wrong, which was told.
    pub(super) fn check(self, place: &mut Place<'_>) -> Option<Issuer> {
        if self.email_claim.is_empty() && self.username_claim.is_empty() {
            place.refuse(
                "email_claim",
                "must not be empty, unless there is a username_claim",
            );
        }
        if self.leeway_seconds > 300 {
            place.refuse("leeway_seconds", "must be 300 at most");
        }
        let keys = self.keys(place);
        let is_served = !self.jwks_url.is_empty() || !self.discovery.is_empty();
        let audiences: Vec<String> = self.audience.texts().map(str::to_owned).collect();
        if is_served && audiences.is_empty() {
            place.refuse(
                "audience",
                "is required with jwks_url and discovery: their owner signs tokens for other applications too",
            );
        }
        let issuer = match (self.issuer.as_str(), self.discovery.as_str()) {
            ("", "") => None,
            ("", discovery) => Some(issuer_of(discovery).to_owned()),
            (issuer, _) => Some(issuer.to_owned()),
        };
        let lifetime = self.max_lifetime_seconds;
        let expectation = Expectation {
            issuer,
            audiences,
            leeway: Duration::from_secs(self.leeway_seconds),
            max_lifetime: (lifetime > 0).then(|| Duration::from_secs(lifetime)),
            required: self.required_claims.read(),
        };
        let rules = PersonRules {
            email: self.email_claim,
            username: Some(self.username_claim).filter(|name| !name.is_empty()),
            first_name: self.first_name_claim,
            last_name: self.last_name_claim,
            unverified_email: self.accept_unverified_email,
            admission: Admission {
                create: self.create_users,
                update_names: self.update_names,
                privileged: self.allow_privileged,
            },
        };
        Some(Issuer {
            name: place.prefix.clone(),
            keys: keys?,
            expectation,
            rules,
        })
    }
}
