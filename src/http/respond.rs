//! What the proxy is answered.
//!
//! 200, never 204: Envoy and ingress-nginx's keepalive path accept nothing else. nginx passes on 401 and 403 and turns the rest into 500.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
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

/// For nginx, which copies headers into variables and joins equal ones, so each cookie has a header of its own.
pub(super) mod nginx {
    use super::*;

    /// Go on.
    pub(crate) fn granted(grant: &Grant) -> HttpResponse {
        let mut response = start(StatusCode::OK, grant.reason());
        if let Some(login) = grant.login() {
            response.insert_header((X_GATE_USER_ID, login.user_id));
            response.insert_header((X_GATE_METHOD, login.method));
            insert(&mut response, X_GATE_EMAIL, Some(login.email.as_bytes()));
        }
        let cookies = grant.cookies();
        insert(&mut response, X_GATE_COOKIE, cookies.request.as_deref());
        let session = cookies.session.as_deref().map(str::as_bytes);
        insert(&mut response, X_GATE_SET_COOKIE_1, session);
        let deletion = cookies.token_deletion.as_deref().map(str::as_bytes);
        insert(&mut response, X_GATE_SET_COOKIE_2, deletion);
        response.finish()
    }
}

/// Not granted, for every proxy.
pub(super) fn rejected(rejection: &Rejection) -> HttpResponse {
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
    insert(
        &mut response,
        X_GATE_SET_COOKIE_2,
        token_deletion.map(str::as_bytes),
    );
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
fn insert(response: &mut HttpResponseBuilder, name: HeaderName, value: Option<&[u8]>) {
    if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
        response.insert_header((name, value));
    }
}
