//! Adapter: an OpenID provider.
//!
//! In: what the sign-in asks of a provider. Out: its answers, over HTTPS within the client's limits.
//! Codes, tokens and secrets go to the endpoints of the configured issuer's metadata, and nowhere
//! else; no redirect is followed.

mod authentication;
mod authorization;
mod client;
mod error;
mod exchange;
mod measures;
mod metadata;
mod userinfo;

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use reqwest::Url;
use secrecy::SecretString;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use self::authentication::{ClientAuthentication, SigningKey};
pub use self::error::ProviderError;
pub use self::measures::Named;
use self::measures::{Measures, Request};
use self::metadata::Discovery;
pub use self::metadata::Metadata;
pub use self::userinfo::read_userinfo;
use crate::deadline::wait_for;
use crate::gate::clock::Clock;
use crate::gate::entropy::Entropy;
use crate::gate::openid::{
    AuthorizationRequest, Code, EndSessionRequest, Flow, NoSignIn, Provider, Tokens, Userinfo,
};
use crate::gate::reason::Outage;
use crate::http_client::HttpClient;

/// What a decision waits for here.
const WAITING: Outage = Outage::ProviderUnavailable;

/// Maximum number of concurrent requests that browsers cause at one provider. Each is refused beyond
/// that, so that nobody can use the gate to flood the provider, or a slow provider to fill the gate.
const MAX_REQUESTS: usize = 64;

/// The gate's registration at a provider.
pub struct Registration {
    /// The provider.
    pub issuer: String,
    /// The gate's ID there.
    pub client_id: String,
    /// What it authenticates with.
    pub authentication: ClientAuthentication,
    /// Where the provider sends browsers back to.
    pub redirect_uri: Url,
    /// Where it sends them after signing out.
    pub signed_out_uri: Url,
    /// What is asked for, beside `openid`.
    pub scopes: Vec<String>,
    /// `prompt`
    pub prompt: Option<&'static str>,
    /// `max_age`, in seconds.
    pub max_age: Option<u64>,
    /// `acr_values`
    pub acr_values: Vec<String>,
}

/// A provider, over HTTP.
pub struct OpenIdProvider {
    registration: Registration,
    discovery: Discovery,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    permits: Semaphore,
    measures: Arc<Measures>,
}

impl OpenIdProvider {
    /// A provider whose metadata is at `document`.
    pub fn new(
        registration: Registration,
        document: Url,
        http: HttpClient,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let measures = Arc::new(Measures::default());
        let issuer = registration.issuer.clone();
        Self {
            discovery: Discovery::new(document, issuer, measures.clone()),
            registration,
            http,
            clock,
            entropy,
            permits: Semaphore::new(MAX_REQUESTS),
            measures,
        }
    }

    /// The right to send one request now.
    fn permit(&self) -> Result<SemaphorePermit<'_>, Outage> {
        self.permits.try_acquire().map_err(|_| Outage::Overloaded)
    }

    /// Sends a request, unless there are too many, and times it.
    async fn timed<T>(
        &self,
        request: Request,
        sent: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Result<T, ProviderError>, Outage> {
        let _permit = self.permit()?;
        let begun = Instant::now();
        let result = wait_for(WAITING, sent).await;
        match &result {
            Ok(result) => self.measures.observe(request, result, begun),
            Err(_) => self.measures.observe_unanswered(request, begun),
        }
        result
    }

    /// What is known about the provider; asks it only if nothing is known yet.
    async fn metadata(&self) -> Result<Arc<Metadata>, Outage> {
        let metadata = wait_for(WAITING, self.discovery.get(&self.http)).await?;
        metadata.ok_or(Outage::ProviderUnavailable)
    }

    /// Reads the metadata, and again from time to time.
    pub async fn keep_fresh(provider: Weak<Self>) {
        let mut failures = 0;
        while let Some(provider) = provider.upgrade() {
            let fresh = provider.discovery.keep_fresh(&provider.http, &mut failures);
            let pause = fresh.await;
            drop(provider);
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the provider's metadata can be read, and belongs to the configured issuer.
    pub(crate) async fn try_out(&self) -> Result<(), ProviderError> {
        self.discovery.read(&self.http).await.map(drop)
    }

    /// Logs why the provider can't be used, and says what that means for the sign-in.
    fn outage(&self, request: &'static str, error: &ProviderError) -> Outage {
        let (issuer, cure) = (&self.registration.issuer, error.cure_of_request());
        tracing::error!(%issuer, %error, cure, "the OpenID provider's {request} failed");
        match error {
            ProviderError::Refused { .. } => Outage::ProviderRefusesClient,
            _ => Outage::ProviderUnavailable,
        }
    }
}

#[async_trait]
impl Provider for OpenIdProvider {
    async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Outage> {
        self.authorize(request).await
    }

    async fn names_itself(&self) -> Result<bool, Outage> {
        let metadata = self.metadata().await?;
        Ok(metadata.authorization_response_iss_parameter_supported)
    }

    async fn redeem(&self, code: &Code, flow: &Flow) -> Result<Tokens, NoSignIn> {
        self.exchange(code, flow).await
    }

    async fn userinfo(&self, access_token: &SecretString) -> Result<Userinfo, Outage> {
        self.ask_userinfo(access_token).await
    }

    async fn end_session_url(&self, request: &EndSessionRequest<'_>) -> Option<Url> {
        let metadata = self.metadata().await.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        let registration = &self.registration;
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("client_id", &registration.client_id)
                .append_pair(
                    "post_logout_redirect_uri",
                    registration.signed_out_uri.as_str(),
                );
            if let Some(token) = request.id_token {
                query.append_pair("id_token_hint", token);
            }
            if let Some(hint) = request.logout_hint {
                query.append_pair("logout_hint", hint);
            }
        }
        Some(url)
    }
}
