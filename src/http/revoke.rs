//! `POST /api/sso/revoke`: an administrator ends all sessions of a user.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::token::{self, Answer};
use super::{Snapshot, State};
use crate::gate::issue::IssueError;
use crate::gate::reason::Denied;
use crate::gate::{Ended, RevokeError, Revoked};

/// `POST /api/sso/revoke`
pub(super) async fn revoke(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    match answer(&request, body, &state).await {
        Ok(response) => response,
        Err(answer) => answer.respond(),
    }
}

async fn answer(
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: &State,
) -> Result<HttpResponse, Answer> {
    let admin = token::admin(request, state).await?;
    let admin_id = admin.user_id();
    let email = token::email(&body.map_err(|_| Answer::InvalidJson)?)?;
    let revoked = state.gate.revoke(&admin, &email).await.map_err(|error| {
        let error = match error {
            RevokeError::UserUnknown => IssueError::User(Denied::UserUnknown),
            RevokeError::NotSuperuser { user_id } => {
                tracing::warn!(
                    user_id,
                    admin_id,
                    "revocation refused: only a superuser may revoke a superuser's sessions"
                );
                IssueError::NotSuperuser
            }
            RevokeError::Outage(outage) => IssueError::Outage(outage),
        };
        Answer::from_error(error, email)
    })?;
    let Revoked {
        user_id,
        sessions,
        tokens,
    } = revoked;
    if sessions == Ended::HasPassword {
        tracing::warn!(
            user_id,
            admin_id,
            tokens,
            "sessions not ended: the user has a password"
        );
    } else {
        tracing::info!(user_id, admin_id, ?sessions, tokens, "sessions ended");
    }
    Ok(respond(&revoked))
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
