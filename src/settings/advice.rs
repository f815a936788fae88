//! Warnings about settings that are valid but unlikely to work.
//!
//! In: all settings. Out: a [`Warning`] for each combination that browsers or proxies will not
//! accept. They are logged at start and shown by `check-config` and `doctor`.

mod cookies;
pub(super) mod variables;

use std::fmt;

use tracing::Level;
use url::Url;

use super::Settings;
use super::types::Network;
use crate::django::SameSite;
use crate::gate::policy::{Anonymous, PathRule, registrable_domain};

/// A warning about settings that are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is unlikely to work.
    pub what: String,
    /// What to do about it; empty if the first text says so.
    pub cure: String,
    /// Whether nobody can log in with these settings.
    pub prevents_logins: bool,
}

impl Warning {
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cure: cure.into(),
            prevents_logins: false,
        }
    }

    fn preventing_logins(self) -> Self {
        Self {
            prevents_logins: true,
            ..self
        }
    }
}

impl From<String> for Warning {
    fn from(what: String) -> Self {
        Self::new(what, "")
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.cure.as_str() {
            "" => Ok(()),
            cure => write!(f, ": {cure}"),
        }
    }
}

/// All warnings.
pub(super) fn warnings(settings: &Settings) -> Vec<Warning> {
    let mut warnings = settings.warnings.clone();
    warnings.extend(frames(settings));
    warnings.extend(cookies::warnings(settings));
    warnings.extend(untrusted_proxies(settings));
    warnings.extend(unlogged_audit(settings));
    warnings.extend(open_to_all(settings));
    warnings
}

/// Pages of other sites can show Label Studio in a frame only if its session cookie is
/// `SameSite=None`.
fn frames(settings: &Settings) -> Vec<Warning> {
    let same_site = settings.session.cookie_samesite;
    let own = settings.label_studio.url.as_deref().and_then(site);
    let (Some(own), true) = (own, same_site != SameSite::None) else {
        return Vec::new();
    };
    let applications = settings.policy.gate.allowed_origins.iter();
    let applications = applications.map(String::as_str);
    let sign_in = settings.policy.sign_in.as_ref().map(Url::as_str);
    applications
        .chain(sign_in)
        .filter(|page| {
            let page = Url::parse(page).ok();
            page.as_ref().and_then(site).is_some_and(|site| site != own)
        })
        .map(|page| {
            Warning::new(
                format!(
                    "{page} and Label Studio are different sites: in a frame of that page, \
                     browsers do not send a session with SameSite={same_site:?}"
                ),
                "use HTTPS with SESSION_COOKIE_SAMESITE=None and SESSION_COOKIE_SECURE=1, or put \
                 both behind one proxy (nginx/environments)",
            )
        })
        .collect()
}

/// The site of a URL: its scheme, and the registrable domain of its host (HTML, "schemelessly same
/// site"; <https://publicsuffix.org>). An address or a public suffix is a site of its own.
fn site(url: &Url) -> Option<(String, String)> {
    let domain = match url.host()? {
        url::Host::Domain(name) => registrable_domain(name).unwrap_or(name).to_owned(),
        address => address.to_string(),
    };
    Some((url.scheme().to_owned(), domain))
}

/// Proxies on other machines can reach the service, but none of them is trusted.
fn untrusted_proxies(settings: &Settings) -> Option<Warning> {
    let http = &settings.http;
    let mut addresses = [Some(&http.listen), http.internal_listen.as_ref()]
        .into_iter()
        .flatten();
    let is_remote = |network: &Network| !network.addr().is_loopback();
    let is_exposed = addresses.any(|address| !address.ip().is_loopback());
    (is_exposed && !http.trusted_proxies.iter().any(is_remote)).then(|| {
        Warning::new(
            "http.trusted_proxies names no other machine: the peer address of every request \
             through a proxy on another machine is the proxy's",
            "add the proxy's address",
        )
    })
}

/// Directives for modules alone switch off everything else, and the audit lines have a target of
/// their own. Whoever names a level means it.
fn unlogged_audit(settings: &Settings) -> Option<Warning> {
    let level = &settings.log.level;
    let mut directives = level.split(',');
    let is_meant = directives.any(|it| !it.contains('=') || it.starts_with("audit="));
    let is_logged = level.targets().would_enable("audit", &Level::INFO);
    (!is_meant && !is_logged).then(|| {
        Warning::new(
            "log.level has no level for the lines of the audit trail: they are not logged",
            "write info, before the directives, or audit=info",
        )
    })
}

/// An open path is never checked, so that one for all paths switches the gate off.
fn open_to_all(settings: &Settings) -> Option<Warning> {
    let policy = &settings.policy.gate;
    let url = settings.label_studio.url.as_deref();
    let published = url.map_or("", |url| url.path().trim_end_matches('/'));
    let covers_all = |rule: &PathRule| match rule {
        PathRule::Exactly(_) => false,
        PathRule::Below(prefix) => prefix == "/" || prefix.trim_end_matches('/') == published,
    };
    let is_open = policy.open_paths.iter().any(covers_all);
    (policy.anonymous == Anonymous::Require && is_open).then(|| {
        Warning::new(
            "policy.open_paths opens every path: policy.anonymous = \"require\" has no effect",
            "name the paths that need no sign-in",
        )
    })
}
