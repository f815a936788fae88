//! `POST /api/sso/token`: issues tokens to administrators, as a drop-in replacement for the
//! plugin's route.
//!
//! In: an administrator's API token and the email address of a user. Out: a token for that user, or
//! one of the answers in [`Answer`].

mod answer;

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

pub(super) use self::answer::Answer;
use super::limiter::{Limiter, RateLimits};
use super::peer_address::PeerAddress;
use super::{Snapshot, State, extract};
use crate::gate::issue::{Admin, IssueError, TokenIssuer};
use crate::gate::verify::ApiCredential;

/// Maximum size of a body. An email address has at most 254 bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// The route's state.
pub struct TokenRoute {
    issuer: TokenIssuer,
    limiter: Limiter,
}

impl TokenRoute {
    /// Issues tokens with `issuer`, within `limits`.
    pub fn new(issuer: TokenIssuer, limits: RateLimits) -> Self {
        Self {
            issuer,
            limiter: Limiter::new(limits),
        }
    }
}

/// The caller's credential: `Authorization` only, as in the plugin.
fn credential(request: &HttpRequest) -> Result<ApiCredential<'_>, Answer> {
    extract::authorization(request.headers()).ok_or(Answer::AuthenticationRequired)
}

/// `POST /api/sso/token`
pub(super) async fn issue(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let begun = Instant::now();
    let answer = match answer(&request, body, &state).await {
        Ok(answer) | Err(answer) => answer,
    };
    let response = answer.respond();
    let status = response.status().as_u16();
    state.metrics.count_token_request(status, begun.elapsed());
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
    let issued = state.decided(state.token.issuer.issue(&admin, &email));
    match issued.await {
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
    let admin = state.decided(state.token.issuer.authenticate(credential));
    admin.await.map_err(|error| match error {
        IssueError::InvalidCredential => {
            wrong_credential(state, state.trusted_proxies.peer_address(request))
        }
        error => Answer::from_error(error, String::new()),
    })
}

/// The answer to a wrong credential: 401, or 429 after too many of them from one network.
fn wrong_credential(state: &State, caller: PeerAddress) -> Answer {
    match state.token.limiter.count_failure(caller, Instant::now()) {
        Ok(()) => Answer::InvalidApiToken,
        Err(exceeded) => {
            if exceeded.first {
                tracing::warn!(%caller, "too many wrong API tokens");
            }
            Answer::TooMany(exceeded.wait)
        }
    }
}

/// The address in `{"email": "…"}`. As in the plugin, the `Content-Type` does not matter.
pub(super) fn email(body: &[u8]) -> Result<String, Answer> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => match object.get("email") {
            // Postgres does not accept NUL in text.
            Some(Value::String(email)) if !email.is_empty() && !email.contains('\0') => {
                Ok(email.clone())
            }
            _ => Err(Answer::EmailRequired),
        },
        Ok(_) | Err(_) => Err(Answer::InvalidJson),
    }
}

/// The size limit for bodies.
pub(super) fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(BODY_LIMIT)
}
