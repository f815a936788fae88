//! `POST /sso/backchannel-logout`: an OpenID provider says that a session ended.
//!
//! In: a logout token. Out: 200, whether or not there was a session; or why the token proves nothing.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::openid::PROVIDER_LIMIT;
use crate::deadline::decide_within;
use crate::gate::openid::NoSignIn;
use crate::gate::reason::Denied;
use crate::http::context::RequestContext;
use crate::http::event::Event;
use crate::http::journal::Entry;
use crate::http::traced::Traced;
use crate::http::{Snapshot, to_the_end};

/// The body of a back-channel logout.
#[derive(Deserialize)]
pub(in crate::http) struct Logout {
    logout_token: String,
}

/// `POST /sso/backchannel-logout`: OpenID Connect Back-Channel Logout 1.0 §2.5.
pub(in crate::http) async fn backchannel_logout(
    request: HttpRequest,
    logout: Result<web::Form<Logout>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let mut response = to_the_end(async move {
        let context = RequestContext::new(request.head(), &state);
        let answer = async || told(&context, logout.ok()).await;
        Traced::SignIn.answer(&context, answer).await
    })
    .await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

async fn told(context: &RequestContext<'_>, logout: Option<web::Form<Logout>>) -> HttpResponse {
    let state = context.state;
    let openid = state.sign_in.as_ref();
    let Some(openid) = openid.filter(|openid| openid.backchannel_logout) else {
        return HttpResponse::NotFound().json(json!({"error": "Not found"}));
    };
    let Some(logout) = logout else {
        return not_ended(context, Denied::RequestMalformed.code());
    };
    let now = state.gate.clock.now();
    let ended = async {
        let verified = openid.sign_in.end(&logout.logout_token, now, context);
        let (issuer, ended) = decide_within(PROVIDER_LIMIT, verified).await?;
        Ok(state.gate.end_at_provider(issuer, &ended).await?)
    };
    match ended.await {
        Ok(sessions) => {
            context.record(&Entry::new(Event::ProviderLogout).ended(Some(sessions), false));
            HttpResponse::Ok().finish()
        }
        Err(NoSignIn::Outage(outage)) => {
            context.record(&Entry::of_outage(outage));
            HttpResponse::ServiceUnavailable().json(json!({"error": "temporarily_unavailable"}))
        }
        Err(NoSignIn::Refused(why) | NoSignIn::Provider { reason: why, .. }) => {
            not_ended(context, why.code())
        }
    }
}

/// A logout token that proves nothing: 400, or 429 after too many of them from one network.
fn not_ended(context: &RequestContext<'_>, reason: &'static str) -> HttpResponse {
    context.record(&Entry::new(Event::ProviderLogoutRefused).because(reason));
    if let Err(wait) = context.state.token.count_failure(context.peer()) {
        let seconds = wait.as_secs() + 1;
        return HttpResponse::build(StatusCode::TOO_MANY_REQUESTS)
            .insert_header((RETRY_AFTER, seconds))
            .json(json!({"error": "too_many_requests"}));
    }
    HttpResponse::BadRequest()
        .json(json!({"error": "invalid_request", "error_description": reason}))
}
