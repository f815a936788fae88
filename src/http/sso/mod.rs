//! `/sso/…`: whole answers to a browser, where the check answers a proxy. Signing in with a token, signing out, and the pages that people see.

mod page;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use self::page::{Language, Page};
use super::extract::Proxy;
use super::{Backend, State, extract};
use crate::gate::policy::local_path;
use crate::gate::reason::{Outage, Reason};
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::Rejection;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");

/// Where people are sent.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where they sign in: a URL of the application.
    pub sign_in: Option<url::Url>,
    /// The parameter of that URL that says where they came from.
    pub return_parameter: String,
    /// Where they are when they have signed out; a page of the gate's own without one.
    pub signed_out: Option<String>,
}

/// What `/sso/login` is given, in the query or as a form.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `GET /sso/login?token=…&next=…`
pub(super) async fn login_by_link<P: Backend>(
    request: HttpRequest,
    login: Result<web::Query<Login>, actix_web::Error>,
    state: web::Data<State<P>>,
) -> HttpResponse {
    login_with(&request, login.ok().map(web::Query::into_inner), &state).await
}

/// `POST /sso/login`
pub(super) async fn login_by_form<P: Backend>(
    request: HttpRequest,
    login: Result<web::Form<Login>, actix_web::Error>,
    state: web::Data<State<P>>,
) -> HttpResponse {
    login_with(&request, login.ok().map(web::Form::into_inner), &state).await
}

async fn login_with<P: Backend>(
    request: &HttpRequest,
    login: Option<Login>,
    state: &State<P>,
) -> HttpResponse {
    match login {
        Some(login) => sign_in(state, request, &login.token, local_path(&login.next)).await,
        None => show(state, request, Page::LinkExpired, Reason::RequestMalformed),
    }
}

/// A page was asked for with a token in its address: the browser is sent to the same address without it.
pub(super) async fn login_by_address<P: Backend>(
    request: HttpRequest,
    state: web::Data<State<P>>,
) -> HttpResponse {
    let Some(uri) = extract::original_uri(Proxy::Nginx, &request) else {
        return show(&state, &request, Page::NotAllowed, Reason::RequestMalformed);
    };
    let Some((token, next)) = state.gate.token_in(uri) else {
        return show(&state, &request, Page::LinkExpired, Reason::NoToken);
    };
    sign_in(&state, &request, &token, local_path(&next)).await
}

async fn sign_in<P: Backend>(
    state: &State<P>,
    request: &HttpRequest,
    token: &str,
    next: &str,
) -> HttpResponse {
    let Some(subrequest) = extract::of_browser(request, next, &state.trusted_proxies) else {
        return show(state, request, Page::LinkExpired, Reason::RequestMalformed);
    };
    let verdict = state.gate.sign_in(token, &subrequest).await;
    let reason = match &verdict {
        Ok(grant) => grant.reason(),
        Err(rejection) => rejection.reason(),
    };
    state.metrics.count_sign_in(reason);
    let admits = || state.logs_refusal_of(request);
    match verdict {
        Ok(grant) => {
            let path = subrequest.path();
            let signed_in = match grant.login() {
                Some(login) => {
                    let (user_id, method) = (login.user_id, login.method);
                    tracing::info!(reason = reason.code(), user_id, method, path, "signed in");
                    true
                }
                // Whoever comes back to an old link and is still signed in goes on.
                None => {
                    if admits() {
                        tracing::info!(reason = reason.code(), path, "token not accepted");
                    }
                    is_signed_in(state, &subrequest).await
                }
            };
            let cookies = grant.cookies();
            let cookies = [&cookies.session, &cookies.token_deletion];
            let mut response = match signed_in {
                true => see_other(next),
                false => show(state, request, Page::LinkExpired, reason),
            };
            for cookie in cookies.into_iter().flatten() {
                append_cookie(&mut response, cookie);
            }
            response
        }
        Err(Rejection::SignInRequired(_)) => {
            if admits() {
                tracing::info!(reason = reason.code(), "token not accepted");
            }
            show(state, request, Page::LinkExpired, reason)
        }
        Err(Rejection::Denial(_)) => {
            if admits() {
                tracing::warn!(reason = reason.code(), "refused");
            }
            show(state, request, Page::NotKnown, reason)
        }
        Err(Rejection::Outage(outage)) => unavailable(state, request, outage),
    }
}

async fn is_signed_in<P: Backend>(state: &State<P>, subrequest: &Subrequest<'_>) -> bool {
    matches!(state.gate.has_living_session(subrequest).await, Ok(true))
}

/// `GET /sso/logout`, `POST /sso/logout`
pub(super) async fn logout<P: Backend>(
    request: HttpRequest,
    state: web::Data<State<P>>,
) -> HttpResponse {
    let Some(subrequest) = extract::of_browser(&request, "/", &state.trusted_proxies) else {
        return show(&state, &request, Page::NotAllowed, Reason::RequestMalformed);
    };
    match state.gate.sign_out(&subrequest).await {
        Ok(cookies) => {
            tracing::info!("signed out");
            let there = state.places.signed_out.as_deref();
            let mut response = see_other(there.unwrap_or("/sso/signed-out"));
            for cookie in cookies {
                append_cookie(&mut response, &cookie);
            }
            response
        }
        Err(outage) => unavailable(&state, &request, outage),
    }
}

