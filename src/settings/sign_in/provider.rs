//! The settings of one provider, and the rules for them.

use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::super::external::{KeyLocation, KeyPlace, RequiredClaims};
use super::super::mapping::MappingSettings;
use super::super::types::{Seconds, Secret};
use super::Place;
use super::client::ClientAuthentication;
use crate::gate::clock::CLOCK_SKEW;
use crate::gate::identity::ClaimMapping;
use crate::gate::verify::{Expectation, KeySet, RequiredClaim};
use crate::http_client::{has_user, shown};

/// OpenID Connect Discovery 1.0 §4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// A provider in a table `[[sign_in.providers]]`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ProviderTable {
    /// Name of the provider in the redirect URI: lower-case letters, digits and `-`.
    pub(super) name: String,
    /// File with the client secret.
    pub(super) client_secret_file: String,
    /// File with the private key.
    pub(super) private_key_file: String,
    #[serde(flatten)]
    pub(super) provider: ProviderSettings,
}

/// The settings of one provider, the same in `[sign_in]` and in a table.
#[derive(Deserialize, JsonSchema)]
#[schemars(transform = as_openid_names_them)]
pub(super) struct ProviderSettings {
    /// The provider's issuer, exactly as its discovery document names it, slash and all. Everything
    /// else about the provider is read from there. Empty: no sign-in with a provider.
    pub(super) issuer: String,
    /// The ID under which the gate is registered at the provider.
    pub(super) client_id: String,
    /// The client secret from the registration.
    pub(super) client_secret: Secret,
    /// Instead of a secret: the private key (PEM) of a client that is registered with its public key
    /// (`private_key_jwt`). Without either, the gate is a public client.
    pub(super) private_key: Secret,
    /// The `kid` under which the provider knows that key.
    pub(super) private_key_id: Option<String>,
    /// The algorithm that goes with that key.
    #[schemars(extend("default" = "RS256"))]
    pub(super) private_key_algorithm: String,
    /// What users choose this provider by, if there are several. Empty: the issuer's host.
    label: String,
    /// Scopes to ask for, beside `openid`.
    #[schemars(extend("default" = ["email", "profile"]))]
    scopes: Vec<String>,
    /// What the provider is told to do although the user may be signed in there already. Empty: it
    /// decides.
    prompt: Option<Prompt>,
    /// Longest time since the user entered their credentials at the provider (`max_age`). 0: any.
    #[schemars(range(max = 31_536_000), extend("default" = 0))]
    max_age_seconds: Seconds,
    /// Required ways of authentication at the provider (`acr_values`), such as one with two factors.
    /// Empty: any.
    acr_values: Vec<String>,
    /// Accepted algorithms of ID tokens. Empty: those of the provider's published keys. `HS256`: the
    /// client secret is the key.
    pub(super) id_token_algorithms: Vec<String>,
    /// Audiences that ID tokens may have beside the client ID.
    other_audiences: Vec<String>,
    /// Longest time from sign-in to the end of the session, so that a session doesn't outlive the
    /// account at the provider for long. 0: as long as other sessions. Needs
    /// `policy.anonymous = "require"`.
    #[schemars(range(max = 31_536_000), extend("default" = 0))]
    session_seconds: Seconds,
    /// Claims that ID tokens or userinfo must have, as `name` or `name=value`. A list claim needs to
    /// contain the value. A table names accepted values: `{ groups = ["annotators"] }`, or `true` if
    /// the claim only has to be there.
    required_claims: RequiredClaims,
    #[serde(flatten)]
    mapping: MappingSettings,
    /// Whether the provider may be asked over plain HTTP.
    #[schemars(extend("default" = false))]
    allow_http: bool,
}

/// `prompt` of an authorization request (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Ask for credentials again.
    Login,
    /// Ask for consent again.
    Consent,
    /// Let the user choose an account.
    SelectAccount,
}

impl Prompt {
    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
}

/// An OpenID provider.
#[derive(Debug)]
pub struct OpenIdProvider {
    /// Its name in the redirect URI; empty for the only one.
    pub name: String,
    /// What users choose it by.
    pub label: String,
    /// Its issuer.
    pub issuer: String,
    /// Where its discovery document is.
    pub document: Url,
    /// The gate's ID there.
    pub client_id: String,
    /// What the gate authenticates with.
    pub authentication: ClientAuthentication,
    /// What is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// `prompt`
    pub prompt: Option<Prompt>,
    /// `max_age`
    pub max_age: Option<Duration>,
    /// `acr_values`
    pub acr_values: Vec<String>,
    /// Its published keys. Not used if `algorithms` are for a shared secret.
    pub keys: KeyPlace,
    /// Accepted algorithms; empty: those of the keys.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens must say.
    pub expectation: Expectation,
    /// Audiences that ID tokens may have beside the client.
    pub other_audiences: Vec<String>,
    /// What the claims must say, wherever they come from.
    pub required: Vec<RequiredClaim>,
    /// Longest time from sign-in to the end of the session.
    pub session_age: Option<Duration>,
    /// Which user the claims name, and what they permit.
    pub mapping: ClaimMapping,
    /// Whether it may be asked over plain HTTP.
    pub allow_http: bool,
}

/// The claims of OpenID Connect Core §5.1 as defaults. The plugin's variables are for `[external]`.
fn as_openid_names_them(schema: &mut Schema) {
    let properties = schema.get_mut("properties");
    let Some(properties) = properties.and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        let Some(property) = property.as_object_mut() else {
            continue;
        };
        property.remove("x-env");
        match name.as_str() {
            "first_name_claim" => property.insert("default".to_owned(), "given_name".into()),
            "last_name_claim" => property.insert("default".to_owned(), "family_name".into()),
            _ => None,
        };
    }
}

