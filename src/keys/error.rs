//! Why the keys of an issuer could not be read.

use reqwest::StatusCode;

use crate::gate::verify::KeyError;
use crate::http_client::NoAnswer;

/// Why the keys of an issuer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The server answered with an error or a redirect.
    #[error("the response is {0}")]
    Status(StatusCode),
    /// The response does not contain usable keys.
    #[error("the response {0}")]
    Keys(#[from] KeyError),
    /// The settings allow none of the keys.
    #[error("none of the keys is for an allowed algorithm")]
    NoAllowedKey,
    /// The response is not a discovery document.
    #[error("the response is not a discovery document")]
    NotDiscovery,
    /// The discovery document belongs to another issuer.
    #[error("the discovery document names the issuer {found:?}, not {expected:?}")]
    WrongIssuer {
        /// The issuer in the document.
        found: String,
        /// The issuer in the settings.
        expected: String,
    },
    /// The discovery document does not say where the keys are.
    #[error("the discovery document's jwks_uri is not a URL: {0:?}")]
    NotUrl(String),
}
