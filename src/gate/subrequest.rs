//! Stage 1: what the proxy asked.
//!
//! In: the parts of the subrequest that the adapter read, each from the one place that belongs to that kind of proxy. Out: a
//! [`Subrequest`]. Afterwards holds: the URI has a path, and the cookies can be searched and rewritten without being copied.

use std::borrow::Cow;

use super::verify::ApiCredential;

/// The original request, as far as the decision needs it.
#[derive(Debug)]
pub struct Subrequest<'r> {
    uri: &'r str,
    cookies: CookieHeader<'r>,
    api_credential: Option<ApiCredential<'r>>,
    method: &'r str,
    provenance: Provenance<'r>,
}

/// Where a request comes from, as the browser and the proxy tell it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provenance<'r> {
    /// `Sec-Fetch-Site`
    pub fetch_site: Option<&'r str>,
    /// `Origin`
    pub origin: Option<&'r str>,
    /// `Host` of the original request.
    pub host: Option<&'r str>,
    /// `Referer`
    pub referer: Option<&'r str>,
    /// The peer's address, as a trusted proxy tells it.
    pub peer: Option<&'r str>,
}

impl<'r> Subrequest<'r> {
    /// A request for `uri` (path and query) with those cookies.
    ///
    /// `api_credential` is the credential of Label Studio's own API that it carries. `None` when `uri` is no origin-form of a request
    /// target (RFC 9112 §3.2.1): what cannot be read is not judged.
    pub fn new(
        uri: &'r str,
        cookies: CookieHeader<'r>,
        api_credential: Option<ApiCredential<'r>>,
    ) -> Option<Self> {
        let plain = uri.starts_with('/') && !uri.bytes().any(|b| b <= b' ' || b == 0x7f);
        plain.then_some(Self {
            uri,
            cookies,
            api_credential,
            method: "GET",
            provenance: Provenance::default(),
        })
    }

    /// The same request with another method, and with what is known of its sender.
    pub const fn sent_by(mut self, method: &'r str, provenance: Provenance<'r>) -> Self {
        self.method = method;
        self.provenance = provenance;
        self
    }

    /// Its method.
    pub const fn method(&self) -> &'r str {
        self.method
    }

    /// `Sec-Fetch-Site`
    pub const fn fetch_site(&self) -> Option<&'r str> {
        self.provenance.fetch_site
    }

    /// `Origin`
    pub const fn origin(&self) -> Option<&'r str> {
        self.provenance.origin
    }

    /// The host that it is for.
    pub const fn host(&self) -> Option<&'r str> {
        self.provenance.host
    }

    /// `Referer`
    pub const fn referer(&self) -> Option<&'r str> {
        self.provenance.referer
    }

    /// The peer's address, as a trusted proxy tells it.
    pub const fn peer(&self) -> Option<&'r str> {
        self.provenance.peer
    }

    /// The part before the `?`: what may be logged.
    pub fn path(&self) -> &'r str {
        self.uri.split_once('?').map_or(self.uri, |(path, _)| path)
    }

    /// The part behind the `?`.
    pub fn query(&self) -> Option<&'r str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }

    /// The cookies.
    pub const fn cookies(&self) -> &CookieHeader<'r> {
        &self.cookies
    }

    /// The credential of Label Studio's own API that it carries.
    pub const fn api_credential(&self) -> Option<ApiCredential<'r>> {
        self.api_credential
    }
}

/// The `Cookie` header: bytes, since browsers send what servers once set, and that is not always text.
pub struct CookieHeader<'r>(Cow<'r, [u8]>);

/// Tells its length and never its content.
impl std::fmt::Debug for CookieHeader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CookieHeader({} bytes)", self.0.len())
    }
}

impl<'r> CookieHeader<'r> {
    /// The header's value; several headers are joined with `; `, as HTTP/2 has it (RFC 9113 §8.2.3).
    pub fn new(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        let first = values.next().unwrap_or_default();
        let mut joined = Cow::Borrowed(first);
        for value in values {
            let joined = joined.to_mut();
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(value);
        }
        Self(joined)
    }

