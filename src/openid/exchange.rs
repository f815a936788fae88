//! The exchange of a code for tokens (OpenID Connect Core §3.1.3).

use std::pin::Pin;

use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AsyncHttpClient, AuthorizationCode, HttpRequest, HttpResponse, PkceCodeVerifier,
    RequestTokenError, TokenResponse as _,
};

use super::error::{ProviderError, is_about_code};
use super::measures::Request;
use super::{OpenIdProvider, authentication};
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
        let transport = Transport(&self.http);
        let sent = async { exchange.request_async(&transport).await.map_err(failure) };
        let failed = |error: &ProviderError| NoSignIn::from(self.outage("token request", error));
        let tokens = self.timed(Request::Token, sent).await?;
        let tokens = tokens.map_err(|error| match error {
            ProviderError::Refused { code, description } if is_about_code(&code) => {
                NoSignIn::Provider {
                    reason: CredentialError::SignInCodeRefused,
                    code,
                    description,
                }
            }
            error => failed(&error),
        })?;
        if *tokens.token_type() != BasicTokenType::Bearer {
            let error = ProviderError::NotTokens("is not for a bearer token");
            return Err(failed(&error));
        }
        let id_token = tokens.extra_fields().id_token.clone();
        Ok(Tokens {
            id_token: id_token
                .ok_or_else(|| failed(&ProviderError::NotTokens("has no ID token")))?,
            access_token: tokens.access_token().secret().clone().into(),
        })
    }
}

/// Why there are no tokens.
fn failure(error: RequestTokenError<NoAnswer, BasicErrorResponse>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(refused) => ProviderError::Refused {
            code: refused.error().to_string(),
            description: refused.error_description().cloned(),
        },
        RequestTokenError::Request(error) => error.into(),
        RequestTokenError::Parse(error, _) => ProviderError::Unusable {
            what: "a token response",
            source: error.into_inner(),
        },
        RequestTokenError::Other(_) => ProviderError::NotTokens("is empty"),
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
