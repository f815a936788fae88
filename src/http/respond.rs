//! The answer to a proxy.
//!
//! In: a grant or a rejection. Out: a response in the terms of that kind of proxy. A grant is 200,
//! never 204, because Envoy and ingress-nginx's keepalive path accept nothing else. nginx passes
//! 401 and 403 on and turns other errors into 500; the shipped files make a 503 of that.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    COOKIE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::json;

use super::State;
use super::context::{RequestContext, X_REQUEST_ID};
use super::extract::Proxy;
use crate::gate::reason::{Denied, Reason};
use crate::gate::verdict::{Grant, Rejection};

pub(super) const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");
const X_GATE_COOKIE: HeaderName = HeaderName::from_static("x-gate-cookie");
const X_GATE_SET_COOKIE_1: HeaderName = HeaderName::from_static("x-gate-set-cookie-1");
const X_GATE_SET_COOKIE_2: HeaderName = HeaderName::from_static("x-gate-set-cookie-2");
pub(super) const X_GATE_USER_ID: HeaderName = HeaderName::from_static("x-gate-user-id");
const X_GATE_EMAIL: HeaderName = HeaderName::from_static("x-gate-email");
pub(super) const X_GATE_METHOD: HeaderName = HeaderName::from_static("x-gate-method");

/// The answer to a granted request. `own` is the request's `Cookie` header, which some proxies drop
/// if the answer has none.
pub(super) fn granted(proxy: Proxy, grant: &Grant, own: &[u8]) -> HttpResponse {
    let mut response = start(StatusCode::OK, grant.reason());
    if let Some(user) = grant.user() {
        response.insert_header((X_GATE_USER_ID, user.id()));
        append(&mut response, X_GATE_EMAIL, Some(user.email().as_bytes()));
    }
    if let Some(method) = grant.logged_in_by() {
        let method = HeaderValue::from_static(method.as_str());
        response.insert_header((X_GATE_METHOD, method));
    }
    let cookies = grant.cookies();
    let session = cookies.session.as_deref().map(str::as_bytes);
    let deletion = cookies.token_deletion.as_deref().map(str::as_bytes);
    match proxy {
        // These copy named headers. Each cookie has its own header, because nginx joins equal ones.
        Proxy::Nginx | Proxy::Caddy => {
            append(&mut response, X_GATE_COOKIE, cookies.request.as_deref());
            append(&mut response, X_GATE_SET_COOKIE_1, session);
            append(&mut response, X_GATE_SET_COOKIE_2, deletion);
        }
        // These replace the request's `Cookie` and copy `Set-Cookie`. ingress-nginx gets one only,
        // because its template would join two into a broken header.
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
    // With auth-keepalive, ingress-nginx sends the check from Lua, which looks headers up by their
    // exact spelling (lua-nginx-module, ngx.location.capture).
    if proxy == Proxy::IngressNginx {
        response.head_mut().set_camel_case_headers(true);
    }
    response
}

/// Whether this kind of proxy passes a rejection through to the browser. nginx replaces it.
pub(super) const fn passes_rejections(proxy: Proxy) -> bool {
    match proxy {
        Proxy::Nginx | Proxy::IngressNginx => false,
        Proxy::Caddy | Proxy::Traefik | Proxy::Envoy => true,
    }
}

/// The answer to a rejected request.
pub(super) fn rejected(state: &State, rejection: &Rejection) -> HttpResponse {
    let status = match rejection {
        Rejection::Denial(_) => StatusCode::FORBIDDEN,
        Rejection::SignInRequired(_) => StatusCode::UNAUTHORIZED,
        Rejection::Outage(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = start(status, rejection.reason());
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, challenge(rejection.reason())));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((RETRY_AFTER, state.retry_after()));
    }
    response.finish()
}

/// Adds the deletion of the token's cookie to `response`, if the token proved useless.
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

/// Adds the request's ID to `response`, if it is the gate's own. nginx's shipped files leave it to the gate to
/// make one. Traefik gives requests none, and removes the request's if the answer has none.
pub(super) fn with_id(
    proxy: Proxy,
    mut response: HttpResponse,
    context: &RequestContext<'_>,
) -> HttpResponse {
    if (proxy == Proxy::Traefik || context.given_id().is_none())
        && let Ok(id) = HeaderValue::from_str(context.id())
    {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// The answer to an ambiguous request target.
pub(super) fn not_canonical() -> HttpResponse {
    start(StatusCode::BAD_REQUEST, Denied::RequestMalformed.into())
        .json(json!({"error": "The request target is not canonical"}))
}

/// The `WWW-Authenticate` challenge (RFC 6750 §3): the scheme alone without a credential, an error
/// code with an unacceptable one.
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

/// Appends a header, unless its value is invalid. Only an email address can be: cookies come from a
/// header or are plain ASCII.
fn append(response: &mut HttpResponseBuilder, name: HeaderName, value: Option<&[u8]>) {
    if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
        response.append_header((name, value));
    }
}