    /// The header as it came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of the cookie, of the last one where the name stands twice, as Django reads them (`django/http/cookie.py`, `parse_cookie`).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs()
            .filter(|(key, _)| *key == name.as_bytes())
            .last()
            .and_then(|(_, value)| std::str::from_utf8(unquoted(value)).ok())
    }

    /// Every value of a cookie of that name, in the order of the header: browsers keep cookies of one name apart by domain and path.
    pub fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c str> {
        self.pairs()
            .filter(move |(key, _)| *key == name.as_bytes())
            .filter_map(|(_, value)| std::str::from_utf8(unquoted(value)).ok())
    }

    /// Whether a cookie of that name is there, whatever its value.
    pub fn contains(&self, name: &str) -> bool {
        self.pairs().any(|(key, _)| key == name.as_bytes())
    }

    /// The header without the cookies named in `without` and with `with` at its end, or `None` when that changes nothing.
    ///
    /// Never empty, since the proxy takes an empty header for "no change": then the first name of `without` stays, with an empty value.
    pub fn rewritten(&self, without: &[&str], with: Option<(&str, &str)>) -> Option<Vec<u8>> {
        let removed = |key: &[u8]| without.iter().any(|name| name.as_bytes() == key);
        let mut header = Vec::with_capacity(self.0.len() + 128);
        let mut push = |part: &[u8]| {
            if !header.is_empty() {
                header.extend_from_slice(b"; ");
            }
            header.extend_from_slice(part);
        };
        let mut changed = false;
        for chunk in self.chunks() {
            if removed(split(chunk).0) {
                changed = true;
            } else {
                push(chunk);
            }
        }
        if let Some((name, value)) = with {
            push(format!("{name}={value}").as_bytes());
            changed = true;
        }
        if header.is_empty() {
            header = format!("{}=", without.first()?).into_bytes();
        }
        changed.then_some(header)
    }

    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|b| *b == b';')
            .map(<[u8]>::trim_ascii)
            .filter(|chunk| !chunk.is_empty())
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.chunks().map(split)
    }
}

/// Name and value of one cookie; a chunk without `=` is a value without a name.
fn split(chunk: &[u8]) -> (&[u8], &[u8]) {
    match chunk.iter().position(|b| *b == b'=') {
        Some(at) => (chunk[..at].trim_ascii(), chunk[at + 1..].trim_ascii()),
        None => (&[], chunk),
    }
}

/// A value may stand in quotes (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(value: &str) -> CookieHeader<'_> {
        CookieHeader::new(std::iter::once(value.as_bytes()))
    }

    fn rewritten(value: &str, without: &[&str], with: Option<(&str, &str)>) -> Option<String> {
        let bytes = header(value).rewritten(without, with)?;
        Some(String::from_utf8(bytes).expect("test headers are text"))
    }

    #[test]
    fn the_last_cookie_of_a_name_counts() {
        let cookies = header("a=1; sessionid=old;  sessionid = new ; lone; b=\"x y\"");
        assert_eq!(cookies.get("sessionid"), Some("new"));
        assert_eq!(cookies.get("b"), Some("x y"));
        assert_eq!(cookies.get("session"), None);
        assert_eq!(cookies.get("lone"), None);
    }

    #[test]
    fn several_headers_are_one() {
        let cookies = CookieHeader::new([b"a=1".as_slice(), b"b=2"].into_iter());
        assert_eq!((cookies.get("a"), cookies.get("b")), (Some("1"), Some("2")));
        let none = CookieHeader::new(std::iter::empty());
        assert_eq!(none.get("a"), None);
        assert_eq!(none.rewritten(&["a"], None), None);
    }

    #[test]
    fn rewriting_touches_only_what_is_named() {
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

    #[test]
    fn a_rewritten_header_is_never_empty() {
        assert_eq!(
            rewritten("ls_auth_token=t", &["ls_auth_token"], None).as_deref(),
            Some("ls_auth_token=")
        );
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let value: &[u8] = b"odd=\xff\xfe; ls_auth_token=t";
        let cookies = CookieHeader::new(std::iter::once(value));
        assert_eq!(cookies.get("odd"), None);
        assert_eq!(
            cookies.rewritten(&["ls_auth_token"], None).as_deref(),
            Some(b"odd=\xff\xfe".as_slice())
        );
    }

    #[test]
    fn only_an_origin_form_is_a_uri() {
        let subrequest = |uri| Subrequest::new(uri, header(""), None).is_some();
        assert!(subrequest("/"));
        assert!(subrequest("/projects/1?tab=2&x=%20"));
        for uri in [
            "",
            "projects",
            "http://host/",
            "*",
            "/a b",
            "/a\tb",
            "/a\0b",
            "/\r\n",
        ] {
            assert!(!subrequest(uri), "{uri:?}");
        }
    }
}
