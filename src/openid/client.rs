//! The gate as the provider's OAuth client: its ID, and the secret or key that proves it.

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, Client, ClientId, ClientSecret, EndpointNotSet, EndpointSet,
    ExtraTokenFields, RedirectUrl, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::OpenIdProvider;
use super::authentication::{self, ClientAuthentication};
use super::metadata::Metadata;
use crate::gate::clock::unix_seconds;
use crate::gate::reason::Outage;

/// The ID token in a token response (OpenID Connect Core §3.1.3.3).
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct IdTokenField {
    pub(super) id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

pub(super) type OAuthClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl OpenIdProvider {
    pub(super) fn client(&self, metadata: &Metadata) -> OAuthClient {
        let registration = &self.registration;
        let client = Client::new(ClientId::new(registration.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
            .set_redirect_uri(RedirectUrl::from_url(registration.redirect_uri.clone()));
        match &registration.authentication {
            ClientAuthentication::Secret(secret) => client
                .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
                .set_auth_type(authentication::auth_type(metadata)),
            ClientAuthentication::Public | ClientAuthentication::PrivateKey(_) => {
                client.set_auth_type(AuthType::RequestBody)
            }
        }
    }

    /// The assertion of a client with a private key.
    pub(super) fn assertion(&self) -> Result<Option<String>, Outage> {
        let ClientAuthentication::PrivateKey(key) = &self.registration.authentication else {
            return Ok(None);
        };
        let (client_id, issuer) = (&self.registration.client_id, &self.registration.issuer);
        let now = unix_seconds(self.clock.now());
        let assertion = key.assertion(client_id, issuer, self.entropy.hex(), now);
        match assertion {
            Ok(assertion) => Ok(Some(assertion)),
            Err(error) => {
                tracing::error!(
                    %issuer,
                    %error,
                    cure = "set private_key of the provider to a key that can sign",
                    "could not sign the client's assertion"
                );
                Err(Outage::ProviderRefusesClient)
            }
        }
    }

    /// Adds what the client authenticates with to a request that the OAuth library doesn't know.
    pub(super) fn authenticate(
        &self,
        metadata: &Metadata,
        form: &mut Vec<(String, String)>,
        headers: &mut HeaderMap,
    ) -> Result<(), Outage> {
        let client_id = &self.registration.client_id;
        let mut field = |name: &str, value: &str| form.push((name.to_owned(), value.to_owned()));
        match &self.registration.authentication {
            ClientAuthentication::Public => {}
            ClientAuthentication::Secret(secret) => match authentication::auth_type(metadata) {
                AuthType::BasicAuth => {
                    headers.insert(AUTHORIZATION, authentication::basic(client_id, secret));
                }
                _ => field("client_secret", secret.expose_secret()),
            },
            ClientAuthentication::PrivateKey(_) => {
                if let Some(assertion) = self.assertion()? {
                    field("client_assertion_type", authentication::ASSERTION_TYPE);
                    field("client_assertion", &assertion);
                }
            }
        }
        Ok(())
    }
}
