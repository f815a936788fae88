//! The checks that apply to every request, whatever credential it carries.
//!
//! Stage: between reading the subrequest and looking for a credential. In: a [`Subrequest`]. Out:
//! whether its path is open, whether another site made the browser send it ([`CrossSite`]), and
//! whether it needs a signed-in user ([`Anonymous`]). Afterwards, a request that reaches the
//! credential stage is neither exempt nor a cross-site request that the policy refuses.

mod cross_site;
mod public_suffix;
mod redirects;
#[cfg(test)]
mod tests;

use percent_encoding::percent_decode_str;

pub use self::cross_site::CrossSite;
pub use self::public_suffix::{is_public_suffix, registrable_domain};
pub use self::redirects::local_path;
use super::reason::Granted;
use super::subrequest::Subrequest;

/// The operator's rules for all requests.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What happens to an unauthenticated request.
    pub anonymous: Anonymous,
    /// Paths that skip every check.
    pub open_paths: Vec<PathRule>,
    /// What happens to unsafe requests from pages of other sites.
    pub cross_site: CrossSite,
    /// Origins trusted like Label Studio's own, in lower case: `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// The path prefix of Label Studio, without a trailing slash: empty, or `/label-studio`.
    pub label_studio_path: String,
    /// Whether users are found by their username, so that nobody may change one in Label Studio.
    pub protects_usernames: bool,
}

/// What happens to an unauthenticated request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// It passes unchanged; Label Studio decides.
    #[default]
    Pass,
    /// It gets 401, unless it has a live session, an accepted credential or a valid credential of
    /// Label Studio's API.
    Require,
}

/// Matches one path, or every path below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// Exactly this path.
    Exactly(String),
    /// Every path that starts with this prefix: `/static/`.
    Below(String),
}

impl PathRule {
    /// Parses `/health` or `/static/*`. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, below) = match text.strip_suffix('*') {
            Some(path) => (path, true),
            None => (text, false),
        };
        let plain = path.starts_with('/') && !path.contains('*') && is_plain(path);
        match (plain, below) {
            (true, true) if path.ends_with('/') => Some(Self::Below(path.to_owned())),
            (true, false) => Some(Self::Exactly(path.to_owned())),
            _ => None,
        }
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Exactly(exact) => exact == path,
            Self::Below(prefix) => path.starts_with(prefix.as_str()),
        }
    }
}

impl Policy {
    /// Whether a request for this path skips every check.
    ///
    /// Rules are compared with the decoded path, with and without Label Studio's prefix:
    /// [`PathRule::Exactly`] with all of it, [`PathRule::Below`] with its beginning. A path that two
    /// parsers could read differently is never open (CVE-2025-54576, CVE-2026-33494).
    pub fn is_open(&self, path: &str) -> bool {
        if self.open_paths.is_empty() {
            return false;
        }
        let Ok(decoded) = percent_decode_str(path).decode_utf8() else {
            return false;
        };
        let below = self.below_label_studio(&decoded);
        let is_covered = |rule: &PathRule| rule.covers(&decoded) || rule.covers(below);
        is_plain(&decoded) && self.open_paths.iter().any(is_covered)
    }

    /// Why this request skips every check, or `None` if it doesn't.
    ///
    /// The token refresh route is exempt because the personal access token is in the request body,
    /// where Label Studio verifies it.
    pub fn exempts(&self, subrequest: &Subrequest<'_>) -> Option<Granted> {
        if self.is_open(subrequest.path()) {
            return Some(Granted::OpenPath);
        }
        let is_refresh = self.anonymous == Anonymous::Require
            && subrequest.method() == "POST"
            && matches!(
                self.below_label_studio(subrequest.path()),
                "/api/token/refresh/" | "/api/token/refresh"
            );
        is_refresh.then_some(Granted::TokenRefresh)
    }

    /// Whether the request could change a username on which sign-ins rely.
    ///
    /// Label Studio lets every member of an organization rename the others
    /// (`label_studio/users/api.py`, `UserAPI`), and a sign-up's username is the beginning of an address
    /// that nobody has verified. An unsafe request whose path can be read in two ways may be for one of
    /// these routes.
    pub fn refuses_renaming(&self, subrequest: &Subrequest<'_>) -> bool {
        if !self.protects_usernames || cross_site::is_safe(subrequest.method()) {
            return false;
        }
        let Ok(path) = percent_decode_str(subrequest.path()).decode_utf8() else {
            return true;
        };
        !is_plain(&path) || writes_usernames(&path)
    }

    /// Whether the request is Label Studio's own "Log out" (`label_studio/users/urls.py`:
    /// `^logout/?$`).
    pub fn is_label_studio_logout(&self, subrequest: &Subrequest<'_>) -> bool {
        let path = self.below_label_studio(subrequest.path());
        matches!(path, "/logout" | "/logout/")
    }

    /// The path without Label Studio's prefix. Some proxies strip the prefix before they ask.
    fn below_label_studio<'p>(&self, path: &'p str) -> &'p str {
        let below = path.strip_prefix(self.label_studio_path.as_str());
        below.unwrap_or(path)
    }
}

/// Whether this is a route of Label Studio that writes usernames (`label_studio/users/urls.py`), with
/// the suffixes of Django REST framework's `DefaultRouter`.
///
/// Below any path, because no setting has to say where Label Studio is published. None of its other
/// routes contains one of these.
fn writes_usernames(path: &str) -> bool {
    let is_avatar = path.ends_with("/avatar") || path.ends_with("/avatar/");
    let mut after_users = path.split("/api/users").skip(1);
    let is_users = after_users.any(|rest| rest.is_empty() || rest.starts_with(['/', '.']));
    let is_sign_up = path.ends_with("/user/signup") || path.ends_with("/user/signup/");
    is_users && !is_avatar || is_sign_up
}

/// Whether every parser reads the path the same way.
///
/// Rejects `..`, `//`, backslashes, control characters, remaining percent signs, `;`, and `#`,
/// where nginx ends the path (`ngx_http_parse_complex_uri`).
fn is_plain(path: &str) -> bool {
    let resolved = path.split('/').all(|part| part != ".." && part != ".");
    resolved
        && !path.contains("//")
        && !path
            .chars()
            .any(|c| c.is_control() || matches!(c, '\\' | '%' | ';' | '#'))
}
