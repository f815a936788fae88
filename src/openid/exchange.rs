//! The exchange of a code for tokens (OpenID Connect Core §3.1.3).

use std::pin::Pin;

use oauth2::basic::{BasicErrorResponseType, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthorizationCode, HttpRequest, HttpResponse, PkceCodeVerifier,
    RequestTokenError, TokenResponse as _,
};

use super::error::ProviderError;
use super::{OpenIdProvider, WAITING, authentication};
use crate::deadline::wait_for;
use crate::gate::openid::{Code, Flow, NoSignIn, Tokens};
use crate::gate::reason::CredentialError;
use crate::http_client::{HttpClient, NoAnswer};

impl OpenIdProvider {
    pub(super) async fn exchange(&self, code: &Code, flow: &Flow) -> Result<Tokens, NoSignIn> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let mut exchange = client
            .exchange_code(AuthorizationCode::new(code.as_str().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(flow.verifier.clone()));
        if let Some(assertion) = self.assertion()? {
            exchange = exchange
                .add_extra_param("client_assertion_type", authentication::ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion);
        }
        let _permit = self.permit()?;
        let transport = Transport(&self.http);
        let tokens = wait_for(WAITING, exchange.request_async(&transport)).await?;
        let failed = |error| NoSignIn::from(self.outage("token request", &error));
        let tokens = tokens.map_err(|error| match error {
            RequestTokenError::ServerResponse(refused) => {
                let code = refused.error().to_string();
                let description = refused.error_description().cloned();
                match refused.error() {
                    // The browser brought it, which is no fault of the provider's or of the gate's.
                    BasicErrorResponseType::InvalidGrant => NoSignIn::Provider {
                        reason: CredentialError::SignInCodeRefused,
                        code,
                        description,
                    },
                    _ => failed(ProviderError::Refused { code, description }),
                }
            }
            RequestTokenError::Request(error) => failed(error.into()),
            RequestTokenError::Parse(error, _) => failed(ProviderError::Unusable {
                what: "a token response",
                source: error.into_inner(),
            }),
            RequestTokenError::Other(_) => failed(ProviderError::NotTokens("is empty")),
        })?;
        if *tokens.token_type() != BasicTokenType::Bearer {
            return Err(failed(ProviderError::NotTokens(
                "is not for a bearer token",
            )));
        }
        let id_token = tokens.extra_fields().id_token.clone();
        Ok(Tokens {
            id_token: id_token
                .ok_or_else(|| failed(ProviderError::NotTokens("has no ID token")))?,
            access_token: tokens.access_token().secret().clone().into(),
        })
    }
}

/// The HTTP client, as the OAuth library uses it.
struct Transport<'h>(&'h HttpClient);

impl<'c> AsyncHttpClient<'c> for Transport<'_> {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async {
            let answer = self.0.forward(request).await?;
            let mut response = HttpResponse::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}
