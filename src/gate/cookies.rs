//! The `Cookie` header, parsed the way the Django behind the gate parses it.
//!
//! In: the header's bytes. Out: cookie values, and a header to forward. Afterwards, for every
//! cookie that the gate inspects, Label Studio reads from the forwarded header either the value
//! that the gate read or nothing.
//!
//! Django (`django/http/cookie.py`, `parse_cookie`, unchanged from 3.2 to 5.2) splits at `;`,
//! strips name and value with `str.strip()`, lets the last of two equal names win and removes
//! quotes with the standard library's `http.cookies._unquote`. The result depends on how the bytes
//! became text: WSGI decodes UTF-8 with replacements (`get_str_from_wsgi`), ASGI decodes Latin-1,
//! and wsgiref strips the whole header as Latin-1 before that. So the bytes C2 A0 before a name
//! disappear in one server and are part of the name in another. The gate doesn't guess the server.
//! It reads a cookie only if it is *plain*, that is, if all servers read it the same way. It
//! ignores any other cookie of an inspected name and removes it from the forwarded header. Browsers
//! and Django only write plain cookies.

use std::borrow::Cow;

use memchr::memchr;

/// The `Cookie` header. It is bytes because browsers return what servers once set, which isn't
/// always text.
pub struct CookieHeader<'r> {
    bytes: Cow<'r, [u8]>,
}

/// Shows the length but never the content.
impl std::fmt::Debug for CookieHeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CookieHeader({} bytes)", self.bytes.len())
    }
}

/// What the header says about a cookie name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'c> {
    /// The value that every server reads. The last one wins, as in Django.
    pub value: Option<&'c str>,
    /// Whether there is a cookie of this name, or one that some server could read as such.
    pub occurs: bool,
    /// Whether servers could read different cookies of this name.
    pub is_ambiguous: bool,
}

/// How a part of the header relates to a cookie name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading<'c> {
    /// No server reads it as a cookie of this name.
    Other,
    /// Every server reads this value, and still does when it is written without quotes.
    Plain(&'c str),
    /// Some server may read it as a cookie of this name, or read another value.
    Ambiguous,
}

impl<'r> CookieHeader<'r> {
    /// Joins several headers with `; `, as HTTP/2 does (RFC 9113 §8.2.3).
    pub fn new(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        let first = values.next().unwrap_or_default();
        let mut bytes = Cow::Borrowed(first);
        for value in values {
            let joined = bytes.to_mut();
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(value);
        }
        Self { bytes }
    }

