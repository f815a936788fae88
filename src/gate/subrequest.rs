//! Stage 1: the subrequest.
//!
//! In: the parts of the original request, each read by the HTTP adapter from the one header that
//! this kind of proxy sets. Out: a [`Subrequest`]. Afterwards, the URI has a path, and cookies can
//! be searched without copying.

use memchr::memchr;

pub use super::cookies::CookieHeader;

/// The original request, as far as the decision needs it.
pub struct Subrequest<'r> {
    path: &'r str,
    query: Option<&'r str>,
    cookies: CookieHeader<'r>,
    api_credential: Option<ApiCredential<'r>>,
    asserted: Option<Asserted<'r>>,
    method: &'r str,
    provenance: &'r dyn Provenance,
}

/// The identity that a proxy in front asserts in a header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asserted<'r> {
    /// A signed token, not yet verified.
    Token(&'r str),
    /// Headers without a signature, not yet known to be the proxy's.
    Unsigned(UnsignedHeaders<'r>),
    /// A header occurs more than once, or isn't text.
    Ambiguous,
}

/// Headers in which a proxy in front names the user without a signature.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct UnsignedHeaders<'r> {
    /// What only the operator's proxy knows.
    pub secret: Option<&'r str>,
    /// The user's email address.
    pub email: Option<&'r str>,
    /// The user's name.
    pub username: Option<&'r str>,
    /// The user's groups, separated.
    pub groups: Option<&'r str>,
}

/// Shows the length but never the token.
impl std::fmt::Debug for Asserted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(token) => write!(f, "Token({} bytes)", token.len()),
            Self::Unsigned(_) => f.write_str("Unsigned"),
            Self::Ambiguous => f.write_str("Ambiguous"),
        }
    }
}

/// A credential for Label Studio's own API, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ApiCredential<'r> {
    /// `Authorization: Token …` or `X-Api-Key`: a key of `authtoken_token`.
    Key(&'r str),
    /// `Authorization: Bearer …`: an access token or a personal access token.
    Jwt(&'r str),
    /// One of these headers in a form that Label Studio rejects too.
    Unreadable,
}

/// Shows the kind but never the credential.
impl std::fmt::Debug for ApiCredential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Jwt(_) => "Jwt",
            Self::Unreadable => "Unreadable",
        })
    }
}

/// Where a request comes from, according to the browser and the proxy. Looked up when a stage asks for
/// it, because most requests are safe and open no session.
pub trait Provenance {
    /// `Sec-Fetch-Site`
    fn fetch_site(&self) -> Option<&str>;

    /// `Sec-Fetch-Mode`
    fn fetch_mode(&self) -> Option<&str>;

    /// `Origin`
    fn origin(&self) -> Option<&str>;

    /// `Host` of the original request.
    fn host(&self) -> Option<&str>;

    /// `Referer`
    fn referer(&self) -> Option<&str>;

    /// The peer's address, as reported by a trusted proxy.
    fn named_address(&self) -> Option<&str>;
}

/// Nobody says where the request comes from.
pub struct Unstated;

impl Provenance for Unstated {
    fn fetch_site(&self) -> Option<&str> {
        None
    }

    fn fetch_mode(&self) -> Option<&str> {
        None
    }

    fn origin(&self) -> Option<&str> {
        None
    }

    fn host(&self) -> Option<&str> {
        None
    }

    fn referer(&self) -> Option<&str> {
        None
    }

    fn named_address(&self) -> Option<&str> {
        None
    }
}

impl<'r> Subrequest<'r> {
    /// A request for `uri` (path and query) with these cookies.
    ///
    /// `api_credential` is its credential for Label Studio's own API. Returns `None` if `uri` is
    /// not in origin-form (RFC 9112 §3.2.1): the gate doesn't judge what it can't parse.
    pub fn new(
        uri: &'r str,
        cookies: CookieHeader<'r>,
        api_credential: Option<ApiCredential<'r>>,
    ) -> Option<Self> {
        let is_origin_form = uri.starts_with('/') && !uri.bytes().any(|b| b <= b' ' || b == 0x7f);
        let (path, query) = match memchr(b'?', uri.as_bytes()) {
            Some(end) => (&uri[..end], Some(&uri[end + 1..])),
            None => (uri, None),
        };
        is_origin_form.then_some(Self {
            path,
            query,
            cookies,
            api_credential,
            asserted: None,
            method: "GET",
            provenance: &Unstated,
        })
    }

    /// The same request with this method and provenance.
    pub const fn sent_by(mut self, method: &'r str, provenance: &'r dyn Provenance) -> Self {
        self.method = method;
        self.provenance = provenance;
        self
    }

    /// The same request with the identity that a proxy in front asserts.
    pub const fn asserting(mut self, asserted: Option<Asserted<'r>>) -> Self {
        self.asserted = asserted;
        self
    }

    /// The same request, whose Bearer credential isn't one of Label Studio's API but a token that a
    /// proxy in front asserts.
    pub const fn asserting_bearer(mut self, token: &'r str) -> Self {
        self.api_credential = None;
        self.asserting(Some(Asserted::Token(token)))
    }

    /// The identity that a proxy in front asserts.
    pub const fn asserted(&self) -> Option<Asserted<'r>> {
        self.asserted
    }

    /// The request method.
    pub const fn method(&self) -> &'r str {
        self.method
    }

    /// Where the request comes from.
    pub const fn provenance(&self) -> &'r dyn Provenance {
        self.provenance
    }

    /// The part before the `?`, which is safe to log.
    pub const fn path(&self) -> &'r str {
        self.path
    }

    /// The part after the `?`.
    pub const fn query(&self) -> Option<&'r str> {
        self.query
    }

    /// The cookies.
    pub const fn cookies(&self) -> &CookieHeader<'r> {
        &self.cookies
    }

    /// The credential for Label Studio's own API.
    pub const fn api_credential(&self) -> Option<ApiCredential<'r>> {
        self.api_credential
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_must_be_in_origin_form() {
        let subrequest =
            |uri| Subrequest::new(uri, CookieHeader::new(std::iter::empty()), None).is_some();
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
