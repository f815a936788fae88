//! The answers of the token route: the plugin's answers, word for word, and four of the gate's own
//! (`docs/decisions/0004-token-route-answers.md`).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::gate::issue::IssueError;
use crate::gate::reason::{Declined, Denied, Outage};
use crate::http::State;

/// An answer of the token route.
pub(in crate::http) enum Answer {
    Token {
        token: String,
        expires_in: u64,
    },
    InvalidJson,
    EmailRequired,
    AuthenticationRequired,
    InvalidApiToken,
    LegacyTokensDisabled,
    JwtTokensDisabled,
    NotAdmin,
    NotSuperuser,
    NoSuchUser {
        reason: Denied,
        email: String,
    },
    /// After so many seconds, another call may succeed.
    TooMany(u64),
    Unavailable(Outage),
}

impl Answer {
    pub(in crate::http) fn from_error(error: IssueError, email: String) -> Self {
        match error {
            IssueError::InvalidCredential => Self::InvalidApiToken,
            IssueError::LegacyTokensDisabled { .. } => Self::LegacyTokensDisabled,
            IssueError::JwtTokensDisabled => Self::JwtTokensDisabled,
            IssueError::NotAdmin { .. } => Self::NotAdmin,
            IssueError::NotSuperuser { .. } => Self::NotSuperuser,
            IssueError::User { reason, .. } => Self::NoSuchUser { reason, email },
            IssueError::Outage(outage) => Self::Unavailable(outage),
        }
    }

    /// Why the call is declined; `None` if a token is issued.
    pub(in crate::http) const fn reason(&self) -> Option<&'static str> {
        let declined = match self {
            Self::Token { .. } => return None,
            Self::NoSuchUser { reason, .. } => return Some(reason.code()),
            Self::Unavailable(outage) => return Some(outage.code()),
            Self::InvalidJson | Self::EmailRequired => Declined::BodyInvalid,
            Self::AuthenticationRequired => Declined::NoApiToken,
            Self::InvalidApiToken => Declined::ApiTokenInvalid,
            Self::LegacyTokensDisabled => Declined::LegacyTokensDisabled,
            Self::JwtTokensDisabled => Declined::JwtTokensDisabled,
            Self::NotAdmin => Declined::NotAdmin,
            Self::NotSuperuser => Declined::NotSuperuser,
            Self::TooMany(_) => Declined::TooManyRequests,
        };
        Some(declined.code())
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Token { .. } => StatusCode::OK,
            Self::InvalidJson | Self::EmailRequired => StatusCode::BAD_REQUEST,
            Self::AuthenticationRequired
            | Self::InvalidApiToken
            | Self::LegacyTokensDisabled
            | Self::JwtTokensDisabled => StatusCode::UNAUTHORIZED,
            Self::NotAdmin | Self::NotSuperuser => StatusCode::FORBIDDEN,
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
                "Legacy API tokens are switched off for this organization. Use a personal access token of ",
                "Label Studio as 'Authorization: Bearer <token>', enable legacy tokens under ",
                "Organization > API Tokens Settings, or set token_issue.legacy_api_tokens to 'allow' ",
                "in the gate."
            )}),
            Self::JwtTokensDisabled => json!({"error": concat!(
                "Personal access tokens are switched off for this organization. Use a legacy API ",
                "token as 'Authorization: Token <token>', or enable personal access tokens under ",
                "Organization > API Tokens Settings."
            )}),
            Self::NotAdmin | Self::NotSuperuser => json!({"error": "Admin privileges required"}),
            Self::NoSuchUser { reason, email } => {
                let (error_code, what) = match reason {
                    Denied::UserInactive => ("USER_INACTIVE", "User is not active"),
                    Denied::UserRemoved => {
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

    pub(in crate::http) fn respond(self, state: &State) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        response.insert_header(("Cache-Control", "no-store"));
        match &self {
            Self::TooMany(seconds) => {
                response.insert_header((RETRY_AFTER, *seconds));
            }
            Self::Unavailable(reason) => {
                response.insert_header(("X-Gate-Reason", reason.code()));
                response.insert_header((RETRY_AFTER, state.retry_after()));
            }
            _ if self.status() == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Token, Bearer"));
            }
            _ => {}
        }
        response.json(self.body())
    }
}
