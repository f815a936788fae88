//! The authorization request (OpenID Connect Core §3.1.2.1): the URL that the browser is sent to.

use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier, Scope};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::OpenIdProvider;
use super::error::{ProviderError, refusal};
use super::measures::Request;
use super::metadata::Metadata;
use crate::gate::openid::{AuthorizationRequest, Display};
use crate::gate::reason::Outage;

/// The answer to a pushed authorization request (RFC 9126 §2.2).
#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

impl OpenIdProvider {
    pub(super) async fn authorize(
        &self,
        request: &AuthorizationRequest<'_>,
    ) -> Result<Url, Outage> {
        let metadata = self.metadata().await?;
        let (flow, registration) = (request.flow, &self.registration);
        let client = self.client(&metadata);
        let verifier = PkceCodeVerifier::new(flow.verifier.clone());
        let scopes = std::iter::once("openid".to_owned()).chain(
            registration
                .scopes
                .iter()
                .filter(|scope| *scope != "openid")
                .cloned(),
        );
        let mut asked = client
            .authorize_url(|| CsrfToken::new(flow.state.clone()))
            .add_scopes(scopes.map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", flow.nonce.clone());
        match (flow.display, request.select_account) {
            (Display::Frame, _) => asked = asked.add_extra_param("prompt", "none"),
            (Display::Page | Display::Popup, true) => {
                asked = asked.add_extra_param("prompt", "select_account");
            }
            (Display::Page | Display::Popup, false) => {
                if let Some(prompt) = registration.prompt {
                    asked = asked.add_extra_param("prompt", prompt);
                }
            }
        }
        if let Some(max_age) = registration.max_age {
            asked = asked.add_extra_param("max_age", max_age.to_string());
        }
        if !registration.acr_values.is_empty() {
            asked = asked.add_extra_param("acr_values", registration.acr_values.join(" "));
        }
        if let Some(hint) = request.login_hint {
            asked = asked.add_extra_param("login_hint", hint.to_owned());
        }
        let (url, _state) = asked.url();
        if !metadata.require_pushed_authorization_requests {
            return Ok(url);
        }
        let pushed = self
            .timed(Request::Push, self.push(&metadata, &url))
            .await?;
        pushed.map_err(|error| self.outage("pushed authorization request", &error))
    }

    /// Sends the parameters of `url` to the provider first, and returns the URL that refers to them
    /// (RFC 9126).
    async fn push(&self, metadata: &Metadata, url: &Url) -> Result<Url, ProviderError> {
        let endpoint = metadata.pushed_authorization_request_endpoint.clone();
        let endpoint = endpoint.ok_or(ProviderError::NoEndpoint(
            "pushed_authorization_request_endpoint",
        ))?;
        let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut headers = HeaderMap::new();
        self.authenticate(metadata, &mut form, &mut headers)
            .map_err(|_| ProviderError::NoEndpoint("usable client authentication"))?;
        let answer = self.http.post_form(endpoint, headers, &form).await?;
        if !answer.status.is_success() {
            return Err(refusal(answer.status, &answer.body));
        }
        let pushed: Pushed =
            serde_json::from_slice(&answer.body).map_err(|source| ProviderError::Unusable {
                what: "an answer to a pushed authorization request",
                source,
            })?;
        let mut url = metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("request_uri", &pushed.request_uri);
        Ok(url)
    }
}
