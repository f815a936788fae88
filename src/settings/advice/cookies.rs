//! Cookies that a browser rejects, or never sends, at Label Studio's public URL (RFC 6265 §5.1.3,
//! §5.1.4 and §5.3).

use url::{Host, Url};

use super::super::Settings;
use super::Warning;
use crate::gate::policy::is_public_suffix;

/// A cookie's attributes, under the names of their settings.
struct Cookie<'s> {
    what: &'static str,
    domain: (&'static str, Option<&'s str>),
    path: (&'static str, &'s str),
}

/// Compares the cookies with the public URL; without one there is nothing to compare.
pub(super) fn warnings(settings: &Settings) -> Vec<Warning> {
    let Some(url) = settings.label_studio.url.as_deref() else {
        return Vec::new();
    };
    let (session, token) = (&settings.session, &settings.token);
    let session_cookie = Cookie {
        what: "the session cookie",
        domain: (
            "session.cookie_domain (SESSION_COOKIE_DOMAIN)",
            session.cookie_domain.as_ref().map(|it| it.as_str()),
        ),
        path: (
            "session.cookie_path (SESSION_COOKIE_PATH)",
            &session.cookie_path,
        ),
    };
    // The domain of the session cookie is the default, and is judged once.
    let own_domain = token.cookie_domain.as_ref();
    let own_domain = own_domain.filter(|own| session.cookie_domain.as_ref() != Some(own));
    let token_cookie = token.cookie.as_ref().map(|_| Cookie {
        what: "the token's cookie",
        domain: ("token.cookie_domain", own_domain.map(|it| it.as_str())),
        path: (
            "token.cookie_path (JWT_SSO_COOKIE_PATH)",
            &token.cookie_path,
        ),
    });
    let mut warnings: Vec<Warning> = session_cookie
        .misfits(url)
        .map(Warning::preventing_logins)
        .collect();
    if let Some(cookie) = token_cookie {
        warnings.extend(cookie.misfits(url));
    }
    warnings.extend(insecure(settings, url));
    warnings
}

impl Cookie<'_> {
    fn misfits(&self, url: &Url) -> impl Iterator<Item = Warning> {
        self.domain_misfit(url)
            .into_iter()
            .chain(self.path_misfit(url))
    }

    fn domain_misfit(&self, url: &Url) -> Option<Warning> {
        let (setting, Some(domain)) = self.domain else {
            return None;
        };
        let host = url.host()?;
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        (!covers(&domain, &host)).then(|| {
            Warning::new(
                format!(
                    "{setting} is {domain:?}, and label_studio.url is on {host}: browsers reject \
                     {}",
                    self.what
                ),
                format!(
                    "leave it empty, or set it to {host} or a parent domain of it that is not a \
                     public suffix, in both services"
                ),
            )
        })
    }

    fn path_misfit(&self, url: &Url) -> Option<Warning> {
        let (setting, path) = self.path;
        let published = format!("{}/", url.path().trim_end_matches('/'));
        let matches = published
            .strip_prefix(path)
            .is_some_and(|rest| path.ends_with('/') || rest.starts_with('/'));
        (!matches).then(|| {
            Warning::new(
                format!(
                    "{setting} is {path:?}, and label_studio.url publishes Label Studio at \
                     {published:?}: browsers do not send {} there",
                    self.what
                ),
                "set it to \"/\" or to the path of label_studio.url, in both services",
            )
        })
    }
}

/// Whether a cookie with this `Domain` is accepted from `host`. Browsers reject public suffixes
/// such as `co.kr`.
fn covers(domain: &str, host: &Host<&str>) -> bool {
    match host {
        Host::Domain(host) => {
            let is_parent = host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'));
            let is_suffix = is_public_suffix(domain);
            *host == domain || is_parent && !is_suffix
        }
        address => address.to_string() == domain,
    }
}

/// Browsers reject `Secure` cookies over HTTP, except on the loopback interface.
fn insecure(settings: &Settings, url: &Url) -> Option<Warning> {
    let is_local = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let is_rejected = settings.session.cookie_secure && url.scheme() == "http" && !is_local;
    is_rejected.then(|| {
        Warning::new(
            format!(
                "session.cookie_secure (SESSION_COOKIE_SECURE) is set, and label_studio.url is \
                 {url}: browsers reject the session cookie over HTTP"
            ),
            "publish Label Studio over HTTPS, or unset it in both services; SameSite=None works \
             over HTTPS only",
        )
        .preventing_logins()
    })
}
