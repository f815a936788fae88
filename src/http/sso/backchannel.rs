//! `POST /sso/backchannel-logout`: an OpenID provider says that a session ended.
//!
//! In: a logout token. Out: 200, whether or not there was a session; 400 and the reason if the token
//! proves nothing; 503 if the gate can't verify it now or can't end the sessions. Afterwards, with 200,
//! no gate accepts the sessions that the token names.

use std::time::Instant;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::openid::{OpenId, PROVIDER_LIMIT};
use crate::deadline::decide_within;
use crate::gate::openid::{Logout, LogoutRefused, NoSignIn};
use crate::gate::reason::Denied;
use crate::gate::session::EndedSessions;
use crate::gate::verdict::Principal;
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
    form: Result<web::Form<LogoutForm>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let mut response = to_the_end(async move {
        let context = RequestContext::new(request.head(), &state);
        let answer = async || answer(&context, form.ok()).await;
        Traced::SignIn.answer(&context, answer).await
    })
    .await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

async fn answer(context: &RequestContext<'_>, form: Option<web::Form<LogoutForm>>) -> HttpResponse {
    let state = context.state;
    let openid = state.sign_in.as_ref();
    let Some(openid) = openid.filter(|openid| openid.backchannel_logout) else {
        return HttpResponse::NotFound().json(json!({"error": "Not found"}));
    };
    let Some(form) = form else {
        return refuse(context, Denied::RequestMalformed.code(), None);
    };
    match end_sessions(context, openid, &form.logout_token).await {
        Ok((logout, sessions)) => {
            record_ended(context, &logout, &sessions);
            HttpResponse::Ok().finish()
        }
        Err(LogoutRefused { provider, why }) => match why {
            NoSignIn::Outage(outage) => {
                context.record(&Entry::of_outage(outage).by_provider(provider));
                HttpResponse::ServiceUnavailable()
                    .insert_header((RETRY_AFTER, state.retry_after()))
                    .json(json!({"error": "temporarily_unavailable"}))
            }
            NoSignIn::Refused(reason) | NoSignIn::Provider { reason, .. } => {
                refuse(context, reason.code(), provider)
            }
        },
    }
}

/// Verifies the logout token within the time limit for providers, and ends the sessions that it names
/// without one: each has to be ended, however many there are.
async fn end_sessions<'s>(
    context: &RequestContext<'s>,
    openid: &'s OpenId,
    logout_token: &str,
) -> Result<(Logout<'s>, EndedSessions), LogoutRefused<'s>> {
    let gate = &context.state.gate;
    let verified = openid.sign_in.end(logout_token, gate.clock.now(), context);
    let logout = decide_within(PROVIDER_LIMIT, verified).await?;
    let sessions = gate.end_at_provider(&logout).await?;
    Ok((logout, sessions))
}

/// One entry for each user whose sessions ended; if there was none, one for the user that the token
/// names.
fn record_ended(context: &RequestContext<'_>, logout: &Logout<'_>, sessions: &EndedSessions) {
    let nobody = EndedSessions::from([(None, 0)]);
    let sessions = if sessions.is_empty() {
        &nobody
    } else {
        sessions
    };
    for (user_id, count) in sessions {
        let principal = Principal {
            user_id: *user_id,
            identity: logout.subject.clone().filter(|_| user_id.is_none()),
            ..Principal::default()
        };
        let entry = Entry::new(Event::ProviderLogout).about(&principal);
        let entry = entry.by_provider(Some(logout.provider));
        context.record(&entry.ended_sessions(*count));
    }
}

/// A logout token that proves nothing: 400, or 429 after too many of them from one network.
fn refuse(
    context: &RequestContext<'_>,
    reason: &'static str,
    provider: Option<&str>,
) -> HttpResponse {
    let entry = Entry::new(Event::ProviderLogoutRefused).because(reason);
    context.record(&entry.by_provider(provider));
    let limiter = &context.state.limiter;
    match limiter.count_failure(context.peer(), Instant::now()) {
        Ok(()) => HttpResponse::BadRequest()
            .json(json!({"error": "invalid_request", "error_description": reason})),
        Err(seconds) => HttpResponse::TooManyRequests()
            .insert_header((RETRY_AFTER, seconds))
            .json(json!({"error": "too_many_requests"})),
    }
}
