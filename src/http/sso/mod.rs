//! `/sso/…`: signing in with a token, signing out, and the pages that users see.
//!
//! In: a request that a proxy forwards to the gate. Out: a complete answer to the browser: a
//! redirect with cookies, a page, or JSON for scripts. The check, in contrast, answers the proxy.

mod page;
mod sign_in;
mod texts;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse};

use self::page::Page;
pub use self::page::Pages;
pub(super) use self::sign_in::{login_by_address, login_by_form, login_by_link};
use super::extract::Proxy;
use super::{Snapshot, State, extract};
use crate::gate::policy::local_path;
use crate::gate::reason::{Denied, Granted, Outage, Reason};
use crate::gate::verdict::Rejection;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");

/// Where users are sent.
#[derive(Debug, Clone, Default)]
pub struct Redirects {
    /// Sign-in page of the host application.
    pub sign_in: Option<url::Url>,
    /// The parameter that tells the sign-in page where the user came from.
    pub return_parameter: String,
    /// Where `/sso/logout` leads; `None`: a page of the gate.
    pub signed_out: Option<String>,
    /// Public URL of Label Studio, whose origin is used for URLs that lead back. `None`: the origin
    /// of the request is used, which the proxy must have checked.
    pub label_studio: Option<url::Url>,
}

/// `GET /sso/logout`, `POST /sso/logout`
pub(super) async fn logout(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let Some(subrequest) = extract::of_browser(&request, "/", &state.trusted_proxies) else {
        return show(
            &state,
            &request,
            Page::NotAllowed,
            Denied::RequestMalformed.into(),
        );
    };
    match state.gate.sign_out(&subrequest).await {
        Ok(None) => {
            let reason = Denied::CrossSiteRequest.into();
            show(&state, &request, Page::ConfirmSignOut, reason)
        }
        Ok(Some(cookies)) => {
            tracing::info!("signed out");
            let location = state.redirects.signed_out.as_deref();
            let mut response = see_other(location.unwrap_or("/sso/signed-out"));
            for cookie in cookies {
                append_cookie(&mut response, &cookie);
            }
            response
        }
        Err(outage) => unavailable(&state, &request, outage),
    }
}

/// `GET /sso/signed-out`: where `/sso/logout` leads when nothing else is configured.
pub(super) async fn signed_out(request: HttpRequest, state: Snapshot) -> HttpResponse {
    show(&state, &request, Page::SignedOut, Granted::NoToken.into())
}

/// What nginx shows after a 401 from the check: pages redirect to the host application's sign-in
/// page, other requests get 401.
pub(super) async fn sign_in_required(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let reason = reason_of_check(&request).unwrap_or(Reason::SignInRequired);
    match (&state.redirects.sign_in, is_page_request(&request)) {
        (Some(url), true) => see_other(sign_in_url(&state, Proxy::Nginx, &request, url).as_str()),
        _ => show(&state, &request, Page::SignInRequired, reason),
    }
}

/// What nginx shows after a 403 from the check.
pub(super) async fn refused(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let denied = match reason_of_check(&request) {
        Some(Reason::Denied(denied)) => denied,
        _ => Denied::RequestMalformed,
    };
    show(&state, &request, Page::of_denial(denied), denied.into())
}

/// The answer for a proxy that passes the auth response through to the browser. It keeps the status
/// of the check, so the page itself redirects to the host application's sign-in page.
pub(super) fn rejected(
    state: &State,
    proxy: Proxy,
    request: &HttpRequest,
    rejection: &Rejection,
) -> HttpResponse {
    let reason = rejection.reason();
    match (rejection, &state.redirects.sign_in) {
        (Rejection::SignInRequired(_), Some(url)) => {
            let url = sign_in_url(state, proxy, request, url);
            show_with(state, request, Page::SignInRequired, reason, Some(&url))
        }
        (Rejection::SignInRequired(_), None) => show(state, request, Page::SignInRequired, reason),
        (Rejection::Denial(denial), _) => {
            show(state, request, Page::of_denial(denial.reason()), reason)
        }
        (Rejection::Outage(_), _) => show(state, request, Page::Unavailable, reason),
    }
}

/// The URL of the sign-in page, with the return address as a parameter.
fn sign_in_url(state: &State, proxy: Proxy, request: &HttpRequest, url: &url::Url) -> url::Url {
    let mut url = url.clone();
    if let Some(back) = return_url(state, proxy, request) {
        url.query_pairs_mut()
            .append_pair(&state.redirects.return_parameter, &back);
    }
    url
}

/// The requested URL without the token.
fn return_url(state: &State, proxy: Proxy, request: &HttpRequest) -> Option<String> {
    let uri = extract::original_uri(proxy, request)?;
    let path = state
        .gate
        .token_in(uri)
        .map_or_else(|| uri.to_owned(), |(_, clean)| clean);
    let path = local_path(&path);
    if let Some(url) = &state.redirects.label_studio {
        return Some(format!("{}{path}", url.origin().ascii_serialization()));
    }
    let host = extract::original_host(proxy, request)?;
    let scheme = match extract::forwarded_proto(request) {
        Some("https") => "https",
        _ => "http",
    };
    Some(format!("{scheme}://{host}{path}"))
}

/// The reason of the check, which nginx passes on.
fn reason_of_check(request: &HttpRequest) -> Option<Reason> {
    let code = request.headers().get(X_GATE_REASON)?.to_str().ok()?;
    Reason::from_code(code)
}

/// Whether a browser requests a page, not a script data.
fn is_page_request(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

fn unavailable(state: &State, request: &HttpRequest, outage: Outage) -> HttpResponse {
    tracing::error!(reason = outage.code(), "cannot decide: {outage}");
    show(state, request, Page::Unavailable, outage.into())
}

/// A page for browsers, JSON for other requests. Both contain the request ID, which finds the
/// proxy's log line.
fn show(state: &State, request: &HttpRequest, page: Page, reason: Reason) -> HttpResponse {
    show_with(state, request, page, reason, None)
}

/// Like [`show`], with a page that redirects to `next`.
fn show_with(
    state: &State,
    request: &HttpRequest,
    page: Page,
    reason: Reason,
    next: Option<&url::Url>,
) -> HttpResponse {
    let id = request_id(state, request);
    let mut response = HttpResponse::build(page.status());
    response
        .insert_header((X_GATE_REASON, HeaderValue::from_static(reason.code())))
        .insert_header((X_REQUEST_ID, id.as_str()))
        .insert_header((CACHE_CONTROL, "no-store"));
    if page.status() == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, super::respond::challenge(reason)));
    }
    if !is_page_request(request) {
        return response.json(page.json(reason, &id));
    }
    let language = page::language(request);
    response
        .insert_header((REFERRER_POLICY, page.referrer_policy()))
        .insert_header((
            "Content-Security-Policy",
            page.content_security_policy(&state.pages),
        ))
        .insert_header(("Content-Language", language.texts().code))
        .content_type("text/html; charset=utf-8")
        .body(page.html(language, &id, next))
}

/// nginx's `$request_id`, or a random ID.
fn request_id(state: &State, request: &HttpRequest) -> String {
    let given = request.headers().get(X_REQUEST_ID);
    let given = given
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()));
    given.map_or_else(|| state.entropy.hex(), str::to_owned)
}

/// Redirects with 303, so the next request is GET whatever the method was. `no-referrer` keeps the
/// URL with the token from other sites.
fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish()
}

fn append_cookie(response: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
