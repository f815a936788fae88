//! The provider's metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2), read at start and again
//! every hour.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::ProviderError;
use super::measures::{Measures, Request};
use crate::http_client::HttpClient;

/// How long metadata is used. Providers announce new endpoints long before they drop the old ones.
const FRESH: Duration = Duration::from_secs(3600);
/// The least time between two attempts, so that browsers cannot make the gate ask without end.
const COOLDOWN: Duration = Duration::from_secs(2);
/// The longest pause between two attempts of the work in the background.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the gate needs to know about a provider.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where browsers are sent to sign in.
    pub authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    /// Where browsers are sent to sign out.
    pub end_session_endpoint: Option<Url>,
    pub(super) pushed_authorization_request_endpoint: Option<Url>,
    #[serde(default)]
    pub(super) require_pushed_authorization_requests: bool,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Reads the document at `document`, which must name `issuer`.
    pub fn parse(body: &[u8], document: &Url, issuer: &str) -> Result<Self, ProviderError> {
        let metadata: Self =
            serde_json::from_slice(body).map_err(|source| ProviderError::Unusable {
                what: "a discovery document",
                source,
            })?;
        if metadata.issuer != issuer {
            return Err(ProviderError::WrongIssuer {
                found: metadata.issuer,
                expected: issuer.to_owned(),
            });
        }
        // Browsers are sent to these, so that the HTTP client doesn't check them.
        let is_safe = |url: &Url| url.scheme() == "https" || url.scheme() == document.scheme();
        if !is_safe(&metadata.authorization_endpoint) {
            return Err(ProviderError::Insecure("authorization_endpoint"));
        }
        if !metadata.end_session_endpoint.as_ref().is_none_or(is_safe) {
            return Err(ProviderError::Insecure("end_session_endpoint"));
        }
        Ok(metadata)
    }

    /// Whether the token endpoint takes this method. A provider that says nothing takes
    /// `client_secret_basic` (RFC 8414 §2).
    pub(super) fn takes(&self, method: &str) -> bool {
        match &self.token_endpoint_auth_methods_supported {
            Some(methods) => methods.iter().any(|known| known == method),
            None => method == "client_secret_basic",
        }
    }
}

/// The metadata as last read.
pub(super) struct Discovery {
    document: Url,
    issuer: String,
    measures: Arc<Measures>,
    snapshot: ArcSwapOption<Metadata>,
    last: tokio::sync::Mutex<Option<Attempt>>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    succeeded: bool,
}

impl Attempt {
    fn is_recent(self) -> bool {
        let pause = if self.succeeded { FRESH } else { COOLDOWN };
        self.at.elapsed() < pause
    }
}

impl Discovery {
    /// Reads nothing yet. `issuer` is what the document must name, slash and all (RFC 8414 §3.3).
    pub(super) fn new(document: Url, issuer: String, measures: Arc<Measures>) -> Self {
        Self {
            document,
            issuer,
            measures,
            snapshot: ArcSwapOption::empty(),
            last: tokio::sync::Mutex::default(),
        }
    }

    /// The metadata as last read. If it was never read, it is read now; concurrent callers share one
    /// request. `None` if that fails; the log says why.
    pub(super) async fn get(&self, http: &HttpClient) -> Option<Arc<Metadata>> {
        if let Some(known) = self.snapshot.load_full() {
            return Some(known);
        }
        self.renew(http).await;
        self.snapshot.load_full()
    }

    /// Reads the metadata, unless that was just done. Returns when to do it again; `failures` is how
    /// often it has failed in a row.
    pub(super) async fn keep_fresh(&self, http: &HttpClient, failures: &mut u32) -> Duration {
        if self.renew(http).await {
            *failures = 0;
            return FRESH;
        }
        *failures = failures.saturating_add(1);
        let pause = COOLDOWN.saturating_mul(1 << (*failures).min(5));
        pause.min(LONGEST_PAUSE)
    }

    /// Reads the metadata, unless that was just done. Returns whether the last attempt succeeded.
    async fn renew(&self, http: &HttpClient) -> bool {
        let mut last = self.last.lock().await;
        if last.is_none_or(|attempt| !attempt.is_recent()) {
            let begun = Instant::now();
            let read = self.read(http).await;
            self.measures.observe(Request::Discovery, &read, begun);
            *last = Some(Attempt {
                at: Instant::now(),
                succeeded: read.is_ok(),
            });
            match read {
                Ok(metadata) => self.snapshot.store(Some(Arc::new(metadata))),
                Err(error) => tracing::error!(
                    issuer = self.issuer,
                    %error,
                    cure = error.cure(),
                    "could not read the OpenID provider's metadata"
                ),
            }
        }
        last.is_some_and(|attempt| attempt.succeeded)
    }

    /// Reads the metadata.
    pub(super) async fn read(&self, http: &HttpClient) -> Result<Metadata, ProviderError> {
        let answer = http.get(self.document.clone(), HeaderMap::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(ProviderError::Status(answer.status));
        }
        Metadata::parse(&answer.body, &self.document, &self.issuer)
    }
}
