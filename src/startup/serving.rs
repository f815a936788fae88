//! The listeners and the servers behind them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{HttpServer, web};
use listenfd::ListenFd;
use socket2::SockRef;

use super::error::ListenError;
use super::open_files::connections_per_worker;
use crate::http::{self, Current, Proxy, Surface};
use crate::settings::{self, Settings};

/// Time limit for the head of a connection's first request. Proxies send it in one piece.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for the peer when closing a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Bound listeners that do not serve yet.
pub(super) struct Listeners {
    public: TcpListener,
    internal: Option<TcpListener>,
    /// systemd holds the ports: connections wait there while the service restarts.
    held: bool,
}

impl Listeners {
    /// Binds the configured addresses. With socket activation, systemd passes the public listener
    /// and, optionally, the internal one.
    pub(super) fn bind(settings: &settings::Http) -> Result<Self, ListenError> {
        let mut inherited = ListenFd::from_env();
        let passed = take(&mut inherited, 0)?;
        let held = passed.is_some();
        let public = match passed {
            Some(listener) => listener,
            None => bind("http.listen", *settings.listen)?,
        };
        let internal = match (
            take(&mut inherited, 1)?,
            settings.internal_listen.as_deref(),
        ) {
            (Some(_), None) => return Err(ListenError::Superfluous),
            (Some(listener), Some(_)) => Some(listener),
            (None, Some(address)) => Some(bind("http.internal_listen", *address)?),
            (None, None) => None,
        };
        Ok(Self {
            public,
            internal,
            held,
        })
    }

    pub(super) fn public_address(&self) -> Result<SocketAddr, ListenError> {
        address("http.listen", &self.public)
    }

    pub(super) fn internal_address(&self) -> Result<Option<SocketAddr>, ListenError> {
        let internal = self.internal.as_ref();
        internal
            .map(|listener| address("http.internal_listen", listener))
            .transpose()
    }

    pub(super) const fn held(&self) -> bool {
        self.held
    }

    /// Starts the workers: one server with every route, or two that split them.
    pub(super) fn serve(
        self,
        settings: &Settings,
        current: &web::Data<Current>,
    ) -> Result<Vec<Server>, ListenError> {
        let surfaces = match self.internal {
            None => vec![(self.public, Surface::Everything)],
            Some(internal) => vec![
                (self.public, Surface::Public),
                (internal, Surface::Internal),
            ],
        };
        let most = connections_per_worker(settings, surfaces.len());
        let serve =
            |(listener, surface)| serve(settings, current, listener, surface, most, self.held);
        surfaces.into_iter().map(serve).collect()
    }
}

/// The listener that systemd passed at this position.
fn take(inherited: &mut ListenFd, position: usize) -> Result<Option<TcpListener>, ListenError> {
    let listener = inherited.take_tcp_listener(position);
    let listener = listener.map_err(ListenError::Inherited)?;
    if let Some(listener) = &listener {
        widen(listener).map_err(ListenError::Inherited)?;
    }
    Ok(listener)
}

fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        widen(&listener)?;
        Ok(listener)
    });
    listener.map_err(|source| ListenError::Bind {
        setting,
        address,
        source,
    })
}

/// Lets the kernel keep as many connections waiting as the system allows (Linux:
/// `net.core.somaxconn`). The standard library asks for 128, and what comes beyond that in one
/// moment is dropped and tries again after a second. Calling listen(2) again changes only this.
fn widen(listener: &TcpListener) -> std::io::Result<()> {
    SockRef::from(listener).listen(i32::MAX)
}

fn address(setting: &'static str, listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    listener
        .local_addr()
        .map_err(|source| ListenError::Address { setting, source })
}

fn serve(
    settings: &Settings,
    current: &web::Data<Current>,
    listener: TcpListener,
    surface: Surface,
    max_connections: usize,
    held: bool,
) -> Result<Server, ListenError> {
    let limits = &settings.http;
    let (current, proxies) = (current.clone(), proxies(&limits.proxies));
    let service = move || http::service(current.clone(), surface, &proxies);
    let mut server = HttpServer::new(service)
        .keep_alive(*limits.keep_alive_seconds)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .shutdown_timeout(limits.shutdown_seconds.as_secs())
        .max_connections(max_connections);
    if limits.workers > 0 {
        server = server.workers(limits.workers);
    }
    if held {
        // `Stopping` handles them.
        server = server.disable_signals();
    }
    let server = server.listen(listener).map_err(ListenError::Serve)?;
    Ok(server.run())
}

fn proxies(named: &[settings::Proxy]) -> Vec<Proxy> {
    let kind = |proxy: &settings::Proxy| match proxy {
        settings::Proxy::Nginx => Proxy::Nginx,
        settings::Proxy::IngressNginx => Proxy::IngressNginx,
        settings::Proxy::Caddy => Proxy::Caddy,
        settings::Proxy::Traefik => Proxy::Traefik,
        settings::Proxy::Envoy => Proxy::Envoy,
    };
    named.iter().map(kind).collect()
}
