//! `[key_server]`: how published keys are fetched.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::{Milliseconds, Seconds};
use crate::http_client::Limits;

/// How the published keys of issuers (`jwks_url`, `discovery`) are fetched, and how OpenID providers
/// (`[sign_in]`) are asked.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct KeyServerSettings {
    /// How often keys are refreshed in the background.
    #[schemars(range(min = 10, max = 86_400), extend("default" = 600))]
    pub refresh_seconds: Seconds,
    /// A token with an unknown `kid` triggers a refresh, but not sooner than this after the last
    /// successful one. After a failure, the server is asked again within 5 seconds.
    #[schemars(range(min = 1, max = 3600), extend("default" = 30))]
    pub cooldown_seconds: Seconds,
    /// Time limit for a request.
    #[schemars(range(min = 10, max = 60_000), extend("default" = 5000))]
    pub timeout_ms: Milliseconds,
    /// Maximum size of a response. Longer ones are not read.
    #[schemars(range(min = 1024, max = 16_777_216), extend("default" = 262_144))]
    pub max_bytes: usize,
    /// Maximum number of redirects to follow.
    #[schemars(range(max = 10), extend("default" = 0))]
    pub redirects: usize,
    /// File with the certificates to trust instead of the system's (PEM).
    pub ca_file: Option<PathBuf>,
}

impl KeyServerSettings {
    /// Limits for a request; each issuer decides whether plain HTTP is allowed.
    pub fn limits(&self, allow_http: bool) -> Limits {
        Limits {
            timeout: *self.timeout_ms,
            max_bytes: self.max_bytes,
            redirects: self.redirects,
            allow_http,
            ca_file: self.ca_file.clone(),
        }
    }
}
