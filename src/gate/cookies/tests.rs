//! Parsing and rewriting. `tests/e2e/differential` checks the same headers against the real Django.

use super::*;

fn header(value: &str) -> CookieHeader<'_> {
    CookieHeader::new(std::iter::once(value.as_bytes()))
}

fn rewritten(value: &str, without: &[&str], with: Option<(&str, &str)>) -> Option<String> {
    let bytes = header(value).rewritten(without, with)?;
    Some(String::from_utf8(bytes).expect("test headers are text"))
}

#[test]
fn last_cookie_of_a_name_wins() {
    let cookies = header("a=1; sessionid=old;  sessionid = new ; lone; b=\"x y\"");
    assert_eq!(cookies.get("sessionid"), Some("new"));
    assert_eq!(cookies.get("b"), Some("x y"));
    assert_eq!(cookies.get("session"), None);
    assert_eq!(cookies.get("lone"), None);
}

#[test]
fn several_headers_are_read_as_one() {
    let cookies = CookieHeader::new([b"a=1".as_slice(), b"b=2"].into_iter());
    assert_eq!((cookies.get("a"), cookies.get("b")), (Some("1"), Some("2")));
    let none = CookieHeader::new(std::iter::empty());
    assert_eq!(none.get("a"), None);
    assert_eq!(none.rewritten(&["a"], None), None);
}

#[test]
fn rewriting_changes_only_named_cookies() {
    let value = "csrftoken=c; ls_auth_token=t; sessionid=old; x=\"1 2\"; sessionid=older";
    assert_eq!(
        rewritten(
            value,
            &["ls_auth_token", "sessionid"],
            Some(("sessionid", "new"))
        )
        .as_deref(),
        Some("csrftoken=c; x=\"1 2\"; sessionid=new")
    );
    assert_eq!(rewritten("csrftoken=c", &["ls_auth_token"], None), None);
}

/// The limit on its length is for what comes in, and the answer holds what goes out.
#[test]
fn what_stays_is_as_long_as_it_was() {
    let new = Some(("sessionid", "new"));
    for (value, expected) in [
        ("a;b=1;ls_auth_token=t;c", "a;b=1;c; sessionid=new"),
        ("ls_auth_token=t;a;b", "a;b; sessionid=new"),
        (
            "a;;b; ; c ;\td;ls_auth_token=t",
            "a;b; c ;\td; sessionid=new",
        ),
        (" a; ls_auth_token=t;  b ", "a;  b ; sessionid=new"),
        ("ls_auth_token=t", "sessionid=new"),
    ] {
        let found = rewritten(value, &["ls_auth_token", "sessionid"], new);
        assert_eq!(found.as_deref(), Some(expected), "{value:?}");
    }
}

#[test]
fn rewritten_header_is_never_empty() {
    assert_eq!(
        rewritten("ls_auth_token=t", &["ls_auth_token"], None).as_deref(),
        Some("ls_auth_token=")
    );
}

#[test]
fn non_text_bytes_are_preserved() {
    let value: &[u8] = b"odd=\xff\xfe; ls_auth_token=t";
    let cookies = CookieHeader::new(std::iter::once(value));
    assert_eq!(cookies.get("odd"), None);
    assert_eq!(
        cookies.rewritten(&["ls_auth_token"], None).as_deref(),
        Some(b"odd=\xff\xfe".as_slice())
    );
}

/// Headers that servers could parse differently from the gate.
const AMBIGUOUS: &[&[u8]] = &[
    // U+00A0, U+0085, U+2003 and U+3000 in UTF-8; Python strips them.
    b"\xc2\xa0sessionid=evil",
    b"sessionid\xc2\xa0=evil",
    b"\xc2\x85sessionid=evil",
    b"\xe2\x80\x83sessionid =evil",
    b"\xe3\x80\x80 \xc2\xa0sessionid=evil",
    // The same in Latin-1.
    b"\xa0sessionid=evil",
    b"\x85sessionid\xa0=evil",
    b" \xa0\xc2\xa0sessionid=evil",
    // Values with octal escapes, backslashes or non-ASCII letters.
    b"sessionid=\"\\145vil\"",
    b"sessionid=\"e\\vil\"",
    b"sessionid=\"\\\"evil\"",
    // Values that change without their quotes.
    b"sessionid=\" evil\"",
    b"sessionid=\"\"evil\"\"",
    b"sessionid=evil\xc2\xa0",
    b"sessionid=\xa0evil",
    b"sessionid=\xe9vil",
];

