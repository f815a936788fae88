//! HTTP requests that the service makes: to key servers and to the host application's API. Each has
//! limits on time, response size and redirects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use crate::trust::{self, TrustError};

/// Limits of a request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Time limit from connecting to the end of the response.
    pub timeout: Duration,
    /// Maximum size of the response body, in bytes.
    pub max_bytes: usize,
    /// Maximum number of redirects to follow.
    pub redirects: usize,
    /// Whether plain HTTP is allowed.
    pub allow_http: bool,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// An HTTP client with limits.
pub struct HttpClient {
    client: Client,
    max_bytes: usize,
}

/// A complete response.
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no response. The text never contains the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The server is unreachable or too slow, or the URL is not allowed.
    #[error("{0}")]
    Failed(String),
    /// A redirect that the limits do not allow.
    #[error("{0}")]
    Redirected(String),
    /// The response exceeds the size limit.
    #[error("the response is longer than {0} bytes")]
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

impl HttpClient {
    /// A client with `limits`. It uses the proxies in the environment (`HTTPS_PROXY`, `NO_PROXY`).
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

    /// Sends a GET request and reads the whole response.
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
