//! Why the keys of an issuer could not be read.

use reqwest::{StatusCode, Url};

use crate::gate::verify::KeyError;
use crate::http_client::{NoAnswer, shown};

/// Why the keys of an issuer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server did not answer.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The server answered with an error.
    #[error("the response is {0}")]
    Status(StatusCode),
    /// The server answered with a redirect, and the settings allow none, or no further one.
    #[error("the response redirects to {0}")]
    Redirect(Url),
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
    #[error("the discovery document's jwks_uri is not a URL: {:?}", shown(.0))]
    NotUrl(String),
}

impl ReadError {
    /// What to do about it.
    pub fn cure(&self) -> String {
        let cure = match self {
            Self::NoAnswer(why) => return why.cure("key_server.ca_file"),
            Self::Status(_) | Self::Keys(_) | Self::NotDiscovery | Self::NotUrl(_) => {
                "check jwks_url or discovery of the issuer, or issuer of the OpenID provider: open the \
                 URL from this machine"
            }
            Self::Redirect(_) => {
                "set jwks_url or discovery of the issuer, or issuer of the OpenID provider, to where the \
                 response redirects, or allow redirects with key_server.redirects"
            }
            Self::NoAllowedKey => {
                "compare algorithms of the issuer, or id_token_algorithms of the OpenID provider, with \
                 the keys that it publishes"
            }
            Self::WrongIssuer { .. } => {
                "set issuer or discovery to the name in the document, to the last slash"
            }
        };
        cure.to_owned()
    }
}
