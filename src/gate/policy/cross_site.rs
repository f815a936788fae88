//! Protects against cross-site request forgery.
//!
//! Stage: before any credential is verified. In: a [`Subrequest`] and whether the browser attached
//! a credential on its own. Out: whether the request must be refused. Afterwards, a page of another
//! site can neither change data with the user's credentials nor sign the user in or out.

#[cfg(test)]
mod tests;

use super::Policy;
use super::public_suffix::registrable_domain;
use crate::gate::subrequest::{Provenance, Subrequest};

/// What happens to unsafe requests that a page of another site makes the browser send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CrossSite {
    /// They pass.
    #[default]
    Allow,
    /// They are refused if the browser attached a credential.
    Auto {
        /// Whether this includes pages of another origin on the same site. With `SameSite=Lax` or
        /// `Strict` sessions, browsers already draw the line between sites.
        within_site: bool,
    },
    /// They are all refused, including those from another origin on the same site.
    Refuse,
}

/// The page that made the browser send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initiator {
    /// Same origin, an allowed origin, or the user (typed address, bookmark).
    Own,
    /// Another origin on the same site.
    SameSite,
    /// Another site, or a page that hides its origin.
    CrossSite,
    /// No browser headers: a client that sends an unsafe request without `Origin` isn't a browser.
    Unknown,
}

impl Policy {
    /// Whether the request is unsafe, comes from another site, and must be refused.
    ///
    /// Label Studio disables Django's CSRF checks for its API. `SameSite=Lax` keeps the session
    /// cookie away from other sites, but the token's cookie, the host application's session and a
    /// session with `SameSite=None` need this check. `ambient` says whether the browser attached
    /// such a credential.
    pub fn refuses_cross_site(&self, subrequest: &Subrequest<'_>, ambient: bool) -> bool {
        if is_safe(subrequest.method()) {
            return false;
        }
        match (self.cross_site, self.initiator(subrequest)) {
            (CrossSite::Allow, _) | (_, Initiator::Own | Initiator::Unknown) => false,
            (CrossSite::Refuse, Initiator::SameSite | Initiator::CrossSite) => true,
            (CrossSite::Auto { .. }, Initiator::CrossSite) => ambient,
            (CrossSite::Auto { within_site }, Initiator::SameSite) => ambient && within_site,
        }
    }

    /// Whether a token in the request's URL may sign a user in.
    ///
    /// A link may come from anywhere, because a sign-in link is meant to sign the user in. An image or
    /// a form of another site is no link: with somebody else's token, it would change who is signed in
    /// without the user noticing. An image of an allowed origin may.
    pub fn may_follow_link(&self, subrequest: &Subrequest<'_>) -> bool {
        let provenance = subrequest.provenance();
        let mode = provenance.fetch_mode();
        let is_opened = mode.is_none_or(|mode| mode == "navigate");
        if is_safe(subrequest.method()) && (is_opened || self.is_referred(provenance)) {
            return true;
        }
        match (self.cross_site, self.initiator(subrequest)) {
            (CrossSite::Allow, _) | (_, Initiator::Own | Initiator::Unknown) => true,
            (CrossSite::Auto { within_site }, Initiator::SameSite) => !within_site,
            (CrossSite::Auto { .. }, Initiator::CrossSite) | (CrossSite::Refuse, _) => false,
        }
    }

    /// Whether the request may sign a user in: a link, or a form of the same origin or an allowed one.
    pub fn may_sign_in(&self, subrequest: &Subrequest<'_>) -> bool {
        match self.initiator(subrequest) {
            Initiator::Own | Initiator::Unknown => true,
            Initiator::SameSite | Initiator::CrossSite => {
                is_safe(subrequest.method()) && self.may_follow_link(subrequest)
            }
        }
    }

    /// Whether the request may sign the user out.
    ///
    /// Both a form and a link must come from the same origin or an allowed one, because any page
    /// can embed an image that points at the sign-out route.
    pub fn may_sign_out(&self, subrequest: &Subrequest<'_>) -> bool {
        if !is_safe(subrequest.method()) {
            return self.may_sign_in(subrequest);
        }
        let provenance = subrequest.provenance();
        let referer = provenance.referer().and_then(origin_of);
        let is_allowed = referer.is_some_and(|origin| self.allows(origin));
        match provenance.fetch_site() {
            Some("same-origin" | "none") => true,
            Some(_) => is_allowed,
            // Browsers send no Fetch Metadata over plain HTTP.
            None => is_allowed || referer.is_some_and(|origin| is_own(origin, provenance.host())),
        }
    }

    /// Whether a page of an allowed origin sent a request that has no `Origin`, such as one for an image
    /// (Fetch, §3.2). A page can withhold its `Referer`, but not send another origin's.
    fn is_referred(&self, provenance: &dyn Provenance) -> bool {
        let referer = provenance.referer().and_then(origin_of);
        provenance.origin().is_none() && referer.is_some_and(|origin| self.allows(origin))
    }

    /// Reads the initiator from Fetch Metadata (W3C, §2) or `Origin` (RFC 6454 §7).
    ///
    /// Browsers set both headers themselves; no page can forge them.
    fn initiator(&self, subrequest: &Subrequest<'_>) -> Initiator {
        let provenance = subrequest.provenance();
        match (provenance.fetch_site(), provenance.origin()) {
            (Some("same-origin" | "none"), _) => Initiator::Own,
            (None, None) => Initiator::Unknown,
            (_, Some(origin)) if self.allows(origin) => Initiator::Own,
            (Some("same-site"), _) => Initiator::SameSite,
            (Some(_), _) => Initiator::CrossSite,
            (None, Some(origin)) => match provenance.host() {
                Some(host) if is_own(origin, Some(host)) => Initiator::Own,
                Some(host) if is_same_site(origin, host) => Initiator::SameSite,
                _ => Initiator::CrossSite,
            },
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let allowed = |allowed: &String| allowed.eq_ignore_ascii_case(origin);
        self.allowed_origins.iter().any(allowed)
    }
}

/// RFC 9110 §9.2.1.
pub(super) fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Whether `origin` has the same authority as the request's `Host`.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Whether both share a registrable domain: a public suffix plus one label. An IP address is a
/// site of its own.
fn is_same_site(origin: &str, host: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else {
        return false;
    };
    let name = |authority: &str| {
        let name = authority
            .rsplit_once(':')
            .map_or(authority, |(name, _)| name);
        name.to_ascii_lowercase()
    };
    let (one, other) = (name(authority), name(host));
    let is_address = one.parse::<std::net::IpAddr>().is_ok() || one.starts_with('[');
    one == other
        || !is_address
            && match (registrable_domain(&one), registrable_domain(&other)) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let authority = url.find("://")? + 3;
    let length = url[authority..].find(['/', '?', '#']);
    Some(length.map_or(url, |length| &url[..authority + length]))
}
