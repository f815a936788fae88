//! Open redirects: whatever `next` is, a browser stays on the origin. Payloads as they are known, and every opening with every target.

use url::Url;

use super::local_path;

/// What stands before a foreign host so that a check takes it for a path, or a browser for an authority.
const OPENINGS: &[&str] = &[
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

/// Where they lead.
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

/// Whole values that have gone past some check, somewhere.
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
    let with_target = |opening: &'static &str| {
        let targets = TARGETS.iter();
        targets.map(move |target| format!("{opening}{target}"))
    };
    let known = KNOWN.iter().map(|payload| (*payload).to_owned());
    OPENINGS.iter().flat_map(with_target).chain(known)
}

#[test]
fn a_browser_stays_on_the_origin() {
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
            // A second reader may have decoded it once more before the browser sees it.
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

/// What the table is worth: without the check, most of it leads away.
#[test]
fn the_payloads_are_dangerous() {
    let page = Url::parse(PAGES[0]).expect("a URL");
    let leads_away = |payload: &String| {
        let there = page.join(payload);
        there.is_ok_and(|there| there.origin() != page.origin())
    };
    assert!(payloads().filter(leads_away).count() >= 300);
}
