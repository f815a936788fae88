//! `[sign_in]`: sign-in with OpenID providers: one as flat settings, more as tables.

mod client;
mod provider;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

pub use self::client::ClientAuthentication;
pub use self::provider::{OpenIdProvider, Prompt};
use self::provider::{ProviderSettings, ProviderTable};
use super::declaration::declared;
use super::input::{Input, Unread};
use super::label_studio::LabelStudio;
use super::policy::Policies;
use super::session::Session;
use crate::django::SameSite;
use crate::gate::policy::Anonymous;
use crate::gate::session::Engine;

/// Sign-in with an OpenID provider, such as Keycloak, Entra ID, Okta or Google. It is on if there is
/// an issuer or a table of providers. `label_studio.url` must be set: with `/sso/callback` it is the
/// redirect URI to register, and with `/sso/signed-out` the one for after signing out.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SignInSection {
    #[serde(flatten)]
    provider: ProviderSettings,
    /// Several providers, instead of the settings above, which are refused beside them: tables
    /// `[[sign_in.providers]]`, each with a `name` and these settings. Users choose on a page. The redirect URI ends in
    /// `/sso/callback/<name>`. In the variable, the providers are a JSON array.
    #[schemars(with = "Vec<ProviderTable>", extend("x-secret" = true))]
    providers: Vec<Map<String, Value>>,
    /// Whether providers may end sessions by `POST /sso/backchannel-logout` (OpenID Connect
    /// Back-Channel Logout). Needs sessions in the database: nothing but the browser can delete a
    /// signed cookie.
    #[schemars(extend("default" = false))]
    backchannel_logout: bool,
    /// Whether `/sso/logout` also ends the session at the provider, if it has a page for that.
    #[schemars(extend("default" = true))]
    provider_logout: bool,
    /// Maximum number of sign-ins that begin per minute and peer address, and as many that come back
    /// from a provider, so that nobody uses the gate to flood it. An office behind one address may need
    /// more. 0: no limit.
    #[schemars(range(max = 1_000_000), extend("default" = 300))]
    starts_per_minute: u32,
}

/// Sign-in with OpenID providers.
#[derive(Debug)]
pub struct SignIn {
    /// The providers, at least one. Their names are distinct.
    pub providers: Vec<OpenIdProvider>,
    /// Whether providers may end sessions.
    pub backchannel_logout: bool,
    /// Whether signing out ends the session at the provider too.
    pub provider_logout: bool,
    /// Maximum number of sign-ins that begin per minute and network; `None`: no limit.
    pub starts_per_minute: Option<NonZeroU32>,
    /// Public URL of Label Studio.
    pub public_url: Url,
}

impl SignIn {
    /// `None`: it is off, or something is wrong, which has been reported.
    pub(super) fn new(
        section: SignInSection,
        input: &mut Input,
        label_studio: &LabelStudio,
        session: &Session,
        policy: &Policies,
    ) -> Option<Self> {
        let is_flat = !section.provider.issuer.is_empty();
        if !is_flat {
            refuse_unread(input, !section.providers.is_empty());
        }
        if !is_flat && section.providers.is_empty() {
            return None;
        }
        if is_flat && !section.providers.is_empty() {
            input.refuse(
                "sign_in.issuer",
                "is one provider, and sign_in.providers are others: write this one as a table too, \
                 because each provider needs a redirect URI of its own",
            );
        }
        let public_url = public_url(input, label_studio);
        if session.cookie_samesite == SameSite::Strict {
            input.refuse(
                "session.cookie_samesite",
                "is Strict, so that browsers would not send the session after the way back from the \
                 OpenID provider: use Lax",
            );
        }
        if section.backchannel_logout && session.engine == Engine::SignedCookies {
            input.refuse(
                "sign_in.backchannel_logout",
                "cannot work with sessions in signed cookies, which nobody but the browser can \
                 delete: use session.engine = \"django.contrib.sessions.backends.db\", or let \
                 sessions end sooner",
            );
        }
        let providers = match is_flat {
            true => vec![("sign_in".to_owned(), ProviderTable::flat(section.provider))],
            false => tables(&section.providers, input),
        };
        let requires = policy.gate.anonymous == Anonymous::Require;
        // Every one is checked, so that all errors are reported.
        let mut checked = Vec::new();
        for (prefix, table) in providers {
            checked.push(table.check(&mut Place { input, prefix }, requires));
        }
        Some(Self {
            providers: checked.into_iter().collect::<Option<_>>()?,
            backchannel_logout: section.backchannel_logout,
            provider_logout: section.provider_logout,
            starts_per_minute: NonZeroU32::new(section.starts_per_minute),
            public_url: public_url?,
        })
    }

    /// Where the provider sends browsers back to, never from the request's `Host`.
    pub fn redirect_uri(&self, provider: &OpenIdProvider) -> Url {
        match provider.name.as_str() {
            "" => self.page("/sso/callback"),
            name => self.page(&format!("/sso/callback/{name}")),
        }
    }

    /// The URL of a page of the gate. It is below Label Studio's path, where browsers send Label Studio's
    /// cookies.
    pub fn page(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    /// Whether browsers reach the gate over HTTPS, so that cookies can be `Secure`.
    pub fn is_secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// Refuses settings of one provider that is not there.
fn refuse_unread(input: &mut Input, has_tables: bool) {
    let why = match has_tables {
        true => Unread::Beside("sign_in.providers"),
        false => Unread::Off("sign_in.issuer"),
    };
    let places = ["sign_in.issuer", "sign_in.providers"];
    if !places.iter().any(|place| input.is_unusable(place)) {
        input.refuse_unread("sign_in", &declared::<ProviderSettings>(), why);
    }
}

fn tables(given: &[Map<String, Value>], input: &mut Input) -> Vec<(String, ProviderTable)> {
    let mut names = BTreeSet::new();
    let mut tables = Vec::new();
    for (n, given) in given.iter().enumerate() {
        let prefix = format!("sign_in.providers[{n}]");
        let table: ProviderTable = input.read_table(&prefix, given, &declared::<ProviderTable>());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if table.name.is_empty() || !table.name.bytes().all(plain) {
            input.refuse(
                &format!("{prefix}.name"),
                "must be of lower-case letters, digits and '-': it is the end of the redirect URI",
            );
        } else if !names.insert(table.name.clone()) {
            let why = format!("{:?} is the name of another provider", table.name);
            input.refuse(&format!("{prefix}.name"), why);
        }
        tables.push((prefix, table));
    }
    tables
}

/// The public URL, which has to be HTTPS anywhere but on this machine: the code and the session pass
/// through the browser.
fn public_url(input: &mut Input, label_studio: &LabelStudio) -> Option<Url> {
    let name = "label_studio.url";
    let Some(url) = label_studio.url.as_deref() else {
        input.refuse(
            name,
            "is required with sign_in: the provider sends browsers back to it",
        );
        return None;
    };
    if url.scheme() == "http" && !is_loopback(url) {
        input.refuse(
            name,
            "must begin with https:// with sign_in, unless it is localhost: codes and sessions pass \
             through the browser",
        );
        return None;
    }
    Some(url.clone())
}

/// Whether the host is this machine (RFC 8252 §7.3).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Where a provider's settings are, for error messages.
struct Place<'i> {
    input: &'i mut Input,
    prefix: String,
}

impl Place<'_> {
    fn refuse(&mut self, field: &str, why: impl std::fmt::Display) {
        let name = format!("{}.{field}", self.prefix);
        self.input.refuse(&name, why);
    }
}
