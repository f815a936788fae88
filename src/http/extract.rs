//! Reads the original request from a proxy's subrequest.
//!
//! In: a subrequest. Out: URI, method, host and cookies of the original request. Each is read only
//! from the header that this kind of proxy sets. Headers of other kinds are ignored, because the
//! user agent could have sent them (CVE-2026-40575).

use actix_web::dev::RequestHead;
use actix_web::http::header::{
    AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER,
};

use super::context::RequestContext;
use crate::gate::subrequest::{ApiCredential, CookieHeader, Provenance, Subrequest};

/// Prefix of the original path (`path_prefix` in Envoy's configuration).
pub(super) const ENVOY_PREFIX: &str = "/auth/envoy";

const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The kinds of proxy, by how they send the original request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// nginx with `nginx/gate.conf`.
    Nginx,
    /// ingress-nginx, the Kubernetes ingress controller, with its annotations.
    IngressNginx,
    /// Caddy with `deploy/caddy`, and HAProxy with `deploy/haproxy`.
    Caddy,
    /// Traefik's ForwardAuth.
    Traefik,
    /// Envoy's `ext_authz` over HTTP.
    Envoy,
}

/// The original request, read from this kind of proxy's headers. A missing method counts as a
/// state-changing one.
pub(super) fn subrequest<'r>(
    proxy: Proxy,
    context: &'r RequestContext<'_>,
) -> Option<Subrequest<'r>> {
    let request = context.request;
    let headers = request.headers();
    let uri = original_uri(proxy, request)?;
    let subrequest = Subrequest::new(uri, cookies(headers), api_credential(headers))?;
    let method = original_method(proxy, request).unwrap_or_default();
    Some(subrequest.sent_by(method, context))
}

/// The path and query of the original request.
pub(super) fn original_uri(proxy: Proxy, request: &RequestHead) -> Option<&str> {
    let headers = request.headers();
    match proxy {
        Proxy::Nginx => only(headers, &X_ORIGINAL_URI),
        Proxy::IngressNginx => original_url(headers).map(|(_, uri)| uri),
        Proxy::Caddy | Proxy::Traefik => only(headers, &X_FORWARDED_URI),
        Proxy::Envoy => {
            let uri = request.uri.path_and_query()?.as_str();
            uri.strip_prefix(ENVOY_PREFIX)
        }
    }
}

/// The host of the original request, with the port if it is not the scheme's default.
pub(super) fn original_host(proxy: Proxy, request: &RequestHead) -> Option<&str> {
    let headers = request.headers();
    match proxy {
        Proxy::Nginx | Proxy::Envoy => only(headers, &HOST),
        Proxy::IngressNginx => original_url(headers).map(|(host, _)| host),
        Proxy::Caddy | Proxy::Traefik => only(headers, &X_FORWARDED_HOST),
    }
}

/// The method of the original request.
pub(super) fn original_method(proxy: Proxy, request: &RequestHead) -> Option<&str> {
    match proxy {
        Proxy::Nginx | Proxy::IngressNginx => only(request.headers(), &X_ORIGINAL_METHOD),
        Proxy::Caddy | Proxy::Traefik => only(request.headers(), &X_FORWARDED_METHOD),
        Proxy::Envoy => Some(request.method.as_str()),
    }
}

/// Host and URI from ingress-nginx's absolute URL, which its template builds as
/// `$scheme://$http_host$request_uri`.
fn original_url(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (_, rest) = only(headers, &X_ORIGINAL_URL)?.split_once("://")?;
    Some(rest.split_at(rest.find('/')?))
}

/// A request that a browser sent to the gate itself, treated as a request for `uri`.
pub(super) fn of_browser<'r>(
    context: &'r RequestContext<'_>,
    uri: &'r str,
) -> Option<Subrequest<'r>> {
    let request = context.request;
    let subrequest = Subrequest::new(uri, cookies(request.headers()), None)?;
    Some(subrequest.sent_by(request.method.as_str(), context))
}

/// The original scheme, `http` or `https`. Every kind of proxy uses this header.
pub(super) fn forwarded_proto(request: &RequestHead) -> Option<&str> {
    only(request.headers(), &X_FORWARDED_PROTO)
}

