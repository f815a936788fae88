//! The settings of one issuer, and the rules for them.

use std::borrow::Cow;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::mapping::MappingSettings;
use super::super::types::{Seconds, Secret};
use super::{Issuer, Place};
use crate::gate::verify::{Expectation, LoadBalancer, RequiredClaim};

/// An issuer in a table `[[external.issuers]]`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct IssuerTable {
    /// Name of the issuer in error messages.
    pub(super) name: String,
    /// File with the secret, or several files.
    pub(super) secret_file: OneOrMore<String>,
    /// File with the public key, or several files.
    pub(super) public_key_file: OneOrMore<String>,
    #[serde(flatten)]
    pub(super) issuer: IssuerSettings,
}

/// The settings of one issuer, the same in `[external]` and in a table.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct IssuerSettings {
    /// The secret shared with the issuer (HS256, HS384, HS512), 32 bytes or more. With an algorithm
    /// for public keys, it is a public key in PEM form, as in the plugin.
    #[schemars(extend("x-env" = ["JWT_SSO_SECRET"]))]
    pub(super) secret: OneOrMore<Secret>,
    /// The previous secret, accepted while the issuer changes to the new one.
    #[schemars(extend("x-empty-file" = true))]
    pub(super) previous_secret: Secret,
    /// The issuer's public key in PEM form, or several.
    pub(super) public_key: OneOrMore<Secret>,
    /// URL of the issuer's published keys (JWKS).
    pub(super) jwks_url: String,
    /// ARN of the AWS Application Load Balancer that makes the tokens. Then `jwks_url` is the address
    /// below which each key is found by its ID, as
    /// `https://public-keys.auth.elb.eu-west-1.amazonaws.com`, and `audience` the client ID.
    pub(super) load_balancer: String,
    /// URL of an OpenID provider, whose discovery document names its keys.
    pub(super) discovery: String,
    /// Accepted algorithms, of one family. Empty: HS256 for a secret, those of the key otherwise.
    #[schemars(extend("x-env" = ["JWT_SSO_ALGORITHM"]))]
    pub(super) algorithms: Vec<String>,
    /// Required `iss` of its tokens. Empty: any, or the provider with `discovery`.
    pub(super) issuer: String,
    /// Accepted `aud` of its tokens. Empty: tokens without an audience. Required with `jwks_url`
    /// and `discovery`, because the provider signs tokens for other applications too.
    pub(super) audience: Vec<String>,
    /// Clock skew to tolerate in `exp` and `nbf`.
    #[schemars(range(max = 300), extend("default" = 0))]
    pub(super) leeway_seconds: Seconds,
    /// Maximum time from `iat` to `exp`. 0: no limit.
    #[schemars(extend("default" = 86_400))]
    pub(super) max_lifetime_seconds: Seconds,
    /// Claims that tokens must have, as `name` or `name=value`. A list claim needs to contain the
    /// value. A table names accepted values: `{ roles = ["annotator", "manager"] }`, or `true` if the
    /// claim only has to be there.
    required_claims: RequiredClaims,
    #[serde(flatten)]
    mapping: MappingSettings,
    /// Whether keys may be fetched over plain HTTP.
    #[schemars(extend("default" = false))]
    pub(super) allow_http: bool,
}

/// One value, or a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// `["name", "name=value"]`, or a table with lists of accepted values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::settings) enum RequiredClaims {
    Texts(Vec<String>),
    Table(Map<String, Value>),
}

impl IssuerTable {
    /// An issuer that is not in a table: its files are named by `_FILE` variables.
    pub(super) fn flat(issuer: IssuerSettings) -> Self {
        Self {
            name: String::new(),
            secret_file: OneOrMore::More(Vec::new()),
            public_key_file: OneOrMore::More(Vec::new()),
            issuer,
        }
    }

    pub(super) fn has_keys(&self) -> bool {
        let is_set = |text: &str| !text.is_empty();
        let mut inline = secrets(&self.issuer.secret).chain(secrets(&self.issuer.public_key));
        let files = [&self.secret_file, &self.public_key_file];
        inline.any(is_set)
            || (files.iter().flat_map(|files| files.as_slice())).any(|file| is_set(file))
            || is_set(&self.issuer.jwks_url)
            || is_set(&self.issuer.discovery)
    }

    /// `None` if something is wrong, which has been reported.
    pub(super) fn check(self, place: &mut Place<'_>) -> Option<Issuer> {
        let keys = self.keys(place);
        let settings = self.issuer;
        let is_served = !settings.jwks_url.is_empty() || !settings.discovery.is_empty();
        if is_served && settings.audience.is_empty() {
            place.refuse(
                "audience",
                "is required with jwks_url and discovery, because the provider signs tokens for \
                 other applications too",
            );
        }
        let issuer = settings.expected_issuer().map(Cow::into_owned);
        let load_balancer = settings.made_by(place);
        let mapping = settings
            .mapping
            .check(|field, why| place.refuse(field, why));
        let required = settings
            .required_claims
            .check(|field, why| place.refuse(field, why));
        Some(Issuer {
            name: place.prefix.clone(),
            keys: keys?,
            expectation: Expectation {
                issuer,
                audiences: settings.audience,
                leeway: *settings.leeway_seconds,
                max_lifetime: settings.max_lifetime_seconds.nonzero(),
                required,
            },
            mapping,
            load_balancer,
        })
    }
}

impl IssuerSettings {
    /// The load balancer, if the settings name one.
    fn made_by(&self, place: &mut Place<'_>) -> Option<LoadBalancer> {
        let arn = self.load_balancer.as_str();
        if arn.is_empty() {
            return None;
        }
        if !arn.starts_with("arn:") || !arn.contains(":loadbalancer/app/") {
            let why = "must be the ARN of an Application Load Balancer, as \
                arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/name/0123456789abcdef";
            place.refuse("load_balancer", why);
        }
        if self.jwks_url.is_empty() || self.issuer.is_empty() {
            let why = "needs jwks_url, where the keys are found by ID, and issuer";
            place.refuse("load_balancer", why);
        }
        Some(LoadBalancer {
            arn: arn.to_owned(),
        })
    }
}

impl RequiredClaims {
    /// The claims. `refuse` reports what is wrong.
    pub(in crate::settings) fn check(
        self,
        mut refuse: impl FnMut(&str, String),
    ) -> Vec<RequiredClaim> {
        let claims = self.into_claims();
        for claim in &claims {
            if claim.accepted.as_ref().is_some_and(Vec::is_empty) {
                let why = format!(
                    "has no accepted value for {:?}: name at least one, or write true if the claim \
                     only has to be there",
                    claim.name
                );
                refuse("required_claims", why);
            }
        }
        claims
    }

    fn into_claims(self) -> Vec<RequiredClaim> {
        let claim = |name: &str, accepted| RequiredClaim {
            name: name.to_owned(),
            accepted,
        };
        match self {
            Self::Texts(texts) => {
                let claims = texts.iter().map(|text| match text.split_once('=') {
                    Some((name, value)) => claim(name, Some(vec![value.into()])),
                    None => claim(text, None),
                });
                claims.collect()
            }
            Self::Table(table) => {
                let claims = table.into_iter().map(|(name, value)| match value {
                    Value::Bool(true) => claim(&name, None),
                    Value::Array(accepted) => claim(&name, Some(accepted)),
                    single => claim(&name, Some(vec![single])),
                });
                claims.collect()
            }
        }
    }
}

pub(super) fn secrets(secrets: &OneOrMore<Secret>) -> impl Iterator<Item = &str> {
    let secrets = secrets.as_slice().iter();
    secrets.map(|secret| secret.expose_secret())
}
