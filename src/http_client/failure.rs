//! Why a request has no response.

use std::error::Error;
use std::io;

use crate::trust;

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
    NotTls,
    Other,
}

impl NoAnswer {
    /// One word for traces.
    pub(super) const fn kind(&self) -> &'static str {
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
                FailureKind::NotTls => {
                    "name the port on which the server speaks HTTPS, or write http:// if plain HTTP \
                     is what you want and this setting allows it"
                        .to_owned()
                }
                FailureKind::Other => "check the URL".to_owned(),
            },
            Self::Redirected(_) => "use the URL to which it redirects".to_owned(),
            Self::TooLong(_) => "check the URL: the answer is longer than expected".to_owned(),
        }
    }
}

impl Failure {
    fn of(error: &reqwest::Error, text: String) -> Self {
        let tls = trust::tls_error(error);
        let kind = match tls {
            Some(rustls::Error::InvalidCertificate(_)) => FailureKind::NotTrusted,
            Some(rustls::Error::InvalidMessage(_)) => FailureKind::NotTls,
            _ if error.is_timeout() => FailureKind::Slow,
            _ if error.is_connect() => FailureKind::Unreachable,
            _ => FailureKind::Other,
        };
        let text = match tls.and_then(trust::meaning) {
            Some(meaning) => format!("{text}: {meaning}"),
            None => text,
        };
        Self { text, kind }
    }
}

/// Whether an open connection ended before the response began.
pub(super) fn connection_ended(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

    !error.is_connect()
        && causes(error).any(|cause| {
            let http = cause.downcast_ref::<hyper::Error>();
            let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            http.is_some_and(hyper::Error::is_incomplete_message)
                || matches!(
                    io,
                    Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
                )
        })
}

/// The error, its cause, the cause of that, ...
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        let redirected = error.is_redirect();
        let error = error.without_url();
        let text: Vec<_> = causes(&error).map(ToString::to_string).collect();
        let text = text.join(": ");
        if redirected {
            Self::Redirected(text)
        } else {
            Self::Failed(Failure::of(&error, text))
        }
    }
}
