//! `[proxy_headers]`: headers in which a proxy in front names the user without a signature.

use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::declaration::declared;
use super::input::{Input, Unread};
use super::label_studio::SHORTEST_KEY;
use super::token::Token;
use super::types::{IdentityHeader, Secret};

/// Headers in which a proxy in front names the user without a signature, as Authelia, Authentik and
/// oauth2-proxy do. They count only together with a secret, and never sign in staff or superusers.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ProxyHeadersSection {
    /// Header with the email address, as `Remote-Email`. Empty: none.
    email: Option<IdentityHeader>,
    /// Header with the username, as `Remote-User`. It finds users if there is no email address.
    /// Empty: none.
    username: Option<IdentityHeader>,
    /// Header with the groups, as `Remote-Groups`; for `allowed_groups`. Empty: none.
    groups: Option<IdentityHeader>,
    #[serde(flatten)]
    rules: ProxyHeadersRules,
}

/// Whom the headers sign in.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ProxyHeadersRules {
    /// What separates the groups.
    #[schemars(extend("default" = "comma"))]
    pub groups_separator: GroupsSeparator,
    /// Groups whose users may sign in. Empty: all users may.
    pub allowed_groups: Vec<String>,
    /// What the proxy sends in `Gate-Proxy-Secret` with every request, and nobody else knows: 32
    /// bytes or more. Required with a header, and refused without one.
    pub secret: Secret,
    /// Whether unknown users get an account; needs `sql/role.sql` with `create_users`.
    #[schemars(extend("default" = false))]
    pub create_users: bool,
}

/// What separates the groups in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupsSeparator {
    /// A comma: Authelia, oauth2-proxy.
    Comma,
    /// A vertical bar: Authentik.
    Bar,
    /// A semicolon.
    Semicolon,
}

impl GroupsSeparator {
    /// The character.
    pub const fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Bar => '|',
            Self::Semicolon => ';',
        }
    }
}

/// A proxy in front that names the user without a signature.
#[derive(Debug)]
pub struct ProxyHeaders {
    /// The header with the email address.
    pub email: Option<IdentityHeader>,
    /// The header with the username.
    pub username: Option<IdentityHeader>,
    /// The header with the groups.
    pub groups: Option<IdentityHeader>,
    /// Whom they sign in.
    pub rules: ProxyHeadersRules,
}

impl ProxyHeaders {
    /// `None`: no header is named.
    pub(super) fn new(
        section: ProxyHeadersSection,
        input: &mut Input,
        token: &Token,
    ) -> Option<Self> {
        let ProxyHeadersSection {
            email,
            username,
            groups,
            rules,
        } = section;
        let secret = rules.secret.expose_secret();
        let names = [&email, &username, &groups].into_iter().flatten();
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            refuse_unread(input);
            return None;
        }
        if email.is_none() && username.is_none() {
            let why = "must name a header, unless username does: nothing else says who the user is";
            input.refuse("proxy_headers.email", why);
        }
        if secret.len() < SHORTEST_KEY || !secret.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
            let why = format!(
                "is required, of {SHORTEST_KEY} bytes or more in printable ASCII without spaces: \
                 without it, everybody who reaches the gate could be anybody"
            );
            input.refuse("proxy_headers.secret", why);
        }
        if rules.allowed_groups.is_empty() != groups.is_none() {
            let why = "needs proxy_headers.groups, the header, and has to be set if that is";
            input.refuse("proxy_headers.allowed_groups", why);
        }
        let is_repeated = |(n, name)| names[..n].contains(name);
        if names.iter().enumerate().any(is_repeated) {
            input.refuse(
                "proxy_headers.email",
                "must be another header than the others",
            );
        }
        if token.header.is_some() {
            let why = "excludes token.header: only one of them can say who the user is";
            input.refuse("proxy_headers.email", why);
        }
        Some(Self {
            email,
            username,
            groups,
            rules,
        })
    }
}

/// Refuses rules for headers that are not there.
fn refuse_unread(input: &mut Input) {
    let headers = ["email", "username", "groups"];
    let is_unusable = |name: &str| input.is_unusable(&format!("proxy_headers.{name}"));
    if !headers.into_iter().any(is_unusable) {
        let settings = declared::<ProxyHeadersRules>();
        let why = Unread::Off("a header: proxy_headers.email or proxy_headers.username");
        input.refuse_unread("proxy_headers", &settings, why);
    }
}
