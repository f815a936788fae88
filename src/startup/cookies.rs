//! The attributes of the cookies that the gate sets and deletes, from the settings.

use crate::django::{CookieAttributes, SameSite};
use crate::settings::{self, Settings};

/// Attributes of the session cookie.
pub(super) fn session_cookie(session: &settings::Session) -> CookieAttributes {
    CookieAttributes {
        name: session.cookie_name.to_string(),
        domain: session.cookie_domain.as_deref().cloned(),
        path: session.cookie_path.to_string(),
        same_site: session.cookie_samesite,
        secure: session.cookie_secure,
        http_only: session.cookie_httponly,
        partitioned: session.cookie_partitioned,
    }
}

/// Attributes for deleting the token's cookie. In a cross-site frame, browsers ignore a deletion
/// whose attributes could not have set the cookie there, and they accept `SameSite=None` and
/// `Partitioned` only with `Secure`.
pub(super) fn token_cookie(settings: &Settings) -> Option<CookieAttributes> {
    let token = &settings.token;
    let same_site = token.cookie_same_site(&settings.session);
    let partitioned = token.is_partitioned(&settings.session);
    token.cookie.as_deref().map(|name| CookieAttributes {
        secure: partitioned
            || same_site == SameSite::None
            || name.starts_with("__Secure-")
            || name.starts_with("__Host-"),
        name: name.clone(),
        domain: token.cookie_domain.as_deref().cloned(),
        path: token.cookie_path.to_string(),
        same_site,
        http_only: true,
        partitioned,
    })
}
