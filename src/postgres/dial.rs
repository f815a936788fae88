//! Opens one connection: the socket, its encryption, and the handshake of Postgres.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::AbortHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::cure;
use super::failure::{Unusable, chain, is_refused_by_pooler};
use super::names::{UniqueNames, UniqueTls};
use super::tls::{self, TlsError};
use crate::settings::{Database, DatabaseHost, Tls};

/// How long a connection is idle before the kernel asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An address of a host.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// The name is the one that a certificate must prove.
    Tcp { name: String, address: SocketAddr },
    /// The socket's file.
    Unix(PathBuf),
}

impl Address {
    /// The addresses of a host, as DNS says now.
    pub(super) async fn of(place: &DatabaseHost) -> io::Result<Vec<Self>> {
        let name = match &place.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => {
                let file = directory.join(format!(".s.PGSQL.{}", place.port));
                return Ok(vec![Self::Unix(file)]);
            }
        };
        let tcp = |address| Self::Tcp {
            name: name.clone(),
            address,
        };
        let found = match place.address {
            Some(address) => vec![tcp(SocketAddr::new(address, place.port))],
            None => lookup_host((name.as_str(), place.port))
                .await?
                .map(tcp)
                .collect(),
        };
        if found.is_empty() {
            let why = "the name has no address";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        Ok(found)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("a connection pooler refuses options at the start")]
    ByPooler,
    #[error(transparent)]
    Otherwise(#[from] Unusable),
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        if is_refused_by_pooler(&error) {
            Self::ByPooler
        } else {
            Self::Otherwise(error.into())
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Otherwise(error.into())
    }
}

/// What all connections have in common.
pub(super) struct Dialer {
    /// With the options of the start.
    direct: Config,
    /// Without them, because a connection pooler refuses them.
    pooled: Config,
    tls: Option<MakeRustlsConnect>,
    keepalive: TcpKeepalive,
    /// How long the kernel waits for an acknowledgment (TCP_USER_TIMEOUT).
    user_timeout: Duration,
}

impl Dialer {
    /// `options` are the server's options: name and value.
    pub(super) fn new(
        settings: &Database,
        options: &[(String, String)],
        user_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let mut pooled = settings.config.clone();
        let (mode, tls) = match settings.tls {
            Tls::Disable => (SslMode::Disable, None),
            Tls::Require | Tls::VerifyFull => {
                let tls = tls::connector(settings.tls, settings.tls_ca_file.as_deref())?;
                (SslMode::Require, Some(tls))
            }
        };
        pooled.ssl_mode(mode);
        let mut direct = pooled.clone();
        direct.options(at_the_start(options));
        let mut keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        if let Some(interval) = pooled.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = pooled.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        Ok(Self {
            direct,
            pooled,
            tls,
            keepalive,
            user_timeout,
        })
    }

    /// Connects to `address`. The connection is closed when `end` is ready.
    pub(super) async fn dial(
        &self,
        address: &Address,
        pooled: bool,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(Client, AbortHandle), Refused> {
        let config = if pooled { &self.pooled } else { &self.direct };
        match (address, &self.tls) {
            (Address::Tcp { name, address }, Some(tls)) => {
                let mut tls = tls.clone();
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, name);
                let tls =
                    UniqueTls(tls.map_err(|error| {
                        Unusable::refused(error.to_string(), Some(cure::REACH))
                    })?);
                let stream = self.tcp(address).await?;
                let (client, connection) = config.connect_raw(stream, tls).await?;
                Ok((client, drive(connection, end)))
            }
            (Address::Tcp { address, .. }, None) => {
                let stream = UniqueNames::new(self.tcp(address).await?);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                Ok((client, drive(connection, end)))
            }
            // Postgres does not encrypt connections to its socket, so this fails if it must.
            (Address::Unix(file), _) => {
                let stream = UniqueNames::new(UnixStream::connect(file).await?);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                Ok((client, drive(connection, end)))
            }
        }
    }

    async fn tcp(&self, address: &SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&self.keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.user_timeout))?;
        Ok(stream)
    }
}

/// The options as the startup message has them: spaces and backslashes are escaped.
fn at_the_start(options: &[(String, String)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(' ', "\\ ");
    let options = options.iter();
    let options = options.map(|(name, value)| format!("-c {name}={}", escaped(value)));
    options.collect::<Vec<_>>().join(" ")
}

/// Moves the messages of a connection in the background, until it is closed or `end` is ready.
fn drive<S, T>(
    connection: Connection<S, T>,
    end: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let work = async move {
        tokio::select! {
            closed = connection => if let Err(error) = closed {
                tracing::warn!(error = %chain(&error), "lost a connection to Postgres");
            },
            () = end => {}
        }
    };
    tokio::spawn(work).abort_handle()
}
