//! `POST /api/sso/token`: a drop-in for the plugin's route, answer for answer.

mod answer;

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::Value;

pub(super) use self::answer::Answer;
use super::client_address::client_address;
use super::{State, extract};
use crate::gate::issue::{Admin, IssueError, TokenIssuer};
use crate::gate::verify::ApiCredential;

/// An e-mail address has at most 254 bytes; nothing that is sent here has reason to be larger than this.
const BODY_LIMIT: usize = 16 * 1024;

/// How often the route may be asked.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Tokens per second and administrator; `None`: no limit.
    pub per_second: Option<NonZeroU32>,
    /// Wrong credentials per minute and client address; `None`: no limit.
    pub failures_per_minute: Option<NonZeroU32>,
}

/// The route's state.
pub struct TokenRoute {
    issuer: TokenIssuer,
    issues: Option<DefaultKeyedRateLimiter<i32>>,
    failures: Option<DefaultKeyedRateLimiter<String>>,
    blocked: moka::sync::Cache<String, ()>,
}

impl TokenRoute {
    /// Issues with `issuer`, as often as `limits` allow.
    pub fn new(issuer: TokenIssuer, limits: RateLimits) -> Self {
        Self {
            issuer,
            issues: limits
                .per_second
                .map(|n| RateLimiter::keyed(Quota::per_second(n))),
            failures: limits
                .failures_per_minute
                .map(|n| RateLimiter::keyed(Quota::per_minute(n))),
            blocked: moka::sync::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(BLOCKED_FOR)
                .build(),
        }
    }

    /// Whether this administrator has had their share of this second.
    fn may_issue(&self, admin: &Admin) -> Result<(), Answer> {
        let Some(limiter) = &self.issues else {
            return Ok(());
        };
        limiter
            .check_key(&admin.user_id())
            .map_err(|until| Answer::TooMany(until.wait_time_from(DefaultClock::default().now())))
    }

    /// Whether this address has guessed too often.
    fn may_try(&self, address: &str) -> Result<(), Answer> {
        if self.blocked.contains_key(address) {
            return Err(Answer::TooMany(BLOCKED_FOR));
        }
        Ok(())
    }

    fn note_failure(&self, address: String) {
        if let Some(limiter) = &self.failures {
            // Addresses that have been quiet are forgotten, so that many of them don't fill the memory.
            if limiter.len() > 10_000 {
                limiter.retain_recent();
            }
            if limiter.check_key(&address).is_err() {
                tracing::warn!(address, "too many wrong API tokens");
                self.blocked.insert(address, ());
            }
        }
    }
}

/// How long an address that guessed too often waits.
const BLOCKED_FOR: Duration = Duration::from_secs(10);

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
    let answer = match answer(&request, body, &state.token).await {
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
    route: &TokenRoute,
) -> Result<Answer, Answer> {
    let admin = admin(request, route).await?;
    route.may_issue(&admin)?;
    let email = email(&body.map_err(|_| Answer::InvalidJson)?)?;
    match route.issuer.issue(&admin, &email).await {
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
pub(super) async fn admin(request: &HttpRequest, route: &TokenRoute) -> Result<Admin, Answer> {
    let address = client_address(request);
    let credential = credential(request)?;
    route.may_try(&address)?;
    let admin = route.issuer.authenticate(credential).await;
    admin.map_err(|error| {
        if error == IssueError::InvalidCredential {
            route.note_failure(address);
        }
        Answer::from_error(error, String::new())
    })
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
