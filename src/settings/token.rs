//! `[token]`: where requests carry tokens, and how often one may be used.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::external::External;
use super::input::Input;
use super::session::Session;
use super::types::{CookieDomain, CookieName, CookiePath, ParameterName, Seconds, TokenHeader};
use crate::django::SameSite;

/// Where requests carry tokens, and how often a token may be used.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Token {
    /// Name of the token's cookie. Empty: tokens in cookies are ignored.
    #[schemars(extend("x-env-empty" = true, "default" = "ls_auth_token", "x-env" = ["JWT_SSO_COOKIE_NAME"]))]
    pub cookie: Option<CookieName>,
    /// Path under which the cookie is deleted: the one your application sets it with.
    #[schemars(extend("default" = "/", "x-env" = ["JWT_SSO_COOKIE_PATH"]))]
    pub cookie_path: CookiePath,
    /// Domain under which the cookie is deleted: the one your application sets it with. Empty:
    /// the domain of the session cookie.
    pub cookie_domain: Option<CookieDomain>,
    /// `SameSite` with which the cookie is deleted. In a cross-site frame, browsers ignore a
    /// deletion that lacks the attributes of the cookie.
    #[schemars(extend("default" = "auto"))]
    pub cookie_samesite: TokenSameSite,
    /// Whether the cookie is deleted as a partitioned one (CHIPS).
    #[schemars(extend("default" = "auto"))]
    pub cookie_partitioned: TokenPartitioned,
    /// Name of the query parameter that carries a token.
    #[schemars(extend("default" = "token", "x-env" = ["JWT_SSO_TOKEN_PARAM"]))]
    pub parameter: ParameterName,
    /// Header in which an identity-aware proxy in front sends a signed token with every request, as
    /// `Cf-Access-Jwt-Assertion`. Its issuer is one of `[external]`. With `Authorization`, it is a
    /// Bearer token that names such an issuer; Label Studio's own API tokens don't. Empty: none.
    pub header: Option<TokenHeader>,
    /// Maximum size of a token, in bytes. Longer tokens are refused unread.
    #[schemars(range(min = 256, max = 131_072), extend("default" = 16_384))]
    pub max_length: usize,
    /// How often a token may be used.
    #[schemars(extend("default" = "many"))]
    pub r#use: TokenUse,
    /// With `token.use = "once"`: grace period for a page's parallel requests, which bring the same
    /// token from one address.
    #[schemars(range(min = 1, max = 300), extend("default" = 5))]
    pub once_window_seconds: Seconds,
}

/// `SameSite` of the token's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TokenSameSite {
    /// That of the session cookie.
    #[serde(rename = "auto")]
    Auto,
    /// `SameSite=Lax`.
    Lax,
    /// `SameSite=Strict`.
    Strict,
    /// `SameSite=None`.
    None,
}

/// Whether the token's cookie is partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenPartitioned {
    /// As the session cookie.
    Auto,
    /// Partitioned.
    True,
    /// Not partitioned.
    False,
}

/// How often a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// Until it expires.
    Many,
    /// It opens one session; needs the gate's own tables (`label-studio-gate migrate`).
    Once,
}

impl Token {
    /// Checks the section against `[session]`, whose domain is the default of the cookie's.
    pub(super) fn check(&mut self, input: &mut Input, session: &Session) {
        if self.cookie.as_ref() == Some(&session.cookie_name) {
            input.refuse("token.cookie", "must differ from session.cookie_name");
        }
        if self.cookie_domain.is_none() {
            // As the plugin does.
            self.cookie_domain.clone_from(&session.cookie_domain);
        }
    }

    /// Checks the header against the issuers, whose keys verify the token.
    pub(super) fn check_issuers(&self, input: &mut Input, external: &External) {
        let Some(header) = &self.header else {
            return;
        };
        let mut issuers = external.issuers.iter();
        if external.issuers.is_empty() && input.errors.are_in("external") {
            // They say why there is none.
        } else if external.issuers.is_empty() {
            let why = "needs an issuer in [external], whose keys verify the token";
            input.refuse("token.header", why);
        } else if header.is_authorization() && !issuers.any(|it| it.expectation.issuer.is_some()) {
            let why = "needs an issuer in [external] with its name (issuer or discovery), which tells \
                its tokens apart from Label Studio's own";
            input.refuse("token.header", why);
        }
    }

    /// `SameSite` with which the cookie is deleted.
    pub const fn cookie_same_site(&self, session: &Session) -> SameSite {
        match self.cookie_samesite {
            TokenSameSite::Auto => session.cookie_samesite,
            TokenSameSite::Lax => SameSite::Lax,
            TokenSameSite::Strict => SameSite::Strict,
            TokenSameSite::None => SameSite::None,
        }
    }

    /// Whether the cookie is deleted as a partitioned one.
    pub const fn is_partitioned(&self, session: &Session) -> bool {
        match self.cookie_partitioned {
            TokenPartitioned::Auto => session.cookie_partitioned,
            TokenPartitioned::True => true,
            TokenPartitioned::False => false,
        }
    }

    /// Grace period for parallel requests where a token opens one session only.
    pub fn once(&self) -> Option<Duration> {
        (self.r#use == TokenUse::Once).then_some(*self.once_window_seconds)
    }
}
