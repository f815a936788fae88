//! The `Cookie` header, read as the Django behind the gate reads it.
//!
//! In: the header's bytes. Out: values of cookies, and a header to forward. Afterwards holds: of the cookies that the gate judges, Label
//! Studio reads in the forwarded header what was judged, or nothing.
//!
//! Django (`django/http/cookie.py`, `parse_cookie`, the same from 3.2 to 5.2) splits at `;`, strips name and value with `str.strip()`, lets the
//! last of two equal names win and removes quotes with the standard library's `http.cookies._unquote`. What that comes to depends on how bytes
//! became text before: by UTF-8 with replacements under WSGI (`get_str_from_wsgi`), by Latin-1 under ASGI, and wsgiref has stripped the whole
//! header as Latin-1 before that. So the bytes C2 A0 before a name vanish in one server and are part of the name in another. Instead of
//! choosing a server, a cookie of a judged name counts only where it is *plain*: where all of them read the same. Any other is not
//! read, and is taken out of the forwarded header. Browsers and Django write plain ones alone.

use std::borrow::Cow;

/// The `Cookie` header: bytes, since browsers send what servers once set, and that is not always text.
pub struct CookieHeader<'r> {
    bytes: Cow<'r, [u8]>,
}

/// Tells its length and never its content.
impl std::fmt::Debug for CookieHeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CookieHeader({} bytes)", self.bytes.len())
    }
}

/// How a part of the header relates to a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading<'c> {
    /// No server takes it for a cookie of that name.
    Other,
    /// Every server reads this value, and reads it again where it is written without quotes.
    Plain(&'c str),
    /// Some server may take it for a cookie of that name, or read another value.
    Ambiguous,
}

impl<'r> CookieHeader<'r> {
    /// The header's value; several headers are joined with `; `, as HTTP/2 has it (RFC 9113 §8.2.3).
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

    /// The header as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of the cookie, of the last one where the name stands twice, as Django has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// The same with the quotes and escapes with which it came, for somebody who removes them themselves: the application that has set it.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.chunks()
            .filter_map(split)
            .filter(|(key, _)| *key == name.as_bytes())
            .filter_map(|(_, raw)| ascii(raw))
            .last()
    }

    /// Every value of a cookie of that name, in the order of the header: browsers keep cookies of one name apart by domain and path.
    pub fn all<'c>(&'c self, name: &str) -> impl Iterator<Item = &'c str> {
        self.chunks()
            .filter_map(move |chunk| match read(chunk, name) {
                Reading::Plain(value) => Some(value),
                Reading::Other | Reading::Ambiguous => None,
            })
    }

    /// Whether a cookie of that name is there, or one that some server could take for it.
    pub fn contains(&self, name: &str) -> bool {
        let mut chunks = self.chunks();
        chunks.any(|chunk| read(chunk, name) != Reading::Other)
    }

    /// Whether there is something that servers could take for different cookies of that name.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        let mut chunks = self.chunks();
        chunks.any(|chunk| read(chunk, name) == Reading::Ambiguous)
    }

    /// The header without what any server could take for the cookies named in `without` and with `with` at its end, or `None` when it is to
    /// be forwarded as it came.
    ///
    /// Never empty, since the proxy takes an empty header for "no change": then the first name of `without` stays, with an empty value.
    /// Several headers are forwarded as the one that was read: some servers join them with commas.
    pub fn rewritten(&self, without: &[&str], with: Option<(&str, &str)>) -> Option<Vec<u8>> {
        let removed = |chunk: &[u8]| {
            let is = |name: &&str| read(chunk, name) != Reading::Other;
            without.iter().any(is)
        };
        let joined = matches!(self.bytes, Cow::Owned(_));
        if !joined && with.is_none() && !self.chunks().any(removed) {
            return None;
        }
        let mut header = Vec::with_capacity(self.bytes.len() + 128);
        let kept = self.chunks().filter(|chunk| !removed(chunk));
        kept.for_each(|chunk| push(&mut header, chunk));
        if let Some((name, value)) = with {
            push(&mut header, format!("{name}={value}").as_bytes());
        }
        if header.is_empty() {
            header = format!("{}=", without.first()?).into_bytes();
        }
        Some(header)
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes
            .split(|b| *b == b';')
            .map(|chunk| trim(chunk, is_space))
            .filter(|chunk| !chunk.is_empty())
    }
}

fn push(header: &mut Vec<u8>, chunk: &[u8]) {
    if !header.is_empty() {
        header.extend_from_slice(b"; ");
    }
    header.extend_from_slice(chunk);
}

/// Name and value of one chunk. One without `=` is a value without a name.
fn split(chunk: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = chunk.iter().position(|b| *b == b'=')?;
    let (key, value) = (&chunk[..at], &chunk[at + 1..]);
    Some((trim(key, is_space), trim(value, is_space)))
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok();
    text.filter(|text| text.is_ascii())
}

/// Reads one chunk.
///
/// Whatever a server strips from a name beyond ASCII's white space, it made of bytes that are no ASCII. What is left then, is the name of an
/// ambiguous cookie: any of them may strip it so far.
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

/// A value without its quotes, as `http.cookies._unquote` removes them. `None` where it resolves escapes, which are nowhere standardized,
/// and where the value needs its quotes to be read as itself. Neither Django nor a browser writes such a value into the cookies that count.
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

/// ASCII's part of what `str.strip()` strips (`str.isspace`): more than `u8::is_ascii_whitespace`.
const fn is_space(b: u8) -> bool {
    matches!(b, b'\t'..=b'\r' | 0x1c..=0x1f | b' ')
}

#[cfg(test)]
mod tests;
