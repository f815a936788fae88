//! What the proxy is answered.
//!
//! 200, never 204: Envoy and ingress-nginx's keepalive path accept nothing else. nginx passes on 401 and 403 and turns the rest into 500.

use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::json;

use super::extract::Proxy;
use crate::gate::reason::{Denied, Reason};
use crate::gate::verdict::{Grant, Rejection};

const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");
const X_GATE_COOKIE: HeaderName = HeaderName::from_static("x-gate-cookie");
const X_GATE_SET_COOKIE_1: HeaderName = HeaderName::from_static("x-gate-set-cookie-1");
const X_GATE_SET_COOKIE_2: HeaderName = HeaderName::from_static("x-gate-set-cookie-2");
const X_GATE_USER_ID: HeaderName = HeaderName::from_static("x-gate-user-id");
const X_GATE_EMAIL: HeaderName = HeaderName::from_static("x-gate-email");
const X_GATE_METHOD: HeaderName = HeaderName::from_static("x-gate-method");

/// Go on. `own` is the request's own `Cookie` header, which some proxies drop where the answer has none.
pub(super) fn granted(proxy: Proxy, grant: &Grant, own: &[u8]) -> HttpResponse {
    let mut response = start(StatusCode::OK, grant.reason());
    if let Some(login) = grant.login() {
        response.insert_header((X_GATE_USER_ID, login.user_id));
        response.insert_header((X_GATE_METHOD, login.method.as_str()));
        append(&mut response, X_GATE_EMAIL, Some(login.email.as_bytes()));
    }
    let cookies = grant.cookies();
    let session = cookies.session.as_deref().map(str::as_bytes);
    let deletion = cookies.token_deletion.as_deref().map(str::as_bytes);
    match proxy {
        // These copy named headers: each cookie has one of its own, since nginx joins equal ones.
        Proxy::Nginx | Proxy::Caddy => {
            append(&mut response, X_GATE_COOKIE, cookies.request.as_deref());
            append(&mut response, X_GATE_SET_COOKIE_1, session);
            append(&mut response, X_GATE_SET_COOKIE_2, deletion);
        }
        // These take `Cookie` for the request and copy `Set-Cookie`. Of two, ingress-nginx's template would make one broken header.
        Proxy::IngressNginx | Proxy::Traefik | Proxy::Envoy => {
            let request = cookies.request.as_deref().unwrap_or(own);
            append(
                &mut response,
                COOKIE,
                Some(request).filter(|cookie| !cookie.is_empty()),
            );
            let most = if proxy == Proxy::IngressNginx { 1 } else { 2 };
            for cookie in session.into_iter().chain(deletion).take(most) {
                append(&mut response, SET_COOKIE, Some(cookie));
            }
        }
    }
    let mut response = response.finish();
    // With auth-keepalive ingress-nginx asks in Lua, which finds headers by their names as they were written (lua-nginx-module, ngx.location.capture).
    if proxy == Proxy::IngressNginx {
        response.head_mut().set_camel_case_headers(true);
    }
    response
}

/// Whether a proxy of that kind hands an answer that is no 200 on to the visitor as it is; nginx makes an answer of its own.
pub(super) const fn is_shown(proxy: Proxy) -> bool {
    match proxy {
        Proxy::Nginx | Proxy::IngressNginx => false,
        Proxy::Caddy | Proxy::Traefik | Proxy::Envoy => true,
    }
}

/// Not granted.
pub(super) fn rejected(rejection: &Rejection) -> HttpResponse {
    let status = match rejection {
        Rejection::Denial(_) => StatusCode::FORBIDDEN,
        Rejection::SignInRequired(_) => StatusCode::UNAUTHORIZED,
        Rejection::Outage(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = start(status, rejection.reason());
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, challenge(rejection.reason())));
    }
    response.finish()
}

/// The answer to a rejected request, which deletes the token's cookie where that has proved useless.
pub(super) fn without_token(
    proxy: Proxy,
    mut response: HttpResponse,
    rejection: &Rejection,
) -> HttpResponse {
    let name = match proxy {
        Proxy::Nginx => X_GATE_SET_COOKIE_2,
        Proxy::IngressNginx | Proxy::Caddy | Proxy::Traefik | Proxy::Envoy => SET_COOKIE,
    };
    if let Some(Ok(deletion)) = rejection.token_deletion().map(HeaderValue::from_str) {
        response.headers_mut().append(name, deletion);
    }
    response
}

/// A request target that could be read in two ways.
pub(super) fn not_canonical() -> HttpResponse {
    start(StatusCode::BAD_REQUEST, Denied::RequestMalformed.into())
        .json(json!({"error": "The request target is not canonical"}))
}

/// RFC 6750 §3: without a credential the scheme alone, with one that is not acceptable what is wrong with it.
pub(super) fn challenge(reason: Reason) -> &'static str {
    match reason {
        Reason::CredentialError(_) => "Bearer realm=\"Label Studio\", error=\"invalid_token\"",
        Reason::Granted(_) | Reason::SignInRequired | Reason::Denied(_) | Reason::Outage(_) => {
            "Bearer realm=\"Label Studio\""
        }
    }
}

fn start(status: StatusCode, reason: Reason) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((X_GATE_REASON, HeaderValue::from_static(reason.code())));
    response
}

/// A value that is no header value stays out. Only an e-mail address could be one: cookies come from a header, or are made of plain ASCII.
fn append(response: &mut HttpResponseBuilder, name: HeaderName, value: Option<&[u8]>) {
    if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
        response.append_header((name, value));
    }
}
