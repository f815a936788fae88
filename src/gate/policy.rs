//! What is asked of every request, whatever its credential: whether its path is open, whether a foreign page sent it, and whether somebody
//! must be signed in.

use percent_encoding::percent_decode_str;

use super::reason::Granted;
use super::subrequest::Subrequest;

/// What is asked of every request.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What happens to a request that logs nobody in.
    pub anonymous: Anonymous,
    /// Paths about which nothing is asked.
    pub open_paths: Vec<PathRule>,
    /// What happens to unsafe requests that a page of another site makes the browser send.
    pub cross_site: CrossSite,
    /// Origins whose pages are trusted like Label Studio's own: `https://app.example.com`, in lower case.
    pub allowed_origins: Vec<String>,
    /// The path under which Label Studio is published, without a slash at its end: empty, or `/label-studio`.
    pub label_studio_path: String,
}

/// What happens to unsafe requests that a page of another site makes the browser send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CrossSite {
    /// They go on.
    #[default]
    Allow,
    /// Those to which the browser has added a credential are refused.
    Auto {
        /// Whether a page of another origin of the same site is foreign too. Where sessions are `SameSite=Lax` or `Strict`, browsers
        /// themselves draw the line between sites.
        within_site: bool,
    },
    /// All are refused, those of other origins of the same site too.
    Refuse,
}

/// Which page made the browser send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initiator {
    /// One of the same origin or of an allowed one; or the user, by typing an address or opening a bookmark.
    Own,
    /// One of another origin of the same site.
    SameSite,
    /// One of another site, or one that hides where it is from.
    CrossSite,
    /// No browser told: what sends no `Origin` with an unsafe request is none.
    Unknown,
}

/// What happens to a request that logs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// It goes on as it came: Label Studio decides.
    #[default]
    Pass,
    /// It needs a living session.
    Require,
}

/// Some paths: one, or everything below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// Exactly this path.
    Exactly(String),
    /// This path with something behind it: `/static/`.
    Below(String),
}

impl PathRule {
    /// `/health`, or `/static/*`. `None`: it is neither.
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
            Self::Exactly(own) => own == path,
            Self::Below(own) => path.starts_with(own.as_str()),
        }
    }
}

impl Policy {
    /// Whether nothing is asked about this path.
    ///
    /// It is compared decoded and from its beginning. A path that readers could understand in different ways is never open
    /// (CVE-2025-54576, CVE-2026-33494).
    pub fn is_open(&self, path: &str) -> bool {
        if self.open_paths.is_empty() {
            return false;
        }
        let Ok(decoded) = percent_decode_str(path).decode_utf8() else {
            return false;
        };
        is_plain(&decoded) && self.open_paths.iter().any(|rule| rule.covers(&decoded))
    }

    /// Whether nothing is asked about this request, and why.
    ///
    /// A personal access token is exchanged for an access token in a request's body, where Label Studio verifies it.
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

    /// Whether the request is Label Studio's own "Log out" (`label_studio/users/urls.py`: `^logout/?$`).
    pub fn is_label_studios_sign_out(&self, subrequest: &Subrequest<'_>) -> bool {
        let path = self.below_label_studio(subrequest.path());
        matches!(path, "/logout" | "/logout/")
    }

