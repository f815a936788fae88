//! HTTP requests that the service makes: to key servers and to the host application's API. Each has
//! limits on time, response size and redirects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;

use crate::traces::Call;
use crate::trust::{self, TrustError};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Limits of a request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Time limit from connecting to the end of the response.
    pub timeout: Duration,
    /// Maximum size of the response body, in bytes.
    pub max_bytes: usize,
    /// Maximum number of redirects to follow. With 0, a redirect is the answer.
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
    /// The server is unreachable, too slow or not trusted, or the URL is not allowed.
    #[error("{0}")]
    Failed(Failure),
    /// A redirect that the limits do not allow.
    #[error("{0}")]
    Redirected(String),
    /// The response exceeds the size limit.
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
}

/// Why a request failed: the error with its causes.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    text: String,
    kind: FailureKind,
}

#[derive(Debug, Clone, Copy)]
enum FailureKind {
    Unreachable,
    Slow,
    NotTrusted,
    Other,
}

impl NoAnswer {
    /// One word for traces.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "no_answer",
            Self::Redirected(_) => "redirected",
            Self::TooLong(_) => "too_long",
        }
    }

    /// What to do about it. `ca_file` is the setting that names trusted certificates.
    pub fn cure(&self, ca_file: &str) -> String {
        match self {
            Self::Failed(failure) => match failure.kind {
                FailureKind::Unreachable => {
                    "check the URL, and whether this machine may connect to it (name resolution, \
                     firewall, HTTPS_PROXY and NO_PROXY)"
                        .to_owned()
                }
                FailureKind::Slow => {
                    "check whether this machine may connect to it, and the server's load".to_owned()
                }
                FailureKind::NotTrusted => format!(
                    "if the certificate is your own, name the CA's certificate or the server's own \
                     in {ca_file}; its names must include the URL's host"
                ),
                FailureKind::Other => "check the URL".to_owned(),
            },
            Self::Redirected(_) => "use the URL to which it redirects".to_owned(),
            Self::TooLong(_) => "check the URL: the answer is longer than expected".to_owned(),
        }
    }
}

impl Failure {
    fn of(error: &reqwest::Error, text: String) -> Self {
        let kind = if is_about_a_certificate(error) {
            FailureKind::NotTrusted
        } else if error.is_timeout() {
            FailureKind::Slow
        } else if error.is_connect() {
            FailureKind::Unreachable
        } else {
            FailureKind::Other
        };
        Self { text, kind }
    }
}

/// Whether rustls rejected the server's certificate. Its error is inside an I/O error.
fn is_about_a_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Answer {
    /// Where a redirect leads, without its query, which may hold a credential. `None`: the answer
    /// is no redirect.
    pub fn redirect_target(&self, asked: &Url) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        let mut target = asked.join(location).ok()?;
        target.set_query(None);
        target.set_fragment(None);
        self.status.is_redirection().then_some(target)
    }
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
            Self::Failed(Failure::of(&error, text))
        }
    }
}

impl HttpClient {
    /// A client with `limits`. It uses the proxies in the environment (`HTTPS_PROXY`, `NO_PROXY`).
    pub fn new(limits: &Limits) -> Result<Self, TrustError> {
        let provider = Arc::new(default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default protocol versions")
            .dangerous()
            .with_custom_certificate_verifier(trust::verifier(limits.ca_file.as_deref())?)
            .with_no_client_auth();
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .user_agent(concat!("label-studio-gate/", env!("CARGO_PKG_VERSION")))
            .timeout(limits.timeout)
            .connect_timeout(limits.timeout)
            .redirect(match limits.redirects {
                // The redirect itself is the answer, so that its target can be named.
                0 => redirect::Policy::none(),
                most => redirect::Policy::limited(most),
            })
            .https_only(!limits.allow_http)
            .build()
            .expect("a TLS configuration was given, and nothing else can fail");
        Ok(Self {
            client,
            max_bytes: limits.max_bytes,
        })
    }

    /// Sends a GET request and reads the whole response. In a traced request, it is a span and
    /// carries the trace on.
    pub async fn get(&self, url: Url, mut headers: HeaderMap) -> Result<Answer, NoAnswer> {
        let mut call = Call::get(url.host_str().unwrap_or_default());
        if let Some(trace) = call.headers() {
            for (name, value) in [
                (TRACEPARENT, trace.traceparent),
                (TRACESTATE, trace.tracestate),
            ] {
                if let Ok(value) = HeaderValue::from_str(&value)
                    && !value.is_empty()
                {
                    headers.insert(name, value);
                }
            }
        }
        let answer = self.send(Method::GET, url, headers).await;
        match &answer {
            Ok(answer) => call.answered(answer.status.as_u16()),
            Err(why) => call.failed(why.kind()),
        }
        answer
    }

    /// Sends a POST request and reads the whole response.
    pub async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        let request = self.client.post(url).headers(headers).body(body);
        self.receive(request).await
    }

    /// Sends a request without a body and reads the whole response.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Answer, NoAnswer> {
        let request = self.client.request(method, url).headers(headers);
        self.receive(request).await
    }

    /// Posts a form and reads the whole response.
    pub async fn post_form(
        &self,
        url: Url,
        headers: HeaderMap,
        form: &[(String, String)],
    ) -> Result<Answer, NoAnswer> {
        let request = self.client.post(url).headers(headers).form(form);
        self.receive(request).await
    }

    /// Sends a request that another library made, and reads the whole response.
    pub async fn forward(&self, request: http::Request<Vec<u8>>) -> Result<Answer, NoAnswer> {
        let request = reqwest::Request::try_from(request)?;
        let request = RequestBuilder::from_parts(self.client.clone(), request);
        self.receive(request).await
    }

    async fn receive(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let mut response = request.send().await?;
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
