//! Open redirect payloads: known ones, and every prefix combined with every target.

use url::Url;

use super::local_path;

/// Prefixes that make a check see a path, or a browser see an authority.
const PREFIXES: &[&str] = &[
    "",
    "/",
    "//",
    "///",
    "////",
    "/////",
    "\\",
    "\\\\",
    "/\\",
    "\\/",
    "/\\/",
    "\\/\\",
    "/\\\\",
    "//\\",
    "\\\\\\",
    " ",
    " //",
    "\t//",
    "\n//",
    "\r\n//",
    "/\t/",
    "/\n/",
    "/\r/",
    "/\t\\",
    "\t/\t/\t",
    "\u{b}//",
    "\u{c}//",
    "\0//",
    "/\0/",
    "\u{1f}//",
    "\u{7f}//",
    "\u{a0}//",
    "\u{feff}//",
    "/\u{ad}/",
    "/\u{200b}/",
    "/\u{2028}/",
    "\u{ff0f}\u{ff0f}",
    "/\u{ff0f}",
    "\u{2044}\u{2044}",
    "\u{2215}/",
    "\u{29f8}/",
    "/%09/",
    "/%0a/",
    "/%0d%0a/",
    "/%2f",
    "/%2f/",
    "/%2f%2f",
    "%2f%2f",
    "/%5c",
    "%5c%5c",
    "/%5c%2f",
    "/%252f",
    "/.",
    "/./",
    "/.//",
    "/..",
    "/../",
    "/..//",
    "/../..//",
    "/%2e%2e//",
    "/x/..//",
    "/;//",
    "/;@",
    "/@",
    "@",
    "//@",
    "//x@",
    "//x:y@",
    "//ls.example.com@",
    "//ls.example.com:443@",
    "//ls.example.com%40",
    "//ls.example.com\\@",
    "//ls.example.com.",
    "//ls.example.com#@",
    "/?//",
    "?//",
    "#//",
    "/#//",
    "http:",
    "https:",
    "HTTPS:",
    "https:/",
    "https:\\",
    "https://",
    "https:\\\\",
    "https:///",
    "https:////",
    "hTtPs://",
    "https:\t//",
    "ht\ntps://",
    " https://",
    "\u{1}https://",
    "https://ls.example.com@",
    "https://ls.example.com.",
    "https://ls.example.com:443@",
    "ftp://",
    "file://",
    "ws://",
    "blob:https://",
    "view-source:https://",
    "javascript://",
    "java\nscript://",
    "data:text/html,",
    "vbscript:",
    "mailto:",
    "://",
    ":",
    "[]//",
    "//[::1]@",
];

/// Foreign hosts.
const TARGETS: &[&str] = &[
    "evil.test",
    "evil.test/",
    "evil.test:443/x",
    "evil%2etest",
    "evil\u{3002}test",
    "evil\u{ff0e}test/%2e%2e",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "[::1]/",
    "evil.test?ls.example.com",
    "evil.test#ls.example.com",
    "evil.test\\.ls.example.com",
    "xn--e1awd7f.test",
];

/// Complete values known to have bypassed checks elsewhere.
const KNOWN: &[&str] = &[
    "javascript:alert(1)",
    "javascript:alert(1)//https://ls.example.com",
    "JaVaScRiPt:alert(1)",
    "\u{1}javascript:alert(1)",
    "java\tscript:alert(1)",
    "javascript\n:alert(1)",
    "jav&#x0A;ascript:alert(1)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "/\r\nLocation: https://evil.test",
    "/\r\nSet-Cookie: sessionid=evil",
    "/%0d%0aLocation:%20https://evil.test",
    "/\u{560a}\u{560d}Location: https://evil.test",
    "/\u{10d}\u{10a}Set-Cookie: x",
    "http:evil.test",
    "https:evil.test",
    "https:/evil.test",
    "http://evil.test\\@ls.example.com",
    "http://ls.example.com\\.evil.test",
    "http://evil.test#ls.example.com",
    "http://evil.test?ls.example.com",
    "http://ls.example.com:80#@evil.test:80/",
    "http://ls.example.com:80?@evil.test:80/",
    "//evil.test/%2f..",
    "///evil.test/%2f%2e%2e",
    "/https://evil.test",
    "/https:/evil.test",
    "/http:\\evil.test",
    "/redirect?next=//evil.test",
    "/projects/..//evil.test",
    "/.evil.test",
    ".evil.test",
    "..",
    ".",
    "~//evil.test",
    "0://evil.test",
    "1//evil.test",
    "",
];

const PAGES: [&str; 4] = [
    "https://ls.example.com/sso/login?next=x",
    "https://ls.example.com/",
    "http://ls.example.com:8080/a/b/c",
    "http://[::1]:8080/label-studio/sso/login",
];

fn payloads() -> impl Iterator<Item = String> {
    let with_target = |prefix: &'static &str| {
        let targets = TARGETS.iter();
        targets.map(move |target| format!("{prefix}{target}"))
    };
    let known = KNOWN.iter().map(|payload| (*payload).to_owned());
    PREFIXES.iter().flat_map(with_target).chain(known)
}

#[test]
fn known_payloads_stay_on_the_origin() {
    assert!(payloads().count() > 1500);
    for payload in payloads() {
        let path = local_path(&payload);
        assert!(
            path == payload || path == "/",
            "{payload:?} became {path:?}"
        );
        assert!(path.starts_with('/') && path.is_ascii(), "{payload:?}");
        assert!(
            !path.bytes().any(|b| b <= b' ' || b == b'\\'),
            "{payload:?}"
        );
        for page in PAGES {
            let page = Url::parse(page).expect("a URL");
            let there = page.join(path).expect("a URL");
            assert_eq!(there.origin(), page.origin(), "{payload:?} on {page}");
            assert_eq!(
                (there.username(), there.password()),
                ("", None),
                "{payload:?}"
            );
            // Another component may decode the value again before the browser sees it.
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
            let there = page.join(local_path(&decoded)).expect("a URL");
            assert_eq!(
                there.origin(),
                page.origin(),
                "{payload:?}, decoded, on {page}"
            );
        }
    }
}

/// Sanity check: without the check, many payloads lead to another origin.
#[test]
fn many_payloads_leave_the_origin_without_the_check() {
    let page = Url::parse(PAGES[0]).expect("a URL");
    let leads_away = |payload: &String| {
        let there = page.join(payload);
        there.is_ok_and(|there| there.origin() != page.origin())
    };
    assert!(payloads().filter(leads_away).count() >= 300);
}

proptest::proptest! {
    /// The browser stays on the origin for any `next`.
    #[test]
    fn any_next_stays_on_the_origin(next in "[/\\\\.:@?#a-z\t\n\r \u{0}\u{7f}é%0-9]{0,24}") {
        let base = url::Url::parse("https://ls.example.com/sso/login").expect("a URL");
        let there = base.join(local_path(&next)).expect("a URL");
        proptest::prop_assert_eq!(there.origin(), base.origin(), "{:?}", next);
    }
}

#[test]
fn local_paths_are_unchanged() {
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
