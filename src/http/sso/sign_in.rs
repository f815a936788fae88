//! Signing in with a token: `/sso/login`, and pages whose URL contains a token.
//!
//! In: a token and the page to open afterwards. Out: a redirect to that page with a session cookie,
//! or a page that says why the token was not accepted.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::page::Page;
use super::show::Notice;
use super::{append_cookie, see_other, unavailable};
use crate::gate::policy::local_path;
use crate::gate::reason::{Denied, Granted};
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::{Grant, Rejection};
use crate::http::extract::Proxy;
use crate::http::{Snapshot, State, extract};

/// The parameters of `/sso/login`, in the query or in a form.
#[derive(Deserialize)]
pub(in crate::http) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `GET /sso/login?token=…&next=…`
pub(in crate::http) async fn login_by_link(
    request: HttpRequest,
    login: Result<web::Query<Login>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    login_with(&request, login.ok().map(web::Query::into_inner), &state).await
}

/// `POST /sso/login`
pub(in crate::http) async fn login_by_form(
    request: HttpRequest,
    login: Result<web::Form<Login>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    login_with(&request, login.ok().map(web::Form::into_inner), &state).await
}

async fn login_with(request: &HttpRequest, login: Option<Login>, state: &State) -> HttpResponse {
    match login {
        Some(login) => sign_in(state, request, &login.token, local_path(&login.next)).await,
        None => Notice::new(state, request).show(Page::LinkIncomplete, Denied::RequestMalformed),
    }
}

/// A page whose URL contains a token: signs in and redirects to the same URL without the token.
pub(in crate::http) async fn login_by_address(
    request: HttpRequest,
    state: Snapshot,
) -> HttpResponse {
    let Some(uri) = extract::original_uri(Proxy::Nginx, &request) else {
        return Notice::new(&state, &request).because(Denied::RequestMalformed);
    };
    let Some((token, next)) = state.gate.token_in(uri) else {
        return Notice::new(&state, &request).show(Page::LinkIncomplete, Granted::NoToken);
    };
    sign_in(&state, &request, &token, local_path(&next)).await
}

async fn sign_in(state: &State, request: &HttpRequest, token: &str, next: &str) -> HttpResponse {
    let notice = Notice::new(state, request).about(next);
    let Some(subrequest) = extract::of_browser(request, next, &state.trusted_proxies) else {
        return notice.show(Page::LinkIncomplete, Denied::RequestMalformed);
    };
    let begun = Instant::now();
    let verdict = state.decided(state.gate.sign_in(token, &subrequest)).await;
    state.metrics.count_sign_in(&verdict, begun.elapsed());
    match verdict {
        Ok(grant) => granted(state, &notice, request, &grant, &subrequest, next).await,
        Err(rejection) => rejected(state, &notice, request, &rejection),
    }
}

async fn granted(
    state: &State,
    notice: &Notice<'_>,
    request: &HttpRequest,
    grant: &Grant,
    subrequest: &Subrequest<'_>,
    next: &str,
) -> HttpResponse {
    let (reason, path) = (grant.reason(), subrequest.path());
    let is_signed_in = match grant.login() {
        Some(login) => {
            let (user_id, method) = (login.user_id, login.method.as_str());
            tracing::info!(reason = reason.code(), user_id, method, path, "signed in");
            true
        }
        // A user who opens an old link and is still signed in may continue.
        None => {
            if state.logs_refusal_of(request) {
                tracing::info!(reason = reason.code(), path, "token rejected");
            }
            let living = state.decided(state.gate.has_living_session(subrequest));
            matches!(living.await, Ok(true))
        }
    };
    let mut response = match is_signed_in {
        true => see_other(next),
        false => notice.because(reason),
    };
    let cookies = grant.cookies();
    let cookies = [&cookies.session, &cookies.token_deletion];
    for cookie in cookies.into_iter().flatten() {
        append_cookie(&mut response, cookie);
    }
    response
}

fn rejected(
    state: &State,
    notice: &Notice<'_>,
    request: &HttpRequest,
    rejection: &Rejection,
) -> HttpResponse {
    let reason = rejection.reason();
    match rejection {
        Rejection::SignInRequired(_) => {
            if state.logs_refusal_of(request) {
                tracing::info!(reason = reason.code(), "token rejected");
            }
            notice.because(reason)
        }
        Rejection::Denial(_) => {
            if state.logs_refusal_of(request) {
                tracing::warn!(reason = reason.code(), "refused");
            }
            notice.because(reason)
        }
        Rejection::Outage(outage) => unavailable(notice, *outage),
    }
}
