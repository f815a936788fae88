//! `[native]`: method 2, tokens that the gate itself or Label Studio issued.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::input::Input;
use super::token_issue::TokenIssue;
use super::types::Seconds;
use crate::gate::issue::OTHER_CLAIMS;

/// Method 2: tokens issued by the gate itself, and Label Studio's own API tokens.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Native {
    /// Whether tokens issued by `POST /api/sso/token` log in.
    #[schemars(extend("default" = true))]
    pub enabled: bool,
    /// Whether Label Studio's own API tokens log in too: access tokens (valid for 5 minutes) and
    /// personal access tokens (valid for 200 years).
    #[schemars(extend("default" = false, "x-env" = ["JWT_SSO_VERIFY_NATIVE_TOKEN"]))]
    pub api_tokens: bool,
    /// The claim that holds the user's primary key.
    #[schemars(
        length(min = 1),
        extend("default" = "user_id", "x-env" = ["JWT_SSO_NATIVE_USER_ID_CLAIM"])
    )]
    pub user_id_claim: String,
    /// Clock skew to tolerate in `exp` and `nbf`.
    #[schemars(range(max = 300), extend("default" = 0))]
    pub leeway_seconds: Seconds,
    /// Maximum time from `iat` to `exp`, and never less than `token_issue.expires_in`. 0: no limit.
    #[schemars(range(max = 315_360_000), extend("default" = 86_400))]
    pub max_lifetime_seconds: Seconds,
}

impl Native {
    pub(super) fn check(&self, input: &mut Input) {
        if OTHER_CLAIMS.contains(&self.user_id_claim.as_str()) {
            let why = "must not be another claim of the gate's tokens";
            input.refuse("native.user_id_claim", why);
        }
    }

    /// Maximum time from `iat` to `exp`; `None`: no limit. Tokens issued here are accepted here.
    pub fn max_lifetime(&self, token_issue: &TokenIssue) -> Option<Duration> {
        let longest = self.max_lifetime_seconds.nonzero()?;
        Some(longest.max(*token_issue.expires_in))
    }
}
