//! `[external]`: method 1, issuers whose tokens are accepted: one as flat settings, more as tables.

mod keys;

use std::borrow::Cow;

use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::declaration::declared;
use super::input::Input;
use super::label_studio::LabelStudio;
use super::types::{Seconds, Secret};
use crate::gate::identity::{Admission, PersonRules};
use crate::gate::verify::{Expectation, KeySet, RequiredClaim};

/// Method 1: tokens of your own issuer. It is on if there is a secret, a public key, or a place to
/// find keys.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExternalSection {
    #[serde(flatten)]
    issuer: IssuerSettings,
    /// Further issuers: tables `[[external.issuers]]`, each with a name and the settings above. In
    /// the variable they are a JSON array.
    #[schemars(with = "Vec<IssuerTable>", extend("x-secret" = true))]
    issuers: Vec<Map<String, Value>>,
}

/// An issuer in a table `[[external.issuers]]`.
#[derive(Debug, Deserialize, JsonSchema)]
struct IssuerTable {
    /// Name of the issuer in error messages.
    name: String,
    /// File with the secret, or several files.
    secret_file: OneOrMore<String>,
    /// File with the public key, or several files.
    public_key_file: OneOrMore<String>,
    #[serde(flatten)]
    issuer: IssuerSettings,
}

/// The settings of one issuer, the same in `[external]` and in a table.
#[derive(Debug, Deserialize, JsonSchema)]
struct IssuerSettings {
    /// The secret shared with the issuer (HS256, HS384, HS512), 32 bytes or more. With an algorithm
    /// for public keys, it is a public key in PEM form, as in the plugin.
    #[schemars(extend("x-env" = ["JWT_SSO_SECRET"]))]
    secret: OneOrMore<Secret>,
    /// The previous secret, accepted while the issuer changes to the new one.
    previous_secret: Secret,
    /// The issuer's public key in PEM form, or several.
    public_key: OneOrMore<Secret>,
    /// URL of the issuer's published keys (JWKS).
    jwks_url: String,
    /// URL of an OpenID provider, whose discovery document names its keys.
    discovery: String,
    /// Accepted algorithms, of one family. Empty: HS256 for a secret, those of the key otherwise.
    #[schemars(extend("x-env" = ["JWT_SSO_ALGORITHM"]))]
    algorithms: Vec<String>,
    /// Required `iss` of its tokens. Empty: any, or the provider with `discovery`.
    issuer: String,
    /// Accepted `aud` of its tokens. Empty: tokens without an audience. Required with `jwks_url`
    /// and `discovery`, because the provider signs tokens for other applications too.
    audience: Vec<String>,
    /// Clock skew to tolerate in `exp` and `nbf`.
    #[schemars(range(max = 300), extend("default" = 0))]
    leeway_seconds: Seconds,
    /// Maximum time from `iat` to `exp`. 0: no limit.
    #[schemars(extend("default" = 86_400))]
    max_lifetime_seconds: Seconds,
    /// Claims that tokens must have, as `name` or `name=value`. A list claim needs to contain the
    /// value. A table names accepted values: `{ roles = ["annotator", "manager"] }`.
    required_claims: RequiredClaims,
    /// The claim with the email address. Dots lead into nested objects, here and below.
    #[schemars(extend("default" = "email", "x-env" = ["JWT_SSO_EMAIL_CLAIM"]))]
    email_claim: String,
    /// The claim with the username, which finds users without an email claim.
    #[schemars(extend("x-env" = ["JWT_SSO_USERNAME_CLAIM"]))]
    username_claim: Option<String>,
    /// The claim with the first name.
    #[schemars(extend("default" = "first_name", "x-env" = ["JWT_SSO_FIRST_NAME_CLAIM"]))]
    first_name_claim: String,
    /// The claim with the last name.
    #[schemars(extend("default" = "last_name", "x-env" = ["JWT_SSO_LAST_NAME_CLAIM"]))]
    last_name_claim: String,
    /// Whether unknown users get an account; needs `sql/role.sql` with `create_users`.
    #[schemars(extend("default" = false, "x-env" = ["JWT_SSO_AUTO_CREATE_USERS"]))]
    create_users: bool,
    /// Whether first and last name are updated from the claims.
    #[schemars(extend("default" = true))]
    update_names: bool,
    /// Whether staff and superusers may sign in this way.
    #[schemars(extend("default" = true))]
    allow_privileged: bool,
    /// Whether to trust an address that comes with `email_verified: false`.
    #[schemars(extend("default" = false))]
    accept_unverified_email: bool,
    /// Whether keys may be fetched over plain HTTP.
    #[schemars(extend("default" = false))]
    allow_http: bool,
}