impl OpenIdProvider {
    /// Its name in messages.
    pub fn setting(&self) -> String {
        match self.name.as_str() {
            "" => "sign_in".to_owned(),
            name => format!("sign_in.providers ({name})"),
        }
    }

    /// The client secret as a key, if ID tokens are signed with it.
    pub fn shared_key(&self) -> Option<KeySet> {
        let is_shared = |one: &Algorithm| one.family() == AlgorithmFamily::Hmac;
        match &self.authentication {
            ClientAuthentication::Secret(secret) if self.algorithms.iter().any(is_shared) => {
                let mut keys = KeySet::from_secrets(std::slice::from_ref(secret));
                keys.restrict(&self.algorithms);
                Some(keys)
            }
            _ => None,
        }
    }

    /// The claims that userinfo is asked for if the ID token lacks them.
    pub fn wanted_claims(&self) -> Vec<String> {
        let mapping = &self.mapping;
        let names = [&mapping.first_name_claim, &mapping.last_name_claim];
        let needs_names = mapping.admission.create || mapping.admission.update_names;
        let wanted = std::iter::once(&mapping.email_claim)
            .chain(&mapping.username_claim)
            .chain(names.into_iter().filter(|_| needs_names))
            .chain(mapping.groups.iter().map(|groups| &groups.claim))
            .chain(self.required.iter().map(|claim| &claim.name));
        wanted.filter(|name| !name.is_empty()).cloned().collect()
    }
}

impl ProviderTable {
    /// The only provider: its files are named by `_FILE` variables.
    pub(super) const fn flat(provider: ProviderSettings) -> Self {
        Self {
            name: String::new(),
            client_secret_file: String::new(),
            private_key_file: String::new(),
            provider,
        }
    }

    /// `None` if something is wrong, which has been reported. `requires`: whether every request
    /// needs a session that the gate has checked.
    pub(super) fn check(self, place: &mut Place<'_>, requires: bool) -> Option<OpenIdProvider> {
        let document = self.provider.document(place);
        let authentication = self.authentication(place)?;
        let settings = self.provider;
        let algorithms = settings.id_token_algorithms(place, &authentication)?;
        settings.check(place, requires);
        let expectation = settings.expectation();
        let mapping = settings
            .mapping
            .check(|field, why| place.refuse(field, why));
        let required = settings
            .required_claims
            .check(|field, why| place.refuse(field, why));
        let document = document?;
        let location = KeyLocation::Discovery {
            document: document.clone(),
            issuer: settings.issuer.clone(),
        };
        Some(OpenIdProvider {
            label: match settings.label.as_str() {
                "" => document.host_str().unwrap_or_default().to_owned(),
                label => label.to_owned(),
            },
            name: self.name,
            keys: KeyPlace {
                location,
                allowed: algorithms.clone(),
                allow_http: settings.allow_http,
            },
            document,
            expectation,
            mapping,
            issuer: settings.issuer,
            client_id: settings.client_id,
            authentication,
            scopes: settings.scopes,
            prompt: settings.prompt,
            max_age: settings.max_age_seconds.nonzero(),
            acr_values: settings.acr_values,
            algorithms,
            other_audiences: settings.other_audiences,
            required,
            session_age: settings.session_seconds.nonzero(),
            allow_http: settings.allow_http,
        })
    }
}

impl ProviderSettings {
    fn check(&self, place: &mut Place<'_>, requires: bool) {
        if self.client_id.is_empty() {
            place.refuse("client_id", "is required: the gate's ID at the provider");
        }
        if self.session_seconds.nonzero().is_some() && !requires {
            place.refuse(
                "session_seconds",
                "needs policy.anonymous = \"require\": otherwise Label Studio alone decides how long \
                 a session lives (MAX_SESSION_AGE)",
            );
        }
    }

    /// Where the discovery document is.
    fn document(&self, place: &mut Place<'_>) -> Option<Url> {
        if self.issuer.ends_with(WELL_KNOWN) {
            let why = format!("is the address of the discovery document: leave out {WELL_KNOWN}");
            place.refuse("issuer", why);
            return None;
        }
        let text = format!("{}{WELL_KNOWN}", self.issuer.trim_end_matches('/'));
        let url = Url::parse(&text).ok().filter(Url::has_host);
        if url.as_ref().is_some_and(has_user) {
            place.refuse("issuer", "must have no user: it is a name, which is shown");
        }
        match url.as_ref().map(Url::scheme) {
            Some("https") => url,
            Some("http") if self.allow_http => url,
            Some("http") => {
                place.refuse(
                    "issuer",
                    "must begin with https://: an attacker on the network could answer for the \
                     provider; allow_http permits it",
                );
                None
            }
            _ => {
                let why = format!(
                    "must be the URL of an OpenID provider, not {:?}",
                    shown(&self.issuer)
                );
                place.refuse("issuer", why);
                None
            }
        }
    }

    fn expectation(&self) -> Expectation {
        Expectation {
            issuer: Some(self.issuer.clone()),
            audiences: vec![self.client_id.clone()],
            leeway: CLOCK_SKEW,
            max_lifetime: None,
            // Userinfo may have them, so they are checked afterwards.
            required: Vec::new(),
        }
    }
}
