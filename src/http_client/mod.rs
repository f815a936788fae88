//! HTTP requests that the service makes: to key servers, OpenID providers, the host application's API
//! and the collector of traces. Each has limits on time, response size and redirects.

mod failure;
mod shown;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;

pub use self::failure::NoAnswer;
pub use self::shown::{has_user, shown, without_user};
use crate::traces::Call;
use crate::trust::{self, TrustError};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a connection without a request is kept. Servers close theirs after some seconds (gunicorn
/// after 2, Node.js and Apache after 5), and a request that meets the end of its connection is lost.
const MAX_IDLE: Duration = Duration::from_secs(1);

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
    /// Keeps connections for a while, for requests that may be repeated.
    kept: Client,
    /// Opens a connection for each request.
    fresh: Client,
    timeout: Duration,
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

impl Answer {
    /// Where a redirect leads, without its query, its user and its password, which may be credentials.
    /// `None`: the answer is no redirect.
    pub fn redirect_target(&self, asked: &Url) -> Option<Url> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        // The user of `asked` is the target's too if it is on the same host.
        let mut target = without_user(asked.join(location).ok()?);
        target.set_query(None);
        target.set_fragment(None);
        self.status.is_redirection().then_some(target)
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
        let client = |pool_size| {
            Client::builder()
                // Copies share the sessions, so that a fresh connection resumes one (RFC 8446 §2.2).
                .use_preconfigured_tls(tls.clone())
                .user_agent(concat!("label-studio-gate/", env!("CARGO_PKG_VERSION")))
                .timeout(limits.timeout)
                .connect_timeout(limits.timeout)
                .pool_idle_timeout(MAX_IDLE)
                .pool_max_idle_per_host(pool_size)
                .redirect(match limits.redirects {
                    // The redirect itself is the answer, so that its target can be named.
                    0 => redirect::Policy::none(),
                    most => redirect::Policy::limited(most),
                })
                .https_only(!limits.allow_http)
                .build()
                .expect("a TLS configuration was given, and nothing else can fail")
        };
        Ok(Self {
            kept: client(usize::MAX),
            fresh: client(0),
            timeout: limits.timeout,
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
        let request = self.fresh.post(url).headers(headers).body(body);
        self.receive(request).await
    }

    /// Sends a request without a body and reads the whole response.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
    ) -> Result<Answer, NoAnswer> {
        let client = self.client_for(&method);
        let request = client.request(method, url).headers(headers);
        self.receive(request).await
    }

    /// Posts a form and reads the whole response.
    pub async fn post_form(
        &self,
        url: Url,
        headers: HeaderMap,
        form: &[(String, String)],
    ) -> Result<Answer, NoAnswer> {
        let request = self.fresh.post(url).headers(headers).form(form);
        self.receive(request).await
    }

    /// Sends a request that another library made, and reads the whole response.
    pub async fn forward(&self, request: http::Request<Vec<u8>>) -> Result<Answer, NoAnswer> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client_for(request.method()).clone();
        self.receive(RequestBuilder::from_parts(client, request))
            .await
    }

    /// A request that is sent once must not meet a connection that the server is about to close.
    fn client_for(&self, method: &Method) -> &Client {
        match may_be_repeated(method) {
            true => &self.kept,
            false => &self.fresh,
        }
    }

    async fn receive(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        // Two requests of reqwest's would make every future that waits for this one large.
        let mut response = Box::pin(self.start(request)).await?;
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

    /// Sends a request, up to the head of the response. If a kept connection ends before that, a GET
    /// request is sent once more: most likely the server closed the idle connection while the request
    /// was on its way (RFC 9112 §9.5). No other request is: a code whose exchange came to nothing may
    /// have been used (`docs/decisions/0023-post-requests-are-sent-once.md`).
    async fn start(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        let (client, request) = request.build_split();
        let request = request?;
        let again = may_be_repeated(request.method()).then(|| request.try_clone());
        let begun = Instant::now();
        let sent = client.execute(request).await;
        match (sent, again.flatten()) {
            (Err(error), Some(again)) if failure::connection_ended(&error) => {
                let rest = self.timeout.saturating_sub(begun.elapsed());
                let again = RequestBuilder::from_parts(client, again);
                again.timeout(rest).send().await
            }
            (sent, _) => sent,
        }
    }
}

/// Whether a request with this method changes nothing on the server (RFC 9110 §9.2.1).
fn may_be_repeated(method: &Method) -> bool {
    method.is_safe()
}