    /// The header, unchanged.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Looks for a cookie.
    pub fn find(&self, name: &str) -> Found<'_> {
        let mut found = Found::default();
        for chunk in self.chunks() {
            match read(chunk, name) {
                Reading::Other => continue,
                Reading::Plain(value) => found.value = Some(value),
                Reading::Ambiguous => found.is_ambiguous = true,
            }
            found.occurs = true;
        }
        found
    }

    /// The value of the cookie. The last one wins, as in Django.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).value
    }

    /// The value with its original quotes and escapes, for the application that set it and removes
    /// them itself.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.chunks()
            .filter_map(split)
            .filter(|(key, _)| *key == name.as_bytes())
            .filter_map(|(_, raw)| ascii(raw))
            .last()
    }

    /// All values of a cookie, in header order. Browsers may send several cookies of one name,
    /// because they store cookies by domain and path.
    pub fn all<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c str> {
        self.chunks()
            .filter_map(move |chunk| match read(chunk, name) {
                Reading::Plain(value) => Some(value),
                Reading::Other | Reading::Ambiguous => None,
            })
    }

    /// The cookies whose names start with `prefix`, in header order.
    pub fn starting_with<'c>(&'c self, prefix: &str) -> impl Iterator<Item = (&'c str, &'c str)> {
        self.chunks()
            .filter_map(split)
            .filter_map(|(name, raw)| Some((ascii(name)?, unquoted(ascii(raw)?)?)))
            .filter(move |(name, _)| name.starts_with(prefix))
    }

    /// Removes every cookie that any server could read as one of `without`, and appends `with`.
    /// Returns `None` if the header can be forwarded unchanged.
    ///
    /// The result is never empty, because the proxy treats an empty header as "no change": the
    /// first name of `without` then stays, with an empty value. Several headers are forwarded as
    /// one joined header, because some servers join them with commas. What stays is not longer than it
    /// was, because the answer that holds it has a limit.
    pub fn rewritten(&self, without: &[&str], with: Option<(&str, &str)>) -> Option<Vec<u8>> {
        let stays = |written: &&[u8]| {
            let chunk = trim(written, is_space);
            let is = |name: &&str| read(chunk, name) != Reading::Other;
            !chunk.is_empty() && !without.iter().any(is)
        };
        let joined = matches!(self.bytes, Cow::Owned(_));
        if !joined && with.is_none() && !without.iter().any(|name| self.find(name).occurs) {
            return None;
        }
        let mut header = Vec::with_capacity(self.bytes.len() + 128);
        for written in self.written().filter(stays) {
            push(&mut header, written);
        }
        if let Some((name, value)) = with {
            push(&mut header, format!(" {name}={value}").as_bytes());
        }
        if header.is_empty() {
            header = format!("{}=", without.first()?).into_bytes();
        }
        Some(header)
    }

    /// The cookies, without the white space around them.
    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.written()
            .map(|chunk| trim(chunk, is_space))
            .filter(|chunk| !chunk.is_empty())
    }

    /// What is written between semicolons.
    fn written(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Some(&*self.bytes);
        let next = move || {
            let bytes = rest?;
            let (chunk, behind) = match memchr(b';', bytes) {
                Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
                None => (bytes, None),
            };
            rest = behind;
            Some(chunk)
        };
        std::iter::from_fn(next)
    }
}

/// Appends a cookie as it is written. A header's value begins without white space (RFC 9110 §5.5).
fn push(header: &mut Vec<u8>, written: &[u8]) {
    match header.is_empty() {
        true => header.extend_from_slice(written.trim_ascii_start()),
        false => {
            header.push(b';');
            header.extend_from_slice(written);
        }
    }
}

/// Splits a chunk into name and value. A chunk without `=` is a value without a name.
fn split(chunk: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr(b'=', chunk)?;
    let (key, value) = (&chunk[..at], &chunk[at + 1..]);
    Some((trim(key, is_space), trim(value, is_space)))
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok();
    text.filter(|text| text.is_ascii())
}

/// Reads one chunk.
///
/// If a server strips more than ASCII white space from a name, it strips non-ASCII bytes. What
/// remains without them is the name of an ambiguous cookie, because any server may strip it that
/// far.
fn read<'c>(chunk: &'c [u8], name: &str) -> Reading<'c> {
    let Some((key, raw)) = split(chunk) else {
        return Reading::Other;
    };
    if key == name.as_bytes() {
        let value = ascii(raw).and_then(unquoted);
        return value.map_or(Reading::Ambiguous, Reading::Plain);
    }
    let core = trim(key, |b| is_space(b) || !b.is_ascii());
    if core == name.as_bytes() {
        Reading::Ambiguous
    } else {
        Reading::Other
    }
}

/// Removes quotes as `http.cookies._unquote` does. Returns `None` if Django would resolve escapes,
/// which no standard defines, or if the value needs its quotes to survive. Neither Django nor a
/// browser writes such values into the cookies that the gate inspects.
fn unquoted(value: &str) -> Option<&str> {
    let Some(inner) = within_quotes(value) else {
        return Some(value);
    };
    let needs_quotes =
        within_quotes(inner).is_some() || trim(inner.as_bytes(), is_space).len() < inner.len();
    (!inner.contains('\\') && !needs_quotes).then_some(inner)
}

fn within_quotes(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

fn trim(mut bytes: &[u8], strips: impl Fn(u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && strips(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && strips(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The ASCII part of what `str.strip()` strips (`str.isspace`), which is more than
/// `u8::is_ascii_whitespace`.
const fn is_space(b: u8) -> bool {
    matches!(b, b'\t'..=b'\r' | 0x1c..=0x1f | b' ')
}

#[cfg(test)]
mod tests;
