//! `POST /api/sso/revoke`: an administrator ends all sessions of a user.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::context::RequestContext;
use super::event::Event;
use super::journal::Entry;
use super::token::{Answer, Call};
use super::traced::Traced;
use super::{Snapshot, to_the_end};
use crate::gate::issue::IssueError;
use crate::gate::reason::{Declined, Denied};
use crate::gate::{Ended, RevokeError, Revoked};

/// `POST /api/sso/revoke`
pub(super) async fn revoke(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    to_the_end(async move {
        let context = RequestContext::new(request.head(), &state);
        let answer = async || answer(&context, body).await;
        Traced::Revoke.answer(&context, answer).await
    })
    .await
}

async fn answer(
    context: &RequestContext<'_>,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    let mut call = Call::default();
    match revoked(context, body, &mut call).await {
        Ok(revoked) => {
            context.record(&entry(&call, &revoked));
            respond(&revoked)
        }
        Err(answer) => {
            context.record(&call.entry_of_answer(&answer, Event::RevocationRefused));
            answer.respond(context.state)
        }
    }
}

async fn revoked(
    context: &RequestContext<'_>,
    body: Result<web::Bytes, actix_web::Error>,
    call: &mut Call,
) -> Result<Revoked, Answer> {
    let admin = call.admin(context).await?;
    let email = call.email(body)?;
    match context.state.gate.revoke(&admin, &email).await {
        Ok(revoked) => {
            call.concerns(revoked.user_id);
            Ok(revoked)
        }
        Err(error) => {
            let error = match error {
                RevokeError::UserUnknown => IssueError::User {
                    reason: Denied::UserUnknown,
                    user_id: None,
                },
                RevokeError::NotSuperuser { user_id } => IssueError::NotSuperuser { user_id },
                RevokeError::Outage(outage) => IssueError::Outage(outage),
            };
            Err(call.declined(error, email))
        }
    }
}

/// The journal's entry about a revocation.
fn entry<'c>(call: &'c Call, revoked: &Revoked) -> Entry<'c> {
    match revoked.sessions {
        Ended::Rows(rows) => call
            .entry(Event::SessionsEnded)
            .ended(Some(rows), revoked.tokens),
        Ended::Cookies => call.entry(Event::SessionsEnded).ended(None, revoked.tokens),
        Ended::HasPassword => call
            .entry(Event::RevocationRefused)
            .because(Declined::UserHasPassword.code())
            .ended(None, revoked.tokens),
    }
}

fn respond(revoked: &Revoked) -> HttpResponse {
    let tokens = match revoked.tokens {
        true => "Tokens issued earlier are revoked",
        false => {
            "Tokens issued earlier stay valid until they expire. Run label-studio-gate migrate to create \
             the tables for revoking tokens"
        }
    };
    match revoked.sessions {
        Ended::Rows(sessions) => HttpResponse::Ok()
            .json(json!({"success": true, "sessions": sessions, "tokens_revoked": revoked.tokens, "detail": tokens})),
        // The number of signed cookies is unknown.
        Ended::Cookies => HttpResponse::Ok()
            .json(json!({"success": true, "tokens_revoked": revoked.tokens, "detail": tokens})),
        Ended::HasPassword => HttpResponse::build(StatusCode::CONFLICT).json(json!({
            "success": false,
            "error": "The user has a password. With signed cookies, their sessions end only if the \
                      password is changed or the user is deactivated",
            "error_code": "USER_HAS_PASSWORD",
            "tokens_revoked": revoked.tokens,
            "detail": tokens,
        })),
    }
}
