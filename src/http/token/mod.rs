//! `POST /api/sso/token`: a drop-in for the plugin's route, answer for answer.

mod answer;

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

pub(super) use self::answer::Answer;
use super::limiter::{Limiter, RateLimits};
use super::peer_address::PeerAddress;
use super::{State, extract};
use crate::gate::issue::{Admin, IssueError, TokenIssuer};
use crate::gate::verify::ApiCredential;

/// An e-mail address has at most 254 bytes; nothing that is sent here has reason to be larger than this.
const BODY_LIMIT: usize = 16 * 1024;

/// The route's state.
pub struct TokenRoute {
    issuer: TokenIssuer,
    limiter: Limiter,
}

impl TokenRoute {
    /// Issues with `issuer`, as often as `limits` allow.
    pub fn new(issuer: TokenIssuer, limits: RateLimits) -> Self {
        Self {
            issuer,
            limiter: Limiter::new(limits),
        }
    }
}

/// What the caller shows: `Authorization` alone, as in the plugin.
fn credential(request: &HttpRequest) -> Result<ApiCredential<'_>, Answer> {
    extract::authorization(request.headers()).ok_or(Answer::AuthenticationRequired)
}

/// `POST /api/sso/token`
pub(super) async fn issue(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<State>,
) -> HttpResponse {
    let answer = match answer(&request, body, &state).await {
        Ok(answer) | Err(answer) => answer,
    };
    let response = answer.respond();
    state
        .metrics
        .count_token_request(response.status().as_u16());
    response
}

async fn answer(
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: &State,
) -> Result<Answer, Answer> {
    let admin = admin(request, state).await?;
    let limiter = &state.token.limiter;
    limiter.may_issue(&admin).map_err(Answer::TooMany)?;
    let email = email(&body.map_err(|_| Answer::InvalidJson)?)?;
    match state.token.issuer.issue(&admin, &email).await {
        Ok(issued) => {
            tracing::info!(
                user_id = issued.user_id,
                admin_id = admin.user_id(),
                expires_in = issued.expires_in,
                "token issued"
            );
            Ok(Answer::Token {
                token: issued.token,
                expires_in: issued.expires_in,
            })
        }
        Err(error) => Err(Answer::from_error(error, email)),
    }
}

/// The administrator whose API token the request carries.
pub(super) async fn admin(request: &HttpRequest, state: &State) -> Result<Admin, Answer> {
    let credential = credential(request)?;
    let admin = state.token.issuer.authenticate(credential).await;
    admin.map_err(|error| match error {
        IssueError::InvalidCredential => {
            wrong_credential(state, state.trusted_proxies.peer_address(request))
        }
        error => Answer::from_error(error, String::new()),
    })
}

/// What a wrong credential is answered: 401, or 429 once its caller has been wrong too often.
fn wrong_credential(state: &State, caller: PeerAddress) -> Answer {
    match state.token.limiter.count_failure(caller, Instant::now()) {
        Ok(()) => Answer::InvalidApiToken,
        Err(too_often) => {
            if too_often.first {
                tracing::warn!(%caller, "too many wrong API tokens");
            }
            Answer::TooMany(too_often.wait)
        }
    }
}

/// The address in `{"email": "…"}`. The `Content-Type` doesn't matter, as in the plugin.
pub(super) fn email(body: &[u8]) -> Result<String, Answer> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => match object.get("email") {
            // Postgres has no NUL in a text.
            Some(Value::String(email)) if !email.is_empty() && !email.contains('\0') => {
                Ok(email.clone())
            }
            _ => Err(Answer::EmailRequired),
        },
        Ok(_) | Err(_) => Err(Answer::InvalidJson),
    }
}

/// How large a body may be.
pub(super) fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(BODY_LIMIT)
}
