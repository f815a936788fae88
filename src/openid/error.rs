//! Why a provider could not be used.

use oauth2::basic::BasicErrorResponse;
use reqwest::StatusCode;

use crate::http_client::NoAnswer;

/// Why a provider could not be used. The text is for the log: it quotes the provider, but no code,
/// token or secret.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The provider answered with an error or a redirect.
    #[error("the response is {0}")]
    Status(StatusCode),
    /// The response is no JSON, or lacks something.
    #[error("the response is not {what}: {source}")]
    Unusable {
        /// What it should be.
        what: &'static str,
        /// Where it isn't.
        source: serde_json::Error,
    },
    /// The metadata belongs to another issuer.
    #[error("the discovery document names the issuer {found:?}, not {expected:?}")]
    WrongIssuer {
        /// The issuer in the document.
        found: String,
        /// The issuer in the settings.
        expected: String,
    },
    /// A token is not text.
    #[error("{0} is not text")]
    NotText(&'static str),
    /// An endpoint to which browsers would be sent without TLS.
    #[error("the discovery document names an {0} that does not begin with https://")]
    Insecure(&'static str),
    /// The provider has no such endpoint.
    #[error("the provider has no {0}")]
    NoEndpoint(&'static str),
    /// The provider refuses the request.
    #[error("the provider says {code:?}{}", description.as_deref().map(|text| format!(": {text:?}")).unwrap_or_default())]
    Refused {
        /// `error`
        code: String,
        /// `error_description`
        description: Option<String>,
    },
    /// The token response has no ID token, or a token of another type than Bearer.
    #[error("the token response {0}")]
    NotTokens(&'static str),
}

impl ProviderError {
    /// What to do if the metadata can't be read.
    pub(crate) fn cure(&self) -> String {
        let cure = match self {
            Self::NoAnswer(why) => return why.cure("key_server.ca_file"),
            Self::WrongIssuer { .. } => {
                "write the issuer exactly as the document names it, to the last slash"
            }
            _ => "check the issuer: the document is at its /.well-known/openid-configuration",
        };
        cure.to_owned()
    }
}

impl ProviderError {
    /// What to do if a request fails that the gate sends as a client.
    pub(super) fn cure_of_request(&self) -> String {
        let cure = match self {
            Self::NoAnswer(why) => return why.cure("key_server.ca_file"),
            Self::Refused { code, .. } if is_about_client(code) => {
                "compare client_id and client_secret, or private_key, in the settings of sign_in with \
                 the client's registration at the provider"
            }
            Self::Refused { .. } => {
                "compare the client's registration at the provider with the settings of sign_in: \
                 redirect URI, scopes, grant type authorization_code"
            }
            _ => "the provider's own log says why it answers like this",
        };
        cure.to_owned()
    }
}

/// Whether the provider refuses the client itself, and not what it asks for (RFC 6749 §5.2).
fn is_about_client(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

/// Whether the provider refuses the code, which the browser brought: no fault of the provider's or of the
/// gate's (RFC 6749 §5.2).
pub(super) fn is_about_code(code: &str) -> bool {
    code == "invalid_grant"
}

/// The error in a response, or its status (RFC 6749 §5.2).
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> ProviderError {
    match serde_json::from_slice::<BasicErrorResponse>(body) {
        Ok(refused) => ProviderError::Refused {
            code: refused.error().to_string(),
            description: refused.error_description().cloned(),
        },
        Err(_) => ProviderError::Status(status),
    }
}
