//! `POST /sso/backchannel-logout`: an OpenID provider says that a session ended.
//!
//! In: a logout token. Out: 200, whether or not there was a session; or why the token proves nothing.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::openid::PROVIDER_LIMIT;
use crate::deadline::decide_within;
use crate::gate::openid::{Logout, LogoutRefused, NoSignIn};
use crate::gate::reason::Denied;
use crate::gate::session::EndedSessions;
use crate::gate::verdict::Whom;
use crate::http::context::RequestContext;
use crate::http::event::Event;
use crate::http::journal::Entry;
use crate::http::traced::Traced;
use crate::http::{Snapshot, to_the_end};

/// The body of a back-channel logout.
#[derive(Deserialize)]
pub(in crate::http) struct LogoutForm {
    logout_token: String,
}

/// `POST /sso/backchannel-logout`: OpenID Connect Back-Channel Logout 1.0 §2.5.
pub(in crate::http) async fn backchannel_logout(
    request: HttpRequest,
    logout: Result<web::Form<LogoutForm>, actix_web::Error>,
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

async fn told(context: &RequestContext<'_>, logout: Option<web::Form<LogoutForm>>) -> HttpResponse {
    let state = context.state;
    let openid = state.sign_in.as_ref();
    let Some(openid) = openid.filter(|openid| openid.backchannel_logout) else {
        return HttpResponse::NotFound().json(json!({"error": "Not found"}));
    };
    let Some(logout) = logout else {
        return not_ended(context, Denied::RequestMalformed.code(), None);
    };
    let now = state.gate.clock.now();
    let ended = async {
        let verified = openid.sign_in.end(&logout.logout_token, now, context);
        let logout = decide_within(PROVIDER_LIMIT, verified).await?;
        let sessions = state.gate.end_at_provider(&logout).await?;
        Ok((logout, sessions))
    };
    let refused: LogoutRefused<'_> = match ended.await {
        Ok((logout, sessions)) => {
            record_ended(context, &logout, &sessions);
            return HttpResponse::Ok().finish();
        }
        Err(refused) => refused,
    };
    match refused.why {
        NoSignIn::Outage(outage) => {
            context.record(&Entry::of_outage(outage).by_provider(refused.provider));
            HttpResponse::ServiceUnavailable()
                .insert_header((RETRY_AFTER, state.retry_after()))
                .json(json!({"error": "temporarily_unavailable"}))
        }
        NoSignIn::Refused(why) | NoSignIn::Provider { reason: why, .. } => {
            not_ended(context, why.code(), refused.provider)
        }
    }
}

/// One entry for each user whose sessions ended. If there was none, one for whom the token names.
fn record_ended(context: &RequestContext<'_>, logout: &Logout<'_>, sessions: &EndedSessions) {
    let nobody = EndedSessions::from([(None, 0)]);
    let sessions = if sessions.is_empty() {
        &nobody
    } else {
        sessions
    };
    for (user_id, count) in sessions {
        let whom = Whom {
            user_id: *user_id,
            identity: logout.subject.clone().filter(|_| user_id.is_none()),
            ..Whom::default()
        };
        let entry = Entry::new(Event::ProviderLogout).about(&whom);
        let entry = entry.by_provider(Some(logout.provider));
        context.record(&entry.ended_sessions(*count));
    }
}

/// A logout token that proves nothing: 400, or 429 after too many of them from one network.
fn not_ended(
    context: &RequestContext<'_>,
    reason: &'static str,
    provider: Option<&str>,
) -> HttpResponse {
    let entry = Entry::new(Event::ProviderLogoutRefused).because(reason);
    context.record(&entry.by_provider(provider));
    let limiter = &context.state.limiter;
    if let Err(wait) = limiter.count_failure(context.peer(), Instant::now()) {
        let seconds = wait.as_secs() + 1;
        return HttpResponse::build(StatusCode::TOO_MANY_REQUESTS)
            .insert_header((RETRY_AFTER, seconds))
            .json(json!({"error": "too_many_requests"}));
    }
    HttpResponse::BadRequest()
        .json(json!({"error": "invalid_request", "error_description": reason}))
}
