//! What is asked of every request, whatever its credential: whether its path is open, whether a foreign page sent it, and whether somebody
//! must be signed in.

use percent_encoding::percent_decode_str;

use super::subrequest::Subrequest;

/// What is asked of every request.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What happens to a request that logs nobody in.
    pub anonymous: Anonymous,
    /// Paths about which nothing is asked.
    pub open_paths: Vec<PathRule>,
    /// Whether requests of foreign pages are refused, where they change something.
    pub refuse_cross_site: bool,
    /// Origins whose pages are not foreign: `https://app.example.com`, in lower case.
    pub allowed_origins: Vec<String>,
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

    /// Whether a foreign page had the browser send this request, and it could change something.
    ///
    /// Label Studio switches Django's CSRF checks off for its API, so a session that browsers send along from everywhere (`SameSite=None`) needs
    /// another guard. Browsers tell where a request comes from (Fetch Metadata, W3C; RFC 6454 §7); what is no browser tells nothing and has no
    /// cookies that somebody else could make it send.
    pub fn refuses_as_foreign(&self, subrequest: &Subrequest<'_>) -> bool {
        if !self.refuse_cross_site || is_safe(subrequest.method()) {
            return false;
        }
        let allowed = |origin: &str| {
            let origin = origin.to_ascii_lowercase();
            self.allowed_origins.contains(&origin)
        };
        match (subrequest.fetch_site(), subrequest.origin()) {
            (Some("same-origin" | "none"), _) | (None, None) => false,
            (_, Some(origin)) if allowed(origin) => false,
            (None, Some(origin)) => !is_own(origin, subrequest.host()),
            (Some(_), _) => true,
        }
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

    #[test]
    fn requests_of_foreign_pages_are_refused_where_they_change_something() {
        let policy = Policy {
            refuse_cross_site: true,
            allowed_origins: vec!["https://app.example.com".to_owned()],
            ..Policy::default()
        };
        let own = Some("ls.example.com");
        let app = Some("https://App.example.com");
        for (method, site, origin, refused) in [
            (
                "POST",
                Some("same-origin"),
                Some("https://ls.example.com"),
                false,
            ),
            ("POST", Some("none"), None, false),
            ("POST", Some("cross-site"), Some("https://evil.test"), true),
            ("POST", Some("cross-site"), None, true),
            ("POST", Some("cross-site"), app, false),
            (
                "POST",
                Some("same-site"),
                Some("https://other.example.com"),
                true,
            ),
            ("POST", Some("same-site"), app, false),
            ("POST", Some("nonsense"), None, true),
            ("POST", None, Some("https://ls.example.com"), false),
            ("POST", None, Some("https://LS.example.com"), false),
            ("POST", None, Some("https://evil.test"), true),
            ("POST", None, Some("null"), true),
            ("POST", None, None, false),
            (
                "DELETE",
                Some("cross-site"),
                Some("https://evil.test"),
                true,
            ),
            ("BREW", Some("cross-site"), Some("https://evil.test"), true),
            ("GET", Some("cross-site"), Some("https://evil.test"), false),
            ("HEAD", Some("cross-site"), None, false),
        ] {
            let provenance = Provenance {
                fetch_site: site,
                origin,
                host: own,
                client: None,
            };
            let cookies = CookieHeader::new(std::iter::empty());
            let subrequest = Subrequest::new("/", cookies, false)
                .expect("readable")
                .sent_by(method, provenance);
            let found = policy.refuses_as_foreign(&subrequest);
            assert_eq!(found, refused, "{method} {site:?} {origin:?}");
            assert!(!Policy::default().refuses_as_foreign(&subrequest));
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
