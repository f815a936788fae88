//! What the proxy is answered.
//!
//! 200, never 204: Envoy and ingress-nginx's keepalive path accept nothing else. nginx passes on 401 and 403 and turns the rest into 500.

use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};

use crate::gate::reason::Reason;
use crate::gate::verdict::{Grant, Rejection};

const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");
const X_GATE_COOKIE: HeaderName = HeaderName::from_static("x-gate-cookie");
const X_GATE_SET_COOKIE_1: HeaderName = HeaderName::from_static("x-gate-set-cookie-1");
const X_GATE_SET_COOKIE_2: HeaderName = HeaderName::from_static("x-gate-set-cookie-2");
const X_GATE_USER_ID: HeaderName = HeaderName::from_static("x-gate-user-id");
const X_GATE_EMAIL: HeaderName = HeaderName::from_static("x-gate-email");
const X_GATE_METHOD: HeaderName = HeaderName::from_static("x-gate-method");

/// The kinds of proxy, by how they carry cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    /// nginx and Caddy copy named headers: each cookie has one of its own, since nginx joins equal ones.
    Named,
    /// ingress-nginx takes `Cookie` for the request and copies one `Set-Cookie`: of two its template would make one broken header.
    IngressNginx,
    /// Traefik and Envoy take `Cookie` for the request and copy every `Set-Cookie`.
    Plain,
}

/// Go on. `own` is the request's own `Cookie` header, which some proxies drop where the answer has none.
pub(super) fn granted(proxy: Proxy, grant: &Grant, own: &[u8]) -> HttpResponse {
    let mut response = start(StatusCode::OK, grant.reason());
    if let Some(login) = grant.login() {
        response.insert_header((X_GATE_USER_ID, login.user_id));
        response.insert_header((X_GATE_METHOD, login.method));
        append(&mut response, X_GATE_EMAIL, Some(login.email.as_bytes()));
    }
    let cookies = grant.cookies();
    let session = cookies.session.as_deref().map(str::as_bytes);
    let deletion = cookies.token_deletion.as_deref().map(str::as_bytes);
    match proxy {
        Proxy::Named => {
            append(&mut response, X_GATE_COOKIE, cookies.request.as_deref());
            append(&mut response, X_GATE_SET_COOKIE_1, session);
            append(&mut response, X_GATE_SET_COOKIE_2, deletion);
        }
        Proxy::IngressNginx | Proxy::Plain => {
            let request = cookies.request.as_deref().unwrap_or(own);
            append(
                &mut response,
                COOKIE,
                Some(request).filter(|cookie| !cookie.is_empty()),
            );
            let most = if proxy == Proxy::Plain { 2 } else { 1 };
            for cookie in session.into_iter().chain(deletion).take(most) {
                append(&mut response, SET_COOKIE, Some(cookie));
            }
        }
    }
    response.finish()
}

/// Not granted.
pub(super) fn rejected(proxy: Proxy, rejection: &Rejection) -> HttpResponse {
    let (status, token_deletion) = match rejection {
        Rejection::Denial(denial) => (StatusCode::FORBIDDEN, denial.token_deletion.as_deref()),
        Rejection::SignInRequired(denial) => {
            (StatusCode::UNAUTHORIZED, denial.token_deletion.as_deref())
        }
        Rejection::Outage(_) => (StatusCode::SERVICE_UNAVAILABLE, None),
    };
    let mut response = start(status, rejection.reason());
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, challenge(rejection.reason())));
    }
    let name = match proxy {
        Proxy::Named => X_GATE_SET_COOKIE_2,
        Proxy::IngressNginx | Proxy::Plain => SET_COOKIE,
    };
    append(&mut response, name, token_deletion.map(str::as_bytes));
    response.finish()
}

/// RFC 6750 §3: without a credential the scheme alone, with one that is not acceptable what is wrong with it.
pub(super) fn challenge(reason: Reason) -> &'static str {
    match reason {
        Reason::SignInRequired | Reason::NoToken => "Bearer realm=\"Label Studio\"",
        _ => "Bearer realm=\"Label Studio\", error=\"invalid_token\"",
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
