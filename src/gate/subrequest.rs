//! Stage 1: what the proxy asked.
//!
//! In: the parts of the subrequest that the adapter read, each from the one place that belongs to that kind of proxy. Out: a
//! [`Subrequest`]. Afterwards holds: the URI has a path, and the cookies can be searched and rewritten without being copied.

pub use super::cookies::CookieHeader;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_form_is_a_uri() {
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
