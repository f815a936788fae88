//! What a proxy sent, read from the one place that belongs to that kind of proxy.
//!
//! A header that another kind of proxy would use is never looked at: a client could have smuggled it in (CVE-2026-40575).

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};

use crate::gate::subrequest::{CookieHeader, Provenance, Subrequest};

const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
/// What stands before the original path (`path_prefix` in Envoy's configuration).
pub(super) const ENVOY: &str = "/auth/envoy";

const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// nginx: `X-Original-URI`, which `nginx/gate.conf` sets to `$request_uri`.
pub(super) fn nginx(request: &HttpRequest) -> Option<Subrequest<'_>> {
    let method = only(request.headers(), &X_ORIGINAL_METHOD);
    of_proxy(request, original_uri(request)?, method, provenance(request))
}

/// ingress-nginx: `X-Original-URL`, absolute, which its template makes of `$scheme://$http_host$request_uri`.
pub(super) fn ingress_nginx(request: &HttpRequest) -> Option<Subrequest<'_>> {
    let headers = request.headers();
    let (_, rest) = only(headers, &X_ORIGINAL_URL)?.split_once("://")?;
    let at = rest.find('/')?;
    let provenance = Provenance {
        host: Some(&rest[..at]),
        ..provenance(request)
    };
    of_proxy(
        request,
        &rest[at..],
        only(headers, &X_ORIGINAL_METHOD),
        provenance,
    )
}

/// Traefik's ForwardAuth and Caddy's `forward_auth`: `X-Forwarded-Uri`, `-Method`, `-Host`.
pub(super) fn forwarded(request: &HttpRequest) -> Option<Subrequest<'_>> {
    let headers = request.headers();
    let provenance = Provenance {
        host: only(headers, &X_FORWARDED_HOST),
        ..provenance(request)
    };
    let uri = only(headers, &X_FORWARDED_URI)?;
    of_proxy(request, uri, only(headers, &X_FORWARDED_METHOD), provenance)
}

/// Envoy's `ext_authz` over HTTP: the request's own path behind the prefix, and its own method.
pub(super) fn envoy(request: &HttpRequest) -> Option<Subrequest<'_>> {
    let uri = request.uri().path_and_query()?.as_str();
    let uri = uri.strip_prefix(ENVOY)?;
    let method = Some(request.method().as_str());
    of_proxy(request, uri, method, provenance(request))
}

/// A method that the proxy doesn't tell is taken for one that changes something.
fn of_proxy<'r>(
    request: &'r HttpRequest,
    uri: &'r str,
    method: Option<&'r str>,
    provenance: Provenance<'r>,
) -> Option<Subrequest<'r>> {
    let headers = request.headers();
    let subrequest = Subrequest::new(uri, cookies(headers), has_api_credential(headers))?;
    Some(subrequest.sent_by(method.unwrap_or_default(), provenance))
}

/// A request of a browser itself, as if it were for `uri`.
pub(super) fn of_browser<'r>(request: &'r HttpRequest, uri: &'r str) -> Option<Subrequest<'r>> {
    let cookies = cookies(request.headers());
    let subrequest = Subrequest::new(uri, cookies, false)?;
    Some(subrequest.sent_by(request.method().as_str(), provenance(request)))
}

/// nginx: what the client asked for.
pub(super) fn original_uri(request: &HttpRequest) -> Option<&str> {
    only(request.headers(), &X_ORIGINAL_URI)
}

/// nginx: `http` or `https`.
pub(super) fn forwarded_proto(request: &HttpRequest) -> Option<&str> {
    only(request.headers(), &X_FORWARDED_PROTO)
}

fn provenance(request: &HttpRequest) -> Provenance<'_> {
    let headers = request.headers();
    Provenance {
        fetch_site: only(headers, &SEC_FETCH_SITE),
        origin: only(headers, &ORIGIN),
        host: only(headers, &HOST),
        client: only(headers, &X_REAL_IP),
    }
}

/// The value of a header that stands once and is text.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn cookies(headers: &HeaderMap) -> CookieHeader<'_> {
    CookieHeader::new(headers.get_all(COOKIE).map(|value| value.as_bytes()))
}

/// `Authorization: Token …` or `Bearer …`, or `X-Api-Key`: credentials of Label Studio's own API. Label Studio prefers them to a session.
fn has_api_credential(headers: &HeaderMap) -> bool {
    let is_api_scheme = |value: &[u8]| {
        let value = value.trim_ascii_start();
        let end = value
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(value.len());
        value[..end].eq_ignore_ascii_case(b"token") || value[..end].eq_ignore_ascii_case(b"bearer")
    };
    headers.contains_key(&X_API_KEY)
        || headers
            .get_all(AUTHORIZATION)
            .any(|value| is_api_scheme(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn has_credential(name: &str, value: &str) -> bool {
        let request = TestRequest::get()
            .insert_header((name, value))
            .to_http_request();
        has_api_credential(request.headers())
    }

    #[test]
    fn api_credentials_are_told_by_their_scheme() {
        for value in [
            "Token abc",
            "token abc",
            "TOKEN  abc",
            "Bearer a.b.c",
            "Token",
        ] {
            assert!(has_credential("Authorization", value), "{value}");
        }
        assert!(has_credential("X-Api-Key", "abc"));
        for value in ["Basic YTpi", "Tokenabc", "Negotiate x", ""] {
            assert!(!has_credential("Authorization", value), "{value}");
        }
    }

    #[test]
    fn the_uri_comes_from_one_header_that_stands_once() {
        let uri = |request: TestRequest| {
            nginx(&request.to_http_request()).map(|subrequest| subrequest.path().to_owned())
        };
        let original = ("X-Original-URI", "/projects/1?a=b");
        assert_eq!(
            uri(TestRequest::get().insert_header(original)).as_deref(),
            Some("/projects/1")
        );
        assert_eq!(uri(TestRequest::get()), None);
        assert_eq!(
            uri(TestRequest::get().insert_header(("X-Original-URL", "http://h/x"))),
            None
        );
        let twice = TestRequest::get()
            .insert_header(original)
            .append_header(original);
        assert_eq!(uri(twice), None);
    }
}
