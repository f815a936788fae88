//! Policy × method × initiator × ambient credential.

use super::*;
use crate::gate::subrequest::{CookieHeader, Provenance};

#[derive(Clone, Copy)]
struct Browser {
    fetch_site: Option<&'static str>,
    fetch_mode: Option<&'static str>,
    origin: Option<&'static str>,
    referer: Option<&'static str>,
}

impl Provenance for Browser {
    fn fetch_site(&self) -> Option<&str> {
        self.fetch_site
    }

    fn fetch_mode(&self) -> Option<&str> {
        self.fetch_mode
    }

    fn origin(&self) -> Option<&str> {
        self.origin
    }

    fn host(&self) -> Option<&str> {
        Some("ls.example.co.kr")
    }

    fn referer(&self) -> Option<&str> {
        self.referer
    }

    fn named_address(&self) -> Option<&str> {
        None
    }
}

fn sent(method: &str, browser: Browser) -> Subrequest<'static> {
    let cookies = CookieHeader::new(std::iter::empty());
    let method: &'static str = method.to_owned().leak();
    Subrequest::new("/", cookies, None)
        .expect("readable")
        .sent_by(method, Box::leak(Box::new(browser)))
}

const fn from(fetch_site: Option<&'static str>, origin: Option<&'static str>) -> Browser {
    Browser {
        fetch_site,
        fetch_mode: None,
        origin,
        referer: None,
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

/// Fetch Metadata × `Origin` → initiator.
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

/// The full matrix: policy × method × initiator × whether the browser attached a credential.
#[test]
fn unsafe_cross_site_requests_are_refused() {
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
                            (CrossSite::Allow, _) | (_, Initiator::Own | Initiator::Unknown) => {
                                false
                            }
                            (CrossSite::Refuse, _) => true,
                            (CrossSite::Auto { .. }, Initiator::CrossSite) => ambient,
                            (CrossSite::Auto { within_site }, Initiator::SameSite) => {
                                ambient && within_site
                            }
                        };
                    assert_eq!(
                        policy.refuses_cross_site(&subrequest, ambient),
                        expected,
                        "{cross_site:?} {method} {fetch_site:?} {origin:?} {ambient}"
                    );
                }
            }
        }
    }
}

#[test]
fn another_site_can_sign_a_user_neither_in_by_form_nor_out() {
    let policy = policy(CrossSite::Allow);
    for (fetch_site, origin, initiator) in INITIATORS {
        let allowed = matches!(initiator, Initiator::Own | Initiator::Unknown);
        let form = sent("POST", from(*fetch_site, *origin));
        assert_eq!(
            policy.may_sign_in(&form),
            allowed,
            "{fetch_site:?} {origin:?}"
        );
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
        let browser = Browser {
            referer,
            ..from(fetch_site, None)
        };
        let link = sent("GET", browser);
        assert_eq!(
            policy.may_sign_out(&link),
            allowed,
            "{fetch_site:?} {referer:?}"
        );
        assert!(policy.may_sign_in(&link), "a link may sign in");
    }
}

#[test]
fn an_image_of_another_site_is_no_link() {
    let auto = |within_site| CrossSite::Auto { within_site };
    for (cross_site, fetch_site, mode, may) in [
        (auto(false), "cross-site", Some("navigate"), true),
        (auto(false), "cross-site", Some("no-cors"), false),
        (auto(false), "cross-site", Some("cors"), false),
        (auto(false), "cross-site", Some("websocket"), false),
        (auto(false), "same-site", Some("no-cors"), true),
        (auto(true), "same-site", Some("no-cors"), false),
        (auto(true), "same-site", Some("navigate"), true),
        (auto(true), "same-origin", Some("no-cors"), true),
        (auto(true), "none", Some("no-cors"), true),
        // A browser, or a proxy, that doesn't say how.
        (auto(true), "cross-site", None, true),
        (CrossSite::Refuse, "same-site", Some("no-cors"), false),
        (CrossSite::Allow, "cross-site", Some("no-cors"), true),
    ] {
        let policy = policy(cross_site);
        let browser = Browser {
            fetch_mode: mode,
            ..from(Some(fetch_site), None)
        };
        let case = format!("{cross_site:?} {fetch_site} {mode:?}");
        let get = sent("GET", browser);
        assert_eq!(policy.may_follow_link(&get), may, "{case}");
        assert_eq!(policy.may_sign_in(&get), may, "{case}");
        let allowed = Browser {
            origin: Some(APP),
            ..browser
        };
        assert!(policy.may_follow_link(&sent("GET", allowed)), "{case}");
    }
    let form = from(Some("cross-site"), Some("https://evil.test"));
    let form = sent("POST", form);
    assert!(!policy(auto(false)).may_follow_link(&form));
}

/// Browsers send no `Origin` with the request for an image or a script.
#[test]
fn an_image_of_an_allowed_origin_is_known_by_its_referer() {
    let policy = policy(CrossSite::Auto { within_site: true });
    let image = Browser {
        fetch_mode: Some("no-cors"),
        ..from(Some("cross-site"), None)
    };
    for (method, origin, referer, may) in [
        ("GET", None, Some("https://app.example.com/"), true),
        ("GET", None, Some("https://App.example.com/tasks?x=1"), true),
        ("HEAD", None, Some("https://app.example.com"), true),
        ("GET", None, Some("https://evil.test/"), false),
        (
            "GET",
            None,
            Some("https://app.example.com.evil.test/"),
            false,
        ),
        (
            "GET",
            None,
            Some("https://app.example.com@evil.test/"),
            false,
        ),
        ("GET", None, Some("http://app.example.com/"), false),
        ("GET", None, Some("https://app.example.com:8443/"), false),
        ("GET", None, Some(""), false),
        ("GET", None, None, false),
        // An origin says more.
        ("GET", Some("null"), Some("https://app.example.com/"), false),
        ("GET", Some("https://evil.test"), Some(APP), false),
        // Browsers send one with every unsafe request.
        ("POST", None, Some("https://app.example.com/"), false),
    ] {
        let browser = Browser {
            origin,
            referer,
            ..image
        };
        let request = sent(method, browser);
        let case = format!("{method} {origin:?} {referer:?}");
        assert_eq!(policy.may_follow_link(&request), may, "{case}");
        assert_eq!(policy.may_sign_in(&request), may, "{case}");
        let ambient = policy.refuses_cross_site(&request, true);
        assert_eq!(ambient, method == "POST", "{case}");
    }
}
