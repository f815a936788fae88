//! `POST /api/sso/token`: a drop-in for the plugin's route, answer for answer.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client_address::client_address;
use super::{Backend, State};
use crate::gate::issue::{ApiCredential, IssueError, TokenIssuer};
use crate::gate::verdict::Reason;

/// An e-mail address has at most 254 bytes; nothing that is sent here has reason to be larger than this.
const BODY_LIMIT: usize = 16 * 1024;

/// How often the route may be asked.
#[derive(Debug, Clone, Copy)]
pub struct RateLimits {
    /// Tokens per second and API token; `None`: no limit.
    pub per_second: Option<NonZeroU32>,
    /// Wrong credentials per minute and client address; `None`: no limit.
    pub failures_per_minute: Option<NonZeroU32>,
}

/// The route's state.
pub struct TokenRoute<I> {
    issuer: I,
    issues: Option<DefaultKeyedRateLimiter<[u8; 32]>>,
    failures: Option<DefaultKeyedRateLimiter<String>>,
    blocked: moka::sync::Cache<String, ()>,
}

impl<I> TokenRoute<I> {
    /// Issues with `issuer`, as often as `limits` allow.
    pub fn new(issuer: I, limits: RateLimits) -> Self {
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

    /// Whether this API token has had its share of this second.
    fn may_issue(&self, credential: ApiCredential<'_>) -> Result<(), Answer> {
        let Some(limiter) = &self.issues else {
            return Ok(());
        };
        let (ApiCredential::Key(secret) | ApiCredential::Jwt(secret)) = credential;
        limiter
            .check_key(&Sha256::digest(secret.as_bytes()).into())
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

/// Everything that the route answers.
enum Answer {
    Token { token: String, expires_in: u64 },
    InvalidJson,
    EmailRequired,
    AuthenticationRequired,
    InvalidApiToken,
    LegacyTokensDisabled,
    JwtTokensDisabled,
    AdminRequired,
    NoSuchUser { reason: Reason, email: String },
    TooMany(Duration),
    Unavailable(Reason),
}

/// What stands before the token in `Authorization`, where Label Studio knows it.
fn credential(request: &HttpRequest) -> Result<ApiCredential<'_>, Answer> {
    let value = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or(Answer::AuthenticationRequired)?;
    // Django REST framework splits at any white space and takes the scheme in any case (`rest_framework/authentication.py`).
    let mut words = value.split_ascii_whitespace();
    let scheme = words.next().unwrap_or_default();
    let make = if scheme.eq_ignore_ascii_case("token") {
        ApiCredential::Key
    } else if scheme.eq_ignore_ascii_case("bearer") {
        ApiCredential::Jwt
    } else {
        return Err(Answer::AuthenticationRequired);
    };
    match (words.next(), words.next()) {
        (Some(secret), None) => Ok(make(secret)),
        _ => Err(Answer::InvalidApiToken),
    }
}

/// `POST /api/sso/token`
pub(super) async fn issue<P: Backend>(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: web::Data<State<P>>,
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

async fn answer<P: Backend>(
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    route: &TokenRoute<TokenIssuer<P, P>>,
) -> Result<Answer, Answer> {
    let address = client_address(request);
    let credential = credential(request)?;
    route.may_try(&address)?;
    route.may_issue(credential)?;
    let admin = route
        .issuer
        .authenticate(credential)
        .await
        .map_err(|error| {
            if error == IssueError::InvalidCredential {
                route.note_failure(address);
            }
            Answer::from_error(error, String::new())
        })?;
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

/// The address in `{"email": "…"}`. The `Content-Type` doesn't matter, as in the plugin.
fn email(body: &[u8]) -> Result<String, Answer> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => match object.get("email") {
            Some(Value::String(email)) if !email.is_empty() => Ok(email.clone()),
            _ => Err(Answer::EmailRequired),
        },
        Ok(_) | Err(_) => Err(Answer::InvalidJson),
    }
}

impl Answer {
    fn from_error(error: IssueError, email: String) -> Self {
        match error {
            IssueError::InvalidCredential => Self::InvalidApiToken,
            IssueError::LegacyTokensDisabled => Self::LegacyTokensDisabled,
            IssueError::JwtTokensDisabled => Self::JwtTokensDisabled,
            IssueError::NotAdmin => Self::AdminRequired,
            IssueError::User(reason) => Self::NoSuchUser { reason, email },
            IssueError::Outage(outage) => Self::Unavailable(outage.reason()),
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Token { .. } => StatusCode::OK,
            Self::InvalidJson | Self::EmailRequired => StatusCode::BAD_REQUEST,
            Self::AuthenticationRequired
            | Self::InvalidApiToken
            | Self::LegacyTokensDisabled
            | Self::JwtTokensDisabled => StatusCode::UNAUTHORIZED,
            Self::AdminRequired => StatusCode::FORBIDDEN,
            Self::NoSuchUser { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(self) -> Value {
        match self {
            Self::Token { token, expires_in } => json!({"token": token, "expires_in": expires_in}),
            Self::InvalidJson => json!({"error": "Invalid JSON"}),
            Self::EmailRequired => json!({"error": "Email required"}),
            Self::AuthenticationRequired => json!({"error": "Authentication required"}),
            Self::InvalidApiToken => json!({"error": "Invalid API token"}),
            Self::LegacyTokensDisabled => json!({"error": concat!(
                "Legacy API tokens are switched off for this organization. Use a personal access token of Label Studio as ",
                "'Authorization: Bearer <token>', switch legacy tokens on under Organization > API Tokens Settings, ",
                "or set token_issue.legacy_api_tokens to 'allow' in the gate."
            )}),
            Self::JwtTokensDisabled => json!({"error": concat!(
                "Personal access tokens are switched off for this organization. Use a legacy API token as ",
                "'Authorization: Token <token>', or switch them on under Organization > API Tokens Settings."
            )}),
            Self::AdminRequired => json!({"error": "Admin privileges required"}),
            Self::NoSuchUser { reason, email } => {
                let (error_code, what) = match reason {
                    Reason::UserInactive => ("USER_INACTIVE", "User is not active"),
                    Reason::UserRemoved => {
                        ("USER_REMOVED", "User was removed from the organization")
                    }
                    _ => ("USER_NOT_FOUND", "User not found"),
                };
                json!({
                    "success": false,
                    "error": format!("{what}: {email}"),
                    "error_code": error_code,
                    "email": email,
                })
            }
            Self::TooMany(_) => json!({"error": "Too many requests"}),
            Self::Unavailable(_) => json!({"error": "Service unavailable"}),
        }
    }

    fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        response.insert_header(("Cache-Control", "no-store"));
        match &self {
            Self::TooMany(wait) => {
                response.insert_header((RETRY_AFTER, wait.as_secs().max(1)));
            }
            Self::Unavailable(reason) => {
                response.insert_header(("X-Gate-Reason", reason.code()));
                response.insert_header((RETRY_AFTER, 1));
            }
            _ if self.status() == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Token, Bearer"));
            }
            _ => {}
        }
        response.json(self.body())
    }
}

/// Any method but `POST`.
pub(super) async fn method_not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, "POST"))
        .json(json!({"error": "Method not allowed"}))
}

/// How large a body may be.
pub(super) fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(BODY_LIMIT)
}
