//! `[external]`: whoever issues tokens, as flat settings for one issuer and as a list of tables for more.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::label_studio::{LabelStudio, SHORTEST_KEY};
use super::reader::Reader;
use crate::gate::identity::{Admission, PersonRules};
use crate::gate::verify::{Expectation, KeySet, RequiredClaim};
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

/// An issuer as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    name: String,
    secret: OneOrMore,
    secret_file: OneOrMore,
    previous_secret: String,
    public_key: OneOrMore,
    public_key_file: OneOrMore,
    jwks_url: String,
    discovery: String,
    algorithms: OneOrMore,
    issuer: String,
    audience: OneOrMore,
    leeway_seconds: u64,
    max_lifetime_seconds: u64,
    required_claims: RequiredClaims,
    email_claim: String,
    username_claim: String,
    first_name_claim: String,
    last_name_claim: String,
    create_users: bool,
    update_names: bool,
    allow_privileged: bool,
    accept_unverified_email: bool,
    allow_http: bool,
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
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl OneOrMore {
    fn texts(&self) -> impl Iterator<Item = &str> {
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
enum RequiredClaims {
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

impl Written {
    /// `external.…`
    fn flat(reader: &mut Reader) -> Self {
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

    fn has_keys(&self) -> bool {
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
    fn check(self, place: &mut Place<'_>) -> Option<Issuer> {
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

    fn keys(&self, place: &mut Place<'_>) -> Option<IssuerKeys> {
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
fn issuer_of(discovery: &str) -> &str {
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
