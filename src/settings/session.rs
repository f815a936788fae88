//! `[session]`: Label Studio's session cookie and session engine.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::input::Input;
use super::types::{CookieDomain, CookieName, CookiePath, Seconds};
use crate::django::SameSite;
use crate::gate::session::Engine;

/// Label Studio's session cookie and session engine. Both services need the same values.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Session {
    /// Django's `SESSION_ENGINE`, as Label Studio runs with it:
    /// `django.contrib.sessions.backends.db` (or `cached_db`, which reads the same rows), or
    /// `django.contrib.sessions.backends.signed_cookies`, the default of Label Studio.
    #[serde(deserialize_with = "engine")]
    #[schemars(
        with = "String",
        extend("default" = "django.contrib.sessions.backends.db", "x-env" = ["SESSION_ENGINE"])
    )]
    pub engine: Engine,
    /// Name of the session cookie.
    #[schemars(extend("default" = "sessionid", "x-env" = ["SESSION_COOKIE_NAME"]))]
    pub cookie_name: CookieName,
    /// `Domain` of the session cookie. Empty: only the host that sets it.
    #[schemars(extend("x-env" = ["SESSION_COOKIE_DOMAIN"]))]
    pub cookie_domain: Option<CookieDomain>,
    /// `Path` of the session cookie.
    #[schemars(extend("default" = "/", "x-env" = ["SESSION_COOKIE_PATH"]))]
    pub cookie_path: CookiePath,
    /// `SameSite` of the session cookie.
    #[serde(with = "SameSiteNames")]
    #[schemars(extend("default" = "Lax", "x-env" = [
        "LABEL_STUDIO_SESSION_COOKIE_SAMESITE",
        "HEARTEX_SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_SAMESITE",
    ]))]
    pub cookie_samesite: SameSite,
    /// Whether browsers send the session cookie over HTTPS only (`Secure`).
    #[schemars(extend("default" = false, "x-env" = [
        "LABEL_STUDIO_SESSION_COOKIE_SECURE",
        "HEARTEX_SESSION_COOKIE_SECURE",
        "SESSION_COOKIE_SECURE",
    ]))]
    pub cookie_secure: bool,
    /// Whether the session cookie is hidden from scripts (`HttpOnly`).
    #[schemars(extend("default" = true, "x-env" = ["SESSION_COOKIE_HTTPONLY"]))]
    pub cookie_httponly: bool,
    /// Whether browsers keep a separate session cookie per embedding site (`Partitioned`, CHIPS).
    #[schemars(extend("default" = false))]
    pub cookie_partitioned: bool,
    /// Lifetime of a session and its cookie, in seconds.
    #[schemars(
        range(min = 60, max = 315_360_000),
        extend("default" = 1_209_600, "x-env" = ["SESSION_COOKIE_AGE"])
    )]
    pub cookie_age: Seconds,
    /// Seconds after login when Label Studio ends a session (`MAX_SESSION_AGE`), unless the
    /// organization has a policy of its own.
    #[schemars(
        range(min = 60, max = 315_360_000),
        extend("default" = 1_209_600, "x-env" = [
            "LABEL_STUDIO_MAX_SESSION_AGE",
            "HEARTEX_MAX_SESSION_AGE",
            "MAX_SESSION_AGE",
        ])
    )]
    pub max_age: Seconds,
}

/// The names of [`SameSite`] in settings.
#[derive(Deserialize, JsonSchema)]
#[serde(remote = "SameSite")]
enum SameSiteNames {
    Lax,
    Strict,
    None,
}

/// An engine under its full or its short name.
fn engine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Engine, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name = text.strip_prefix("django.contrib.sessions.backends.");
    let why = match name.unwrap_or(&text) {
        "db" | "cached_db" => return Ok(Engine::Database),
        "signed_cookies" => return Ok(Engine::SignedCookies),
        "cache" | "file" => {
            "keeps sessions where only Label Studio's own process can reach them; use db, \
             cached_db or signed_cookies"
        }
        _ => {
            "must be django.contrib.sessions.backends.db, …cached_db or …signed_cookies, as \
             SESSION_ENGINE of Label Studio"
        }
    };
    Err(D::Error::custom(format!("{why}; it is {text:?}")))
}

impl Session {
    /// Refuses cookies that browsers would not accept.
    pub(super) fn check(&self, input: &mut Input) {
        if self.cookie_samesite == SameSite::None && !self.cookie_secure {
            input.refuse(
                "session.cookie_samesite",
                "is None, which browsers accept only with session.cookie_secure = true (and HTTPS)",
            );
        }
        if self.cookie_partitioned && !self.cookie_secure {
            input.refuse(
                "session.cookie_partitioned",
                "is true, which browsers accept only with session.cookie_secure = true (and HTTPS)",
            );
        }
        let prefix = |prefix| self.cookie_name.starts_with(prefix);
        if (prefix("__Secure-") || prefix("__Host-")) && !self.cookie_secure {
            input.refuse(
                "session.cookie_name",
                "begins with __Secure- or __Host-, which browsers accept only with \
                 session.cookie_secure = true",
            );
        }
        if prefix("__Host-") && (self.cookie_domain.is_some() || *self.cookie_path != "/") {
            input.refuse(
                "session.cookie_name",
                "begins with __Host-, which browsers accept only without a domain and with the \
                 path /",
            );
        }
    }
}
