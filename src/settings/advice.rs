//! Warnings about settings that are valid but unlikely to work.

use url::Url;

use super::Settings;
use crate::django::SameSite;

/// Warns about pages of other sites. They can show Label Studio in a frame only if its session
/// cookie is `SameSite=None`.
pub(super) fn frames(settings: &Settings) -> Vec<String> {
    let same_site = settings.session.cookie_samesite;
    let own = settings.label_studio.url.as_deref().and_then(site);
    let (Some(own), true) = (own, same_site != SameSite::None) else {
        return Vec::new();
    };
    let applications = settings.policy.gate.allowed_origins.iter();
    let sign_in = settings.policy.sign_in.as_ref().map(Url::as_str);
    applications
        .map(String::as_str)
        .chain(sign_in)
        .filter(|page| site(page).is_some_and(|site| site != own))
        .map(|page| {
            format!(
                "{page} and Label Studio are different sites: in a frame of that page, browsers do \
                 not send a session with SameSite={same_site:?}. Use HTTPS with \
                 SESSION_COOKIE_SAMESITE=None and SESSION_COOKIE_SECURE=1, or put both behind one \
                 proxy (nginx/environments)"
            )
        })
        .collect()
}

/// The site of a URL: its scheme, and the registrable domain of its host (HTML, "schemelessly same
/// site"; <https://publicsuffix.org>). An address or a public suffix is a site of its own.
fn site(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    let domain = match url.host()? {
        url::Host::Domain(name) => psl::domain_str(name).unwrap_or(name).to_owned(),
        address => address.to_string(),
    };
    Some((url.scheme().to_owned(), domain))
}
