//! `[token_issue]`: `POST /api/sso/token`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::Seconds;

/// `POST /api/sso/token`, which issues tokens to administrators.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TokenIssue {
    /// How long an issued token is valid, in seconds.
    #[schemars(
        range(min = 1, max = 86_400),
        extend("default" = 600, "x-env" = ["SSO_TOKEN_EXPIRY"])
    )]
    pub expires_in: Seconds,
    /// Whether a token for an unknown address creates an account; needs `sql/role.sql` with
    /// `create_users`.
    #[schemars(extend("default" = false, "x-env" = ["SSO_AUTO_CREATE_USERS"]))]
    pub create_users: bool,
    /// Whether legacy API tokens may request tokens.
    #[schemars(extend("default" = "organization"))]
    pub legacy_api_tokens: LegacyTokens,
    /// Whether staff who are not superusers may request tokens for superusers and revoke their
    /// sessions.
    #[schemars(extend("default" = false))]
    pub staff_for_superusers: bool,
    /// Maximum number of tokens per second and administrator. 0: no limit.
    #[schemars(range(max = 1_000_000), extend("default" = 0))]
    pub rate_limit_per_second: u32,
    /// Maximum number of wrong API tokens per minute and peer address. 0: no limit.
    #[schemars(range(max = 1_000_000), extend("default" = 60))]
    pub failures_per_minute: u32,
}

/// Whether legacy API tokens count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LegacyTokens {
    /// As the organization's own switch says.
    Organization,
    /// Always.
    Allow,
}