    /// The path as Label Studio knows it. Some proxies take the prefix away before they ask.
    fn below_label_studio<'p>(&self, path: &'p str) -> &'p str {
        let below = path.strip_prefix(self.label_studio_path.as_str());
        below.unwrap_or(path)
    }

    /// Whether a foreign page made the browser send this request, and it could change something.
    ///
    /// Label Studio switches Django's CSRF checks off for its API. `SameSite=Lax` keeps the session from other sites; the token's cookie, the
    /// application's session and a session with `SameSite=None` need this guard. `ambient`: the browser has added such a credential.
    pub fn refuses_as_foreign(&self, subrequest: &Subrequest<'_>, ambient: bool) -> bool {
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

    /// Whether the request may sign somebody in by a form: it comes from the same origin or an allowed one. A link signs in by its nature.
    pub fn may_post(&self, subrequest: &Subrequest<'_>) -> bool {
        is_safe(subrequest.method())
            || matches!(
                self.initiator(subrequest),
                Initiator::Own | Initiator::Unknown
            )
    }

    /// Whether the request may sign somebody out: a form as for signing in, or a link on a page of the same origin or an allowed one. Any page
    /// may hold an image whose address signs out.
    pub fn may_sign_out(&self, subrequest: &Subrequest<'_>) -> bool {
        if !is_safe(subrequest.method()) {
            return self.may_post(subrequest);
        }
        let referer = subrequest.referer().and_then(origin_of);
        let is_allowed = referer.is_some_and(|origin| self.allows(origin));
        match subrequest.fetch_site() {
            Some("same-origin" | "none") => true,
            Some(_) => is_allowed,
            // Browsers send no Fetch Metadata over plain HTTP.
            None => is_allowed || referer.is_some_and(|origin| is_own(origin, subrequest.host())),
        }
    }

    /// Browsers tell where a request comes from, by Fetch Metadata (W3C, §2) or by `Origin` (RFC 6454 §7), and let no page make these up.
    fn initiator(&self, subrequest: &Subrequest<'_>) -> Initiator {
        match (subrequest.fetch_site(), subrequest.origin()) {
            (Some("same-origin" | "none"), _) => Initiator::Own,
            (None, None) => Initiator::Unknown,
            (_, Some(origin)) if self.allows(origin) => Initiator::Own,
            (Some("same-site"), _) => Initiator::SameSite,
            (Some(_), _) => Initiator::CrossSite,
            (None, Some(origin)) => match subrequest.host() {
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
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// Whether an origin names the host that the request is for.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Whether both have one registrable domain: what the public suffix list leaves of them with one more label. An address is a site of its own.
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
            && match (psl::domain_str(&one), psl::domain_str(&other)) {
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

/// Nothing that one reader resolves and another does not: `..`, `//`, a backslash, a control character, a percent sign that is still there, a
/// `#`, where nginx ends the path (`ngx_http_parse_complex_uri`).
fn is_plain(path: &str) -> bool {
    let resolved = path.split('/').all(|part| part != ".." && part != ".");
    resolved
        && !path.contains("//")
        && !path
            .chars()
            .any(|c| c.is_control() || matches!(c, '\\' | '%' | ';' | '#'))
}

/// Where a browser may be sent after a login: `next`, if it is a path on the same origin, and `/` otherwise.
///
/// A browser takes a backslash for a slash and drops tabs and line feeds (WHATWG URL, "path state"), so that `/\evil.test` is
/// another host to it.
pub fn local_path(next: &str) -> &str {
    let mut bytes = next.bytes();
    let local = bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && next.bytes().all(|b| b > b' ' && b != b'\\' && b < 0x7f);
    if local { next } else { "/" }
}

#[cfg(test)]
mod redirects;
#[cfg(test)]
mod tests {
    use super::super::subrequest::{CookieHeader, Provenance};
    use super::*;

    fn open(rules: &[&str]) -> Policy {
        let rules = rules.iter().map(|rule| PathRule::parse(rule));
        Policy {
            open_paths: rules.collect::<Option<_>>().expect("rules"),
            ..Policy::default()
        }
    }

    #[test]
    fn rules_are_anchored_and_compared_decoded() {
        let policy = open(&["/health", "/static/*"]);
        for (path, expected) in [
            ("/health", true),
            ("/%68ealth", true),
            ("/health/", false),
            ("/healthy", false),
            ("/x/health", false),
            ("/static/", true),
            ("/static/a/b.css", true),
            ("/static", false),
            ("/staticx", false),
            ("/STATIC/a", false),
            ("/static/../api/users", false),
            ("/static/%2e%2e/api/users", false),
            ("/static/.%2E/api", false),
            ("/static/..%2fapi", false),
            ("/static/%252e%252e/api", false),
            ("/static//a", false),
            ("/static/a%00", false),
            ("/static/a\\..\\b", false),
            ("/static/..;/api", false),
            ("/static/%ff", false),
            ("/static/a#b", false),
            ("/static/a%23b", false),
            ("//static/a", false),
        ] {
            assert_eq!(policy.is_open(path), expected, "{path}");
        }
        assert!(!open(&[]).is_open("/"));
    }

    #[test]
    fn what_is_no_rule_is_none() {
        for text in [
            "", "*", "health", "/a*", "/a/*/b", "/a/..", "/a//b", "/%41", "/a;b",
        ] {
            assert_eq!(PathRule::parse(text), None, "{text}");
        }
        assert!(PathRule::parse("/*").is_some());
    }

    fn sent(method: &str, provenance: Provenance<'static>) -> Subrequest<'static> {
        let cookies = CookieHeader::new(std::iter::empty());
        let method: &'static str = method.to_owned().leak();
        Subrequest::new("/", cookies, None)
            .expect("readable")
            .sent_by(method, provenance)
    }

    fn from(fetch_site: Option<&'static str>, origin: Option<&'static str>) -> Provenance<'static> {
        Provenance {
            fetch_site,
            origin,
            host: Some("ls.example.co.kr"),
            ..Provenance::default()
        }
    }

    const APP: &str = "https://App.example.com";

    fn policy(cross_site: CrossSite) -> Policy {
        Policy {
            cross_site,
            allowed_origins: vec![APP.to_ascii_lowercase()],
            ..Policy::default()
        }
    }

    /// Where a request comes from: Fetch Metadata × `Origin`.
    const INITIATORS: &[(Option<&str>, Option<&str>, Initiator)] = &[
        (
            Some("same-origin"),
            Some("https://ls.example.co.kr"),
            Initiator::Own,
        ),
        (Some("same-origin"), Some("null"), Initiator::Own),
        (Some("none"), None, Initiator::Own),
        (Some("cross-site"), Some(APP), Initiator::Own),
        (Some("same-site"), Some(APP), Initiator::Own),
        (
            Some("same-site"),
            Some("https://x.example.co.kr"),
            Initiator::SameSite,
        ),
        (Some("same-site"), None, Initiator::SameSite),
        (
            Some("cross-site"),
            Some("https://evil.test"),
            Initiator::CrossSite,
        ),
        (
            Some("cross-site"),
            Some("https://ls.example.co.kr"),
            Initiator::CrossSite,
        ),
        (Some("cross-site"), None, Initiator::CrossSite),
        (Some("nonsense"), None, Initiator::CrossSite),
        (None, Some("https://ls.example.co.kr"), Initiator::Own),
        (None, Some("https://LS.example.co.kr"), Initiator::Own),
        (
            None,
            Some("http://x.example.co.kr:8080"),
            Initiator::SameSite,
        ),
        (
            None,
            Some("https://ls.example.co.kr:8443"),
            Initiator::SameSite,
        ),
        (None, Some("https://other.co.kr"), Initiator::CrossSite),
        (None, Some("https://co.kr"), Initiator::CrossSite),
        (None, Some("https://evil.test"), Initiator::CrossSite),
        (None, Some("null"), Initiator::CrossSite),
        (None, Some(""), Initiator::CrossSite),
        (None, None, Initiator::Unknown),
    ];

    /// Every cell of: policy × method × where from × whether the browser added a credential.
    #[test]
    fn requests_of_foreign_pages_are_refused_where_they_change_something() {
        let auto = |within_site| CrossSite::Auto { within_site };
        for cross_site in [CrossSite::Allow, auto(false), auto(true), CrossSite::Refuse] {
            for method in [
                "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "BREW", "",
            ] {
                for (fetch_site, origin, initiator) in INITIATORS {
                    for ambient in [false, true] {
                        let subrequest = sent(method, from(*fetch_site, *origin));
                        let policy = policy(cross_site);
                        assert_eq!(
                            policy.initiator(&subrequest),
                            *initiator,
                            "{fetch_site:?} {origin:?}"
                        );
                        let unsafe_method = !["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method);
                        let expected = unsafe_method
                            && match (cross_site, initiator) {
                                (CrossSite::Allow, _)
                                | (_, Initiator::Own | Initiator::Unknown) => false,
                                (CrossSite::Refuse, _) => true,
                                (CrossSite::Auto { .. }, Initiator::CrossSite) => ambient,
                                (CrossSite::Auto { within_site }, Initiator::SameSite) => {
                                    ambient && within_site
                                }
                            };
                        assert_eq!(
                            policy.refuses_as_foreign(&subrequest, ambient),
                            expected,
                            "{cross_site:?} {method} {fetch_site:?} {origin:?} {ambient}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn another_site_signs_nobody_in_or_out() {
        let policy = policy(CrossSite::Allow);
        for (fetch_site, origin, initiator) in INITIATORS {
            let allowed = matches!(initiator, Initiator::Own | Initiator::Unknown);
            let form = sent("POST", from(*fetch_site, *origin));
            assert_eq!(policy.may_post(&form), allowed, "{fetch_site:?} {origin:?}");
            assert_eq!(
                policy.may_sign_out(&form),
                allowed,
                "{fetch_site:?} {origin:?}"
            );
        }
        for (fetch_site, referer, allowed) in [
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (Some("cross-site"), None, false),
            (Some("cross-site"), Some("https://evil.test/"), false),
            (
                Some("cross-site"),
                Some("https://ls.example.co.kr/projects"),
                false,
            ),
            (
                Some("cross-site"),
                Some("https://app.example.com/account?x=1"),
                true,
            ),
            (Some("same-site"), Some("https://x.example.co.kr/"), false),
            (None, None, false),
            (None, Some("https://ls.example.co.kr/projects"), true),
            (None, Some("https://app.example.com"), true),
            (
                None,
                Some("https://evil.test/https://app.example.com"),
                false,
            ),
            (None, Some("https://app.example.com.evil.test/"), false),
            (None, Some("https://app.example.com@evil.test/"), false),
            (None, Some("nonsense"), false),
        ] {
            let provenance = Provenance {
                referer,
                ..from(fetch_site, None)
            };
            let link = sent("GET", provenance);
            assert_eq!(
                policy.may_sign_out(&link),
                allowed,
                "{fetch_site:?} {referer:?}"
            );
            assert!(policy.may_post(&link), "a link signs in");
        }
    }

    #[test]
    fn label_studios_own_paths_are_known_below_its_path() {
        let policy = Policy {
            anonymous: Anonymous::Require,
            label_studio_path: "/label-studio".to_owned(),
            ..Policy::default()
        };
        let of = |method: &'static str, uri: &'static str| {
            Subrequest::new(uri, CookieHeader::new(std::iter::empty()), None)
                .expect("readable")
                .sent_by(method, Provenance::default())
        };
        for (method, uri, refresh, sign_out) in [
            ("POST", "/label-studio/api/token/refresh/", true, false),
            ("POST", "/api/token/refresh/?x=1", true, false),
            ("GET", "/api/token/refresh/", false, false),
            ("POST", "/api/token/refresh/x", false, false),
            ("POST", "/api/token/refresh//", false, false),
            ("POST", "/x/../api/token/refresh/", false, false),
            (
                "POST",
                "/label-studio/label-studio/api/token/refresh/",
                false,
                false,
            ),
            ("GET", "/label-studio/logout", false, true),
            ("GET", "/logout/?next=/", false, true),
            ("GET", "/logouts", false, false),
        ] {
            let subrequest = of(method, uri);
            let exempt = policy.exempts(&subrequest);
            assert_eq!(
                exempt == Some(Granted::TokenRefresh),
                refresh,
                "{method} {uri}"
            );
            assert_eq!(
                policy.is_label_studios_sign_out(&subrequest),
                sign_out,
                "{uri}"
            );
            assert_eq!(Policy::default().exempts(&subrequest), None);
        }
    }

    proptest::proptest! {
        /// Whatever is in `next`, a browser stays on the origin.
        #[test]
        fn nobody_is_sent_elsewhere(next in "[/\\\\.:@?#a-z\t\n\r \u{0}\u{7f}é%0-9]{0,24}") {
            let base = url::Url::parse("https://ls.example.com/sso/login").expect("a URL");
            let there = base.join(local_path(&next)).expect("a URL");
            proptest::prop_assert_eq!(there.origin(), base.origin(), "{:?}", next);
        }
    }

    #[test]
    fn local_paths_stay_as_they_are() {
        for next in ["/", "/projects/1?tab=2&x=%2F#top", "/label-studio/projects"] {
            assert_eq!(local_path(next), next);
        }
        for next in [
            "",
            "projects",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "https://evil.test",
            "/\t/evil.test",
            "/a\nSet-Cookie: x",
            "javascript:alert(1)",
            " /",
            "/é",
        ] {
            assert_eq!(local_path(next), "/", "{next:?}");
        }
    }
}
