//! Errors that keep the service from starting, or end it.

use std::io;
use std::net::SocketAddr;

use tokio::task::JoinError;

use crate::application_api::InvalidSecret;
use crate::postgres::TlsError;
use crate::settings::SettingErrors;
use crate::trust::TrustError;

/// Why the service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The settings name something that cannot be used.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// A listener cannot be set up.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// SIGHUP cannot be handled.
    #[error("cannot handle SIGHUP: {0}")]
    Hangup(#[source] io::Error),
    /// SIGTERM or SIGINT cannot be handled.
    #[error("cannot handle SIGTERM: {0}")]
    Termination(#[source] io::Error),
    /// A running server failed.
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
    /// A server's task panicked.
    #[error("the server failed: {0}")]
    Task(#[from] JoinError),
}

/// Why a setting cannot be used although it is valid.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The connection to Postgres cannot be encrypted.
    #[error(transparent)]
    Database(#[from] TlsError),
    /// The certificates for key servers cannot be read.
    #[error("key_server.ca_file: {0}")]
    KeyServer(#[source] TrustError),
    /// The certificates for the host application's API cannot be read.
    #[error("client_session.ca_file: {0}")]
    ApplicationApi(#[source] TrustError),
    /// The certificates for the collector of traces cannot be read.
    #[error("traces.ca_file: {0}")]
    Collector(#[source] TrustError),
    /// The secret for the host application's API cannot be sent.
    #[error("client_session.verify_secret: {0}")]
    VerifySecret(#[from] InvalidSecret),
}

/// Why a listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// systemd passed something other than a TCP listener.
    #[error("cannot use the socket that systemd passed: {0}")]
    Inherited(#[source] io::Error),
    /// systemd passed a second socket without a use.
    #[error(
        "systemd passed a second socket, which is for http.internal_listen, but that is not set"
    )]
    Superfluous,
    /// The address is taken, or does not belong to this machine.
    #[error("{setting}: cannot bind {address}: {source}")]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The listener does not tell its address.
    #[error("{setting}: cannot read the listener's address: {source}")]
    Address {
        /// The setting that names the address.
        setting: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The workers cannot be started.
    #[error("http: cannot start the server: {0}")]
    Serve(#[source] io::Error),
}

/// Why new settings are not put in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(#[from] SettingErrors),
    /// The settings name something that cannot be used.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// The new database does not answer, and the running one does.
    #[error(
        "the new database settings do not work and the previous ones do: see the log line above"
    )]
    Database,
    /// The keys of a new issuer cannot be read.
    #[error("the keys of a new issuer at {0} cannot be read: see the log line above")]
    KeyServer(String),
}

impl Rejected {
    /// The errors, one by one.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::Settings(errors) => errors.iter().map(ToString::to_string).collect(),
            Self::Wiring(_) | Self::Database | Self::KeyServer(_) => vec![self.to_string()],
        }
    }

    /// Whether the same settings may work later.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Wiring(_) => false,
            Self::Database | Self::KeyServer(_) => true,
        }
    }
}
