//! Requests that the service itself makes: to key servers and to the client's API. Each is bounded in time, in size and in where it may lead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use crate::trust::{self, TrustError};

/// What a request may take and do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the beginning of the connection to the end of the answer.
    pub timeout: Duration,
    /// Bytes of the answer.
    pub max_bytes: usize,
    /// How many redirects are followed.
    pub redirects: usize,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Makes requests.
pub struct Outgoing {
    client: Client,
    max_bytes: usize,
}

/// An answer, read to its end.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Never tells the address's user and password.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Out of reach, too slow, or not allowed.
    #[error("{0}")]
    Failed(String),
    /// A redirect that is not followed.
    #[error("{0}")]
    Redirected(String),
    /// More than is read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let redirected = error.is_redirect();
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        if redirected {
            Self::Redirected(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl Outgoing {
    /// Requests within `limits`. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`), as everywhere.
    pub fn new(limits: &Limits) -> Result<Self, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default protocol versions")
            .with_root_certificates(trust::roots(limits.ca_file.as_deref())?)
            .with_no_client_auth();
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .user_agent(concat!("label-studio-gate/", env!("CARGO_PKG_VERSION")))
            .timeout(limits.timeout)
            .connect_timeout(limits.timeout)
            .redirect(redirect::Policy::limited(limits.redirects))
            .https_only(!limits.allow_http)
            .build()
            .expect("a TLS configuration was given, and nothing else can fail");
        Ok(Self {
            client,
            max_bytes: limits.max_bytes,
        })
    }

    /// GET, with those headers.
    pub async fn get(&self, url: Url, headers: HeaderMap) -> Result<Answer, NoAnswer> {
        let mut response = self.client.get(url).headers(headers).send().await?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(NoAnswer::TooLong(self.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}