/// `GET /sso/signed-out`: where `/sso/logout` leads when nothing else is configured.
pub(super) async fn signed_out<P: Backend>(
    request: HttpRequest,
    state: web::Data<State<P>>,
) -> HttpResponse {
    show(&state, &request, Page::SignedOut, Reason::NoToken)
}

/// What nginx shows where the check answered 401: pages are sent to the application's sign-in, everything else gets 401.
pub(super) async fn sign_in_required<P: Backend>(
    request: HttpRequest,
    state: web::Data<State<P>>,
) -> HttpResponse {
    let reason = reason_of_the_check(&request).unwrap_or(Reason::SignInRequired);
    match (&state.places.sign_in, is_page_request(&request)) {
        (Some(url), true) => see_other(sign_in_url(&state, Proxy::Nginx, &request, url).as_str()),
        _ => show(&state, &request, Page::SignInRequired, reason),
    }
}

/// What nginx shows where the check answered 403.
pub(super) async fn refused<P: Backend>(
    request: HttpRequest,
    state: web::Data<State<P>>,
) -> HttpResponse {
    let reason = reason_of_the_check(&request).unwrap_or(Reason::RequestMalformed);
    show(&state, &request, Page::of_denial(reason), reason)
}

/// What the visitor sees where a proxy hands the check's own answer on. Its status is that of the check, so that pages are sent to the application's
/// sign-in by themselves.
pub(super) fn rejected<P: Backend>(
    state: &State<P>,
    proxy: Proxy,
    request: &HttpRequest,
    rejection: &Rejection,
) -> HttpResponse {
    let reason = rejection.reason();
    match (rejection, &state.places.sign_in) {
        (Rejection::SignInRequired(_), Some(url)) => {
            let url = sign_in_url(state, proxy, request, url);
            show_with(state, request, Page::SignInRequired, reason, Some(&url))
        }
        (Rejection::SignInRequired(_), None) => show(state, request, Page::SignInRequired, reason),
        (Rejection::Denial(_), _) => show(state, request, Page::of_denial(reason), reason),
        (Rejection::Outage(_), _) => show(state, request, Page::Unavailable, reason),
    }
}

/// The application's sign-in, which leads back.
fn sign_in_url<P: Backend>(
    state: &State<P>,
    proxy: Proxy,
    request: &HttpRequest,
    url: &url::Url,
) -> url::Url {
    let mut url = url.clone();
    if let Some(back) = way_back(state, proxy, request) {
        url.query_pairs_mut()
            .append_pair(&state.places.return_parameter, &back);
    }
    url
}

/// The address that was asked for, without a token in it.
fn way_back<P: Backend>(state: &State<P>, proxy: Proxy, request: &HttpRequest) -> Option<String> {
    let uri = extract::original_uri(proxy, request)?;
    let path = state
        .gate
        .token_in(uri)
        .map_or_else(|| uri.to_owned(), |(_, clean)| clean);
    let host = extract::original_host(proxy, request)?;
    let scheme = match extract::forwarded_proto(request) {
        Some("https") => "https",
        _ => "http",
    };
    Some(format!("{scheme}://{host}{}", local_path(&path)))
}

/// What the check said, as nginx hands it on.
fn reason_of_the_check(request: &HttpRequest) -> Option<Reason> {
    let code = request.headers().get(X_GATE_REASON)?.to_str().ok()?;
    Reason::ALL
        .iter()
        .copied()
        .find(|reason| reason.code() == code)
}

/// Whether a person waits for a page, and not a script for data.
fn is_page_request(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

fn unavailable<P: Backend>(
    state: &State<P>,
    request: &HttpRequest,
    outage: Outage,
) -> HttpResponse {
    let reason = outage.reason();
    tracing::error!(reason = reason.code(), "cannot decide: {outage}");
    show(state, request, Page::Unavailable, reason)
}

/// A page for people, JSON for everything else. Both carry an id by which the log line of the proxy can be found.
fn show<P: Backend>(
    state: &State<P>,
    request: &HttpRequest,
    page: Page,
    reason: Reason,
) -> HttpResponse {
    show_with(state, request, page, reason, None)
}

/// The same, with a page that goes on to `next` by itself.
fn show_with<P: Backend>(
    state: &State<P>,
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
    let language = request.headers().get(ACCEPT_LANGUAGE);
    let language = Language::preferred(language.and_then(|value| value.to_str().ok()));
    response
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header(("Content-Security-Policy", page::CONTENT_SECURITY_POLICY))
        .insert_header(("Content-Language", language.code()))
        .content_type("text/html; charset=utf-8")
        .body(page.html(language, &id, next))
}

/// nginx' `$request_id`, or one of our own.
fn request_id<P: Backend>(state: &State<P>, request: &HttpRequest) -> String {
    let given = request.headers().get(X_REQUEST_ID);
    let given = given
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()));
    given.map_or_else(|| state.entropy.hex(), str::to_owned)
}

/// 303: whatever the method was, the next one is GET. The address that had the token is not told to anybody.
fn see_other(there: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, there))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish()
}

fn append_cookie(response: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