/// One value, or a list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// `["name", "name=value"]`, or a table with lists of accepted values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RequiredClaims {
    Texts(Vec<String>),
    Table(Map<String, Value>),
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
    pub rules: PersonRules,
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
#[derive(Debug, Clone)]
pub struct KeyPlace {
    /// What it publishes, and where.
    pub location: KeyLocation,
    /// Accepted algorithms; empty: those of the keys.
    pub allowed: Vec<Algorithm>,
    /// Whether keys may be fetched over plain HTTP.
    pub allow_http: bool,
}

/// Where a key server publishes.
#[derive(Debug, Clone)]
pub enum KeyLocation {
    /// A JSON Web Key Set (RFC 7517 §5).
    Jwks(Url),
    /// An OpenID provider, whose discovery document names the set (OpenID Connect Discovery 1.0 §4).
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
        let flat = IssuerTable {
            name: String::new(),
            secret_file: OneOrMore::More(Vec::new()),
            public_key_file: OneOrMore::More(Vec::new()),
            issuer: section.issuer,
        };
        if flat.has_keys() {
            let mut place = Place::new(input, "external".to_owned(), label_studio);
            issuers.extend(flat.check(&mut place));
        }
        for (n, given) in section.issuers.iter().enumerate() {
            let prefix = format!("external.issuers[{n}]");
            let table: IssuerTable = input.read_table(&prefix, given, &declared::<IssuerTable>());
            let prefix = match table.name.as_str() {
                "" => prefix,
                name => format!("{prefix} ({name})"),
            };
            let mut place = Place::new(input, prefix, label_studio);
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

impl IssuerTable {
    fn has_keys(&self) -> bool {
        let is_set = |text: &str| !text.is_empty();
        let mut inline = secrets(&self.issuer.secret).chain(secrets(&self.issuer.public_key));
        let files = [&self.secret_file, &self.public_key_file];
        inline.any(is_set)
            || (files.iter().flat_map(|files| files.as_slice())).any(|file| is_set(file))
            || is_set(&self.issuer.jwks_url)
            || is_set(&self.issuer.discovery)
    }

    /// `None` if something is wrong, which has been reported.
    fn check(self, place: &mut Place<'_>) -> Option<Issuer> {
        let keys = self.keys(place);
        let settings = self.issuer;
        if settings.email_claim.is_empty() && settings.username_claim.is_none() {
            place.refuse(
                "email_claim",
                "must not be empty, unless there is a username_claim",
            );
        }
        let is_served = !settings.jwks_url.is_empty() || !settings.discovery.is_empty();
        if is_served && settings.audience.is_empty() {
            place.refuse(
                "audience",
                "is required with jwks_url and discovery: their owner signs tokens for other \
                 applications too",
            );
        }
        Some(Issuer {
            name: place.prefix.clone(),
            keys: keys?,
            expectation: Expectation {
                issuer: settings.expected_issuer().map(Cow::into_owned),
                audiences: settings.audience,
                leeway: *settings.leeway_seconds,
                max_lifetime: settings.max_lifetime_seconds.nonzero(),
                required: settings.required_claims.into_claims(),
            },
            rules: PersonRules {
                email: settings.email_claim,
                username: settings.username_claim,
                first_name: settings.first_name_claim,
                last_name: settings.last_name_claim,
                unverified_email: settings.accept_unverified_email,
                admission: Admission {
                    create: settings.create_users,
                    update_names: settings.update_names,
                    privileged: settings.allow_privileged,
                },
            },
        })
    }
}

impl RequiredClaims {
    fn into_claims(self) -> Vec<RequiredClaim> {
        let claim = |name: &str, accepted| RequiredClaim {
            name: name.to_owned(),
            accepted,
        };
        match self {
            Self::Texts(texts) => {
                let claims = texts.iter().map(|text| match text.split_once('=') {
                    Some((name, value)) => claim(name, vec![value.into()]),
                    None => claim(text, Vec::new()),
                });
                claims.collect()
            }
            Self::Table(table) => {
                let claims = table.into_iter().map(|(name, value)| match value {
                    Value::Bool(true) => claim(&name, Vec::new()),
                    Value::Array(accepted) => claim(&name, accepted),
                    single => claim(&name, vec![single]),
                });
                claims.collect()
            }
        }
    }
}

fn secrets(secrets: &OneOrMore<Secret>) -> impl Iterator<Item = &str> {
    let secrets = secrets.as_slice().iter();
    secrets.map(|secret| secrecy::ExposeSecret::expose_secret(&**secret))
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