#[test]
fn ambiguous_cookies_are_neither_read_nor_forwarded() {
    for &odd in AMBIGUOUS {
        for value in [
            odd.to_vec(),
            [b"a=1; sessionid=mine; ", odd, b"; b=2"].concat(),
        ] {
            let shown = String::from_utf8_lossy(&value);
            let cookies = CookieHeader::new(std::iter::once(value.as_slice()));
            let mine = value.starts_with(b"a").then_some("mine");
            assert_eq!(cookies.get("sessionid"), mine, "{shown}");
            assert!(cookies.find("sessionid").occurs, "{shown}");
            assert!(cookies.find("sessionid").is_ambiguous, "{shown}");
            let with = mine.map(|value| ("sessionid", value));
            let forwarded = cookies.rewritten(&["sessionid"], with).expect("a change");
            let expected: &[u8] = match mine {
                Some(_) => b"a=1; b=2; sessionid=mine",
                None => b"sessionid=",
            };
            assert_eq!(forwarded, expected, "{shown}");
        }
    }
}

#[test]
fn other_cookies_are_preserved() {
    for value in [
        "csrftoken=1",
        "sessionid",
        "\"sessionid\"=x",
        "session id=x",
        "Sessionid=x",
        "xsessionid=x",
        "sessionid%20=x",
        "a=sessionid=x",
        "=sessionid",
        "sess\u{a0}ionid=x",
    ] {
        let cookies = header(value);
        assert!(!cookies.find("sessionid").occurs, "{value}");
        assert!(!cookies.find("sessionid").is_ambiguous, "{value}");
        assert_eq!(cookies.rewritten(&["sessionid"], None), None, "{value}");
    }
}

#[test]
fn plain_values_are_read_like_django() {
    for (value, expected, raw) in [
        ("sessionid=x", "x", "x"),
        ("\tsessionid\x0b=\x1cx\x1f ", "x", "x"),
        ("sessionid=\"x y\"", "x y", "\"x y\""),
        ("sessionid=\"", "\"", "\""),
        ("sessionid=\"\"", "", "\"\""),
        ("sessionid=\"x", "\"x", "\"x"),
        ("sessionid=\\145", "\\145", "\\145"),
        ("sessionid=a=b", "a=b", "a=b"),
        ("sessionid=", "", ""),
        ("sessionid=1;;;sessionid=2;", "2", "2"),
    ] {
        let cookies = header(value);
        assert_eq!(cookies.get("sessionid"), Some(expected), "{value:?}");
        assert_eq!(cookies.raw("sessionid"), Some(raw), "{value:?}");
        assert!(!cookies.find("sessionid").is_ambiguous, "{value:?}");
    }
}

#[test]
fn raw_value_keeps_quotes_and_escapes() {
    for (value, raw) in [
        ("sid=a; sid=\"x\\073y\"", Some("\"x\\073y\"")),
        ("sid=\" x\"", Some("\" x\"")),
        ("sid=é", None),
        ("\u{a0}sid=x", None),
    ] {
        assert_eq!(header(value).raw("sid"), raw, "{value}");
    }
}

#[test]
fn several_headers_are_forwarded_as_one() {
    let values = [b"a=1".as_slice(), b"sessionid=x"];
    let cookies = CookieHeader::new(values.into_iter());
    let forwarded = cookies.rewritten(&["ls_auth_token"], None);
    assert_eq!(forwarded.as_deref(), Some(b"a=1; sessionid=x".as_slice()));
}
