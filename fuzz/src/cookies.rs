//! The `Cookie` header: whatever is in it, every server reads in the forwarded header the session that the gate has judged.

use std::collections::BTreeMap;

use label_studio_gate::gate::cookies::CookieHeader;

const SESSION: &str = "sessionid";
const TOKEN: &str = "ls_auth_token";

/// How the bytes of the header become the text that Django parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// uWSGI and gunicorn: Django decodes UTF-8 with replacements (`django/core/handlers/wsgi.py`, `get_str_from_wsgi`).
    Wsgi,
    /// `runserver`: wsgiref has stripped the Latin-1 text before (`wsgiref/simple_server.py`, `get_environ`).
    Wsgiref,
    /// Latin-1 (`django/core/handlers/asgi.py`).
    Asgi,
}

/// All of them.
pub const SERVERS: [Server; 3] = [Server::Wsgi, Server::Wsgiref, Server::Asgi];

/// The text that Django parses.
pub fn text(server: Server, header: &[u8]) -> String {
    let latin_1: String = header.iter().map(|byte| char::from(*byte)).collect();
    let bytes: Vec<u8> = match server {
        Server::Asgi => return latin_1,
        Server::Wsgi => header.to_vec(),
        Server::Wsgiref => {
            let stripped = strip(&latin_1).chars();
            stripped.filter_map(|c| u8::try_from(c).ok()).collect()
        }
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `parse_cookie` of `django/http/cookie.py`. `tests/e2e/differential` compares it with the real one.
pub fn parse_cookie(text: &str) -> BTreeMap<String, String> {
    let mut cookies = BTreeMap::new();
    for chunk in text.split(';') {
        let (key, value) = chunk.split_once('=').unwrap_or(("", chunk));
        let (key, value) = (strip(key), strip(value));
        if !key.is_empty() || !value.is_empty() {
            cookies.insert(key.to_owned(), unquote(value));
        }
    }
    cookies
}

/// `str.strip()`
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// `http.cookies._unquote`
fn unquote(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut rest: Vec<char> = inner.chars().rev().collect();
    let mut text = String::new();
    while let Some(c) = rest.pop() {
        match (c, rest.as_slice()) {
            ('\\', [.., c @ '0'..='7', b @ '0'..='7', a @ '0'..='3']) => {
                let digits = [a, b, c].map(|digit| digit.to_digit(8).expect("octal"));
                let code = digits[0] * 64 + digits[1] * 8 + digits[2];
                text.push(char::from_u32(code).expect("below 256"));
                rest.truncate(rest.len() - 3);
            }
            ('\\', [.., next]) if *next != '\n' => text.extend(rest.pop()),
            _ => text.push(c),
        }
    }
    text
}

/// Lines are headers.
pub fn cookie_header(data: &[u8]) {
    let header = CookieHeader::new(data.split(|byte| *byte == b'\n'));
    let original = header.as_bytes().to_vec();
    assert_eq!(header.get(SESSION), header.all(SESSION).last());
    assert!(header.get(SESSION).is_none() || header.raw(SESSION).is_some());
    let found = header.find(SESSION);
    assert!(found.occurs || found.value.is_none() && !found.is_ambiguous);

    let (kept, judged) = keep_session(&header);
    let forwarded = kept.unwrap_or_else(|| original.clone());
    for server in SERVERS {
        let cookies = parse_cookie(&text(server, &forwarded));
        let read = cookies.get(SESSION).map(String::as_str);
        assert_eq!(read, judged, "{server:?} reads another session");
        let token = cookies.get(TOKEN).map(String::as_str);
        assert!(matches!(token, None | Some("")), "{server:?}: {token:?}");
        if server != Server::Wsgiref {
            let before = parse_cookie(&text(server, &original));
            assert_eq!(others(&cookies), others(&before), "{server:?}");
        }
    }
    let again = CookieHeader::new(std::iter::once(forwarded.as_slice()));
    assert_eq!(again.get(SESSION), judged);
    assert!(!again.find(SESSION).is_ambiguous);

    let fresh = header.rewritten(&[TOKEN, SESSION], Some((SESSION, "fresh")));
    let fresh = fresh.expect("a change");
    for server in SERVERS {
        let cookies = parse_cookie(&text(server, &fresh));
        assert_eq!(cookies.get(SESSION).map(String::as_str), Some("fresh"));
        assert_eq!(cookies.get(TOKEN), None, "{server:?}");
    }
}

/// The forwarded header of a request that keeps its session, and that session, built as the gate builds them: Label Studio sees only this session where
/// it could mistake another cookie for it.
pub fn keep_session<'h>(header: &'h CookieHeader<'_>) -> (Option<Vec<u8>>, Option<&'h str>) {
    let judged = header.get(SESSION);
    let alone = header.find(SESSION).is_ambiguous;
    let without: &[&str] = if alone { &[TOKEN, SESSION] } else { &[TOKEN] };
    let with = judged.filter(|_| alone).map(|value| (SESSION, value));
    (header.rewritten(without, with), judged)
}

/// The cookies whose names nobody could take for one of the two.
fn others(cookies: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let is_other = |name: &str| {
        let core = name.trim_matches(|c: char| !c.is_ascii() || c.is_ascii_control() || c == ' ');
        ![SESSION, TOKEN].contains(&core)
    };
    let all = cookies.iter();
    all.map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| is_other(name))
        .collect()
}
