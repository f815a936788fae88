//! `/sso/…`: signing in with a token (`sign_in`) or at an OpenID provider (`openid`), signing out, also by
//! a provider (`backchannel`), and the pages that users see (`show`).
//!
//! In: a request that a proxy forwards to the gate. Out: a complete answer to the browser: a
//! redirect with cookies, a page, or JSON for scripts. The check, in contrast, answers the proxy.

mod backchannel;
mod html;
mod language;
mod openid;
mod page;
mod show;
mod sign_in;
mod texts;

use std::borrow::Cow;

use actix_web::dev::RequestHead;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE,
};
use actix_web::{HttpRequest, HttpResponse};

pub(super) use self::backchannel::backchannel_logout;
pub use self::html::Pages;
pub use self::openid::OpenId;
pub(super) use self::openid::{callback, named_callback, start, start_by_form};
use self::page::Page;
use self::show::{Notice, is_navigation, own_path};
pub(super) use self::sign_in::{login_by_address, login_by_form, login_by_link};
use super::context::RequestContext;
use super::extract::Proxy;
use super::journal::Entry;
use super::respond::X_GATE_REASON;
use super::{Snapshot, extract};
use crate::gate::reason::{Denied, Granted, Reason};
use crate::gate::verdict::{Grant, Rejection};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

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
    let context = RequestContext::new(request.head(), &state);
    let notice = Notice::new(&context);
    let Some(subrequest) = extract::of_browser(&context, "/") else {
        return notice.because(Denied::RequestMalformed);
    };
    match state
        .decided(state.gate.sign_out(&subrequest, &context))
        .await
    {
        Ok(None) => notice.show(Page::ConfirmSignOut, Denied::CrossSiteRequest),
        Ok(Some(ended)) => {
            let provider = match (&state.sign_in, &ended.provider) {
                (Some(openid), Some(at)) => Box::pin(openid::after_sign_out(openid, at)).await,
                _ => None,
            };
            let location = provider
                .as_deref()
                .or(state.redirects.signed_out.as_deref());
            let mut response = see_other(&context, location.unwrap_or("/sso/signed-out"));
            for cookie in ended.cookies {
                append_cookie(&mut response, &cookie);
            }
            response
        }
        Err(outage) => {
            context.record(&Entry::of_outage(outage));
            notice.because(outage)
        }
    }
}

/// `GET /sso/signed-out`: where `/sso/logout` leads when nothing else is configured.
pub(super) async fn signed_out(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    Notice::new(&context).show(Page::SignedOut, Granted::NoToken)
}

/// What nginx shows after a 401 from the check: pages redirect to the host application's sign-in
/// page, other requests get 401.
pub(super) async fn sign_in_required(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    let reason = match reason_of_check(&context) {
        Some(reason @ (Reason::CredentialError(_) | Reason::SignInRequired)) => reason,
        _ => Reason::SignInRequired,
    };
    let notice = Notice::of_proxy(&context, Proxy::Nginx);
    // A page tells the page around it first, and redirects itself.
    let is_told = is_framed(context.request) && !state.pages.trusted_origins.is_empty();
    let redirects =
        Page::of(reason).leads_to_sign_in() && is_navigation(context.request) && !is_told;
    match notice.sign_in_url() {
        Some(url) if redirects => see_other(&context, &url),
        _ => notice.redirecting().because(reason),
    }
}

/// What nginx shows after a 403 from the check.
pub(super) async fn refused(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    let denied = match reason_of_check(&context) {
        Some(Reason::Denied(denied)) => denied,
        _ => Denied::RequestMalformed,
    };
    Notice::of_proxy(&context, Proxy::Nginx).because(denied)
}

/// What nginx shows after a check that the gate could not decide.
pub(super) async fn undecided(request: HttpRequest, state: Snapshot) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    let reason = match reason_of_check(&context) {
        Some(reason @ Reason::Outage(_)) => reason,
        _ => Denied::RequestMalformed.into(),
    };
    Notice::of_proxy(&context, Proxy::Nginx).because(reason)
}

/// The answer for a proxy that passes the auth response through to the browser. It keeps the status
/// of the check, so the page itself redirects to the host application's sign-in page.
pub(super) fn rejected(
    context: &RequestContext<'_>,
    proxy: Proxy,
    rejection: &Rejection,
) -> HttpResponse {
    let notice = Notice::of_proxy(context, proxy);
    match rejection {
        Rejection::SignInRequired(_) => notice.redirecting().because(rejection.reason()),
        Rejection::Denial(_) | Rejection::Outage(_) => notice.because(rejection.reason()),
    }
}

/// The reason of the check, which nginx passes on. That check is in the journal under the same ID.
fn reason_of_check(context: &RequestContext<'_>) -> Option<Reason> {
    let headers = context.request.headers();
    let code = headers.get(X_GATE_REASON)?.to_str().ok()?;
    let reason = Reason::from_code(code);
    context.has_entry.set(reason.is_some());
    reason
}

/// Whether the page is for a frame (Fetch Metadata §2.1). Browsers say so over HTTPS, and over HTTP
/// on loopback.
fn is_framed(request: &RequestHead) -> bool {
    matches!(
        extract::only(request.headers(), &SEC_FETCH_DEST),
        Some("iframe" | "frame")
    )
}

/// Longest `Location` in bytes: with the cookies, it must fit into the proxy's buffer (32 kB in the shipped
/// files). Characters that a URL escapes make it three times as long as the request's own.
const MAX_LOCATION: usize = 16 * 1024;

/// Redirects with 303, so the next request is GET whatever the method was. `no-referrer` keeps the
/// URL with the token from other sites. Too long a URL leads to Label Studio's start page.
fn see_other(context: &RequestContext<'_>, location: &str) -> HttpResponse {
    let location = match location.len() <= MAX_LOCATION {
        true => Cow::Borrowed(location),
        false => own_path(context, "/").into(),
    };
    HttpResponse::SeeOther()
        .insert_header((LOCATION, &*location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish()
}

/// Sets the cookies of a login.
fn append_cookies(response: &mut HttpResponse, grant: &Grant) {
    let cookies = grant.cookies();
    let cookies = [&cookies.session, &cookies.token_deletion];
    for cookie in cookies.into_iter().flatten() {
        append_cookie(response, cookie);
    }
}

fn append_cookie(response: &mut HttpResponse, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
