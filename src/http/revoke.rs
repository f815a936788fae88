//! `POST /api/sso/revoke`: an administrator ends all sessions of a user.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::token::{self, Answer};
use super::{Backend, State};
use crate::gate::Ended;
use crate::gate::identity::Identity;
use crate::gate::issue::IssueError;
use crate::gate::reason::Reason;
use crate::gate::user::Freshness;

/// `POST /api/sso/revoke`
pub(super) async fn revoke<P: Backend>(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<State<P>>,
) -> HttpResponse {
    match answer(&request, body, &state).await {
        Ok(response) => response,
        Err(answer) => answer.respond(),
    }
}

async fn answer<P: Backend>(
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: &State<P>,
) -> Result<HttpResponse, Answer> {
    let admin = token::admin(request, state).await?;
    let email = token::email(&body.map_err(|_| Answer::InvalidJson)?)?;
    let outage = |outage| Answer::from_error(IssueError::Outage(outage), String::new());
    let identity = Identity::Email(email.clone());
    let user = state.backend.find(&identity, Freshness::Current).await;
    let unknown = IssueError::User(Reason::UserUnknown);
    let user = user
        .map_err(outage)?
        .ok_or_else(|| Answer::from_error(unknown, email))?;
    let ended = state.gate.end_sessions_of(user.id).await.map_err(outage)?;
    tracing::info!(
        user_id = user.id,
        admin_id = admin.user_id(),
        ?ended,
        "sessions ended"
    );
    Ok(match ended {
        Ended::Rows(sessions) => HttpResponse::Ok().json(json!({"success": true, "sessions": sessions})),
        // How many cookies there are nobody knows.
        Ended::Cookies => HttpResponse::Ok().json(json!({"success": true})),
        Ended::HasPassword => HttpResponse::build(StatusCode::CONFLICT).json(json!({
            "success": false,
            "error": "The user has a password: with signed cookies only a change of it, or deactivating the user, ends their sessions",
            "error_code": "USER_HAS_PASSWORD",
        })),
    })
}