impl Provenance for RequestContext<'_> {
    fn fetch_site(&self) -> Option<&str> {
        only(self.request.headers(), &SEC_FETCH_SITE)
    }

    fn fetch_mode(&self) -> Option<&str> {
        only(self.request.headers(), &SEC_FETCH_MODE)
    }

    fn origin(&self) -> Option<&str> {
        only(self.request.headers(), &ORIGIN)
    }

    fn host(&self) -> Option<&str> {
        match self.proxy {
            Some(proxy) => original_host(proxy, self.request),
            None => only(self.request.headers(), &HOST),
        }
    }

    fn referer(&self) -> Option<&str> {
        only(self.request.headers(), &REFERER)
    }

    fn named_address(&self) -> Option<&str> {
        self.state.trusted_proxies.named_address(self.request)
    }
}

/// The value of a header that occurs exactly once and is text.
pub(super) fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn cookies(headers: &HeaderMap) -> CookieHeader<'_> {
    CookieHeader::new(headers.get_all(COOKIE).map(|value| value.as_bytes()))
}

/// The credential for Label Studio's own API: `Authorization: Token …` or `Bearer …`, or
/// `X-Api-Key`. Label Studio prefers it to a session, and `X-Api-Key` to `Authorization`
/// (`label_studio/core/middleware.py`, `XApiKeySupportMiddleware`).
///
/// Django REST framework splits at any white space and ignores the case of `Token`
/// (`rest_framework/authentication.py`); Simple JWT does not ignore that of `Bearer`
/// (`rest_framework_simplejwt/authentication.py`).
fn api_credential(headers: &HeaderMap) -> Option<ApiCredential<'_>> {
    if headers.contains_key(&X_API_KEY) {
        let key = only(headers, &X_API_KEY).filter(|key| !key.contains(char::is_whitespace));
        return Some(key.map_or(ApiCredential::Unreadable, ApiCredential::Key));
    }
    authorization(headers)
}

/// The credential in `Authorization`.
pub(super) fn authorization(headers: &HeaderMap) -> Option<ApiCredential<'_>> {
    let is_api = |value: &HeaderValue| scheme(value.as_bytes()).is_some();
    if !headers.get_all(AUTHORIZATION).any(is_api) {
        return None;
    }
    let value = only(headers, &AUTHORIZATION).unwrap_or_default();
    let mut words = value.split_ascii_whitespace();
    let credential = match (scheme(value.as_bytes()), words.nth(1), words.next()) {
        (Some(Scheme::Token), Some(key), None) => ApiCredential::Key(key),
        (Some(Scheme::Bearer), Some(token), None) => ApiCredential::Jwt(token),
        _ => ApiCredential::Unreadable,
    };
    Some(credential)
}

/// The token in `Authorization: Bearer …` of a proxy in front, which may write the scheme in any case
/// (RFC 9110 §11.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut words = only(headers, &AUTHORIZATION)?.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case("bearer") => Some(token),
        _ => None,
    }
}

/// A scheme in `Authorization` that Label Studio accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Token,
    Bearer,
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    let value = value.trim_ascii_start();
    let end = value.iter().position(u8::is_ascii_whitespace);
    let word = &value[..end.unwrap_or(value.len())];
    if word.eq_ignore_ascii_case(b"token") {
        Some(Scheme::Token)
    } else if word == b"Bearer" {
        Some(Scheme::Bearer)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn has_credential(name: &str, value: &str) -> bool {
        let request = TestRequest::get()
            .insert_header((name, value))
            .to_http_request();
        api_credential(request.headers()).is_some()
    }

    #[test]
    fn api_credentials_are_recognized_by_their_scheme() {
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
        for value in ["Basic YTpi", "Tokenabc", "bearer a.b.c", "Negotiate x", ""] {
            assert!(!has_credential("Authorization", value), "{value}");
        }
    }

    #[test]
    fn the_uri_comes_from_a_single_header() {
        let uri = |request: TestRequest| {
            let request = request.to_http_request();
            original_uri(Proxy::Nginx, request.head()).map(str::to_owned)
        };
        let original = ("X-Original-URI", "/projects/1?a=b");
        assert_eq!(
            uri(TestRequest::get().insert_header(original)).as_deref(),
            Some("/projects/1?a=b")
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
