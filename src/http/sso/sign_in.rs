//! Signing in with a token: `/sso/login`, and pages whose URL contains a token.
//!
//! In: a token and the page to open afterwards. Out: a redirect to that page with a session cookie,
//! or a page that says why the token was not accepted.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::openid::take_over;
use super::page::Page;
use super::show::Notice;
use super::{append_cookies, see_other};
use crate::gate::policy::local_path;
use crate::gate::reason::{Denied, Granted};
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::Grant;
use crate::http::context::RequestContext;
use crate::http::extract::Proxy;
use crate::http::journal::Entry;
use crate::http::traced::Traced;
use crate::http::{Snapshot, extract};

/// The parameters of `/sso/login`, in the query or in a form.
#[derive(Deserialize)]
pub(in crate::http) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
    /// What a window that signed in at an OpenID provider gave to a page in a frame, which posts it.
    handover: Option<String>,
}

/// `GET /sso/login?token=…&next=…`
pub(in crate::http) async fn login_by_link(
    request: HttpRequest,
    login: Result<web::Query<Login>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let login = login.ok().map(web::Query::into_inner);
    let context = RequestContext::new(request.head(), &state);
    let answer = async || login_with(&context, login).await;
    Traced::SignIn.answer(&context, answer).await
}

/// `POST /sso/login`
pub(in crate::http) async fn login_by_form(
    request: HttpRequest,
    login: Result<web::Form<Login>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let login = login.ok().map(web::Form::into_inner);
    let context = RequestContext::new(request.head(), &state);
    let handover = login.as_ref().and_then(|login| login.handover.clone());
    let answer = async || match &handover {
        Some(handover) => Box::pin(take_over(&context, handover)).await,
        None => login_with(&context, login).await,
    };
    Traced::SignIn.answer(&context, answer).await
}

async fn login_with(context: &RequestContext<'_>, login: Option<Login>) -> HttpResponse {
    match login {
        Some(login) => sign_in(context, &login.token, local_path(&login.next)).await,
        None => Notice::new(context).show(Page::LinkIncomplete, Denied::RequestMalformed),
    }
}

/// A page whose URL contains a token: signs in and redirects to the same URL without the token.
pub(in crate::http) async fn login_by_address(
    request: HttpRequest,
    state: Snapshot,
) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    let Some(uri) = extract::original_uri(Proxy::Nginx, context.request) else {
        return Notice::new(&context).because(Denied::RequestMalformed);
    };
    let Some((token, next)) = state.gate.token_in(uri) else {
        return Notice::new(&context).show(Page::LinkIncomplete, Granted::NoToken);
    };
    let answer = async || sign_in(&context, &token, local_path(&next)).await;
    Traced::SignIn.answer(&context, answer).await
}

async fn sign_in(context: &RequestContext<'_>, token: &str, next: &str) -> HttpResponse {
    let state = context.state;
    let notice = Notice::new(context).about(next);
    let Some(subrequest) = extract::of_browser(context, next) else {
        return notice.show(Page::LinkIncomplete, Denied::RequestMalformed);
    };
    let begun = Instant::now();
    let verdict = state.gate.sign_in(token, &subrequest, context);
    let verdict = state.decided(verdict).await;
    context.record(&Entry::of_verdict(&verdict).at(Some(subrequest.path())));
    state.metrics.count_sign_in(&verdict, begun.elapsed());
    match verdict {
        Ok(grant) => granted(context, &notice, &grant, &subrequest, next).await,
        Err(rejection) => notice.because(rejection.reason()),
    }
}

async fn granted(
    context: &RequestContext<'_>,
    notice: &Notice<'_>,
    grant: &Grant,
    subrequest: &Subrequest<'_>,
    next: &str,
) -> HttpResponse {
    // A user who opens an old link and is still signed in may continue.
    let state = context.state;
    let living = state.decided(state.gate.has_living_session(subrequest, context));
    let is_signed_in = grant.logged_in_by().is_some() || matches!(living.await, Ok(true));
    let mut response = match is_signed_in {
        true => see_other(context, next),
        false => notice.because(grant.reason()),
    };
    append_cookies(&mut response, grant);
    response
}
