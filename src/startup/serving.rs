//! The listeners and the servers behind them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use listenfd::ListenFd;

use crate::http::{self, Proxy, State, Surface};
use crate::settings::types::Network;
use crate::settings::{self, Settings};

/// How long the head of a connection's first request may take. Proxies send it in one piece.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that is being closed waits for its peer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Bound, and not yet serving.
pub(super) struct Listeners {
    public: TcpListener,
    internal: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the settings say. systemd hands over the public listener only.
    pub(super) fn bind(settings: &settings::Http) -> Result<Self, String> {
        let handed = ListenFd::from_env()
            .take_tcp_listener(0)
            .map_err(|error| format!("the socket that systemd hands over: {error}"))?;
        Ok(Self {
            public: match handed {
                Some(listener) => listener,
                None => bind("http.listen", *settings.listen)?,
            },
            internal: (settings.internal_listen.as_deref())
                .map(|address| bind("http.internal_listen", *address))
                .transpose()?,
        })
    }

    pub(super) fn public_address(&self) -> Result<SocketAddr, String> {
        address("http.listen", &self.public)
    }

    pub(super) fn internal_address(&self) -> Result<Option<SocketAddr>, String> {
        let internal = self.internal.as_ref();
        internal
            .map(|listener| address("http.internal_listen", listener))
            .transpose()
    }

    /// Starts the workers: one server that has every route, or two that share them.
    pub(super) fn serve(
        self,
        settings: &Settings,
        state: &web::Data<State>,
    ) -> Result<Vec<Server>, String> {
        match self.internal {
            None => Ok(vec![serve(
                settings,
                state,
                self.public,
                Surface::Everything,
            )?]),
            Some(internal) => Ok(vec![
                serve(settings, state, self.public, Surface::Public)?,
                serve(settings, state, internal, Surface::Internal)?,
            ]),
        }
    }
}

fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("{name}: cannot bind {address}: {error}"))
}

fn address(name: &str, listener: &TcpListener) -> Result<SocketAddr, String> {
    listener
        .local_addr()
        .map_err(|error| format!("{name}: {error}"))
}

fn serve(
    settings: &Settings,
    state: &web::Data<State>,
    listener: TcpListener,
    surface: Surface,
) -> Result<Server, String> {
    let limits = &settings.http;
    let (state, proxies) = (state.clone(), proxies(&limits.proxies));
    let app = move || App::new().configure(http::routes(state.clone(), surface, &proxies));
    let mut server = HttpServer::new(app)
        .keep_alive(*limits.keep_alive_seconds)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .shutdown_timeout(limits.shutdown_seconds.as_secs())
        .max_connections(limits.max_connections);
    if limits.workers > 0 {
        server = server.workers(limits.workers);
    }
    let server = server
        .listen(listener)
        .map_err(|error| format!("http: {error}"))?;
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

/// What is allowed and will hardly be meant: proxies on other machines can reach the service, and the word of none of them counts.
pub(super) fn warn_about_untrusted_proxies(settings: &settings::Http) {
    let mut addresses = [Some(&settings.listen), settings.internal_listen.as_ref()]
        .into_iter()
        .flatten();
    let is_remote = |network: &Network| !network.addr().is_loopback();
    if addresses.any(|address| !address.ip().is_loopback())
        && !settings.trusted_proxies.iter().any(is_remote)
    {
        tracing::warn!(
            "http.trusted_proxies names no other machine: whoever comes through a proxy there has the proxy's address"
        );
    }
}
