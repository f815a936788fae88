//! The composition root: puts the modules together from the settings.

mod wiring;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use listenfd::ListenFd;

use self::wiring::label_studio_url;
pub(crate) use self::wiring::{Backend, Serving, client_api, gate, issuer, key_server};
use crate::gate::clock::{Clock, unix_seconds_f64};
use crate::gate::entropy::Entropy;
use crate::http::{self, RateLimits, State, TokenRoute};
use crate::metrics::Metrics;
use crate::postgres::Postgres;
use crate::settings::Settings;

/// The service, bound to its address.
pub struct Application {
    server: Server,
    port: u16,
}

impl Application {
    /// Binds the address and starts the workers. Postgres need not be there yet.
    pub async fn build(settings: Settings) -> Result<Self, String> {
        let listener = listener(settings.http.listen)?;
        let address = listener
            .local_addr()
            .map_err(|error| format!("http.listen: {error}"))?;
        let state = web::Data::new(state(&settings)?);
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), engine = ?settings.session.engine, "started");
        let mut server = HttpServer::new(move || App::new().configure(http::routes(state.clone())))
            .keep_alive(settings.http.keep_alive)
            .shutdown_timeout(settings.http.shutdown_timeout.as_secs())
            .max_connections(settings.http.max_connections);
        if let Some(workers) = settings.http.workers {
            server = server.workers(workers.get());
        }
        let server = server
            .listen(listener)
            .map_err(|error| format!("http.listen: {error}"))?
            .run();
        Ok(Self {
            server,
            port: address.port(),
        })
    }

    /// The port it is bound to; of use where the settings say 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Serves until SIGTERM, which lets open requests finish, or SIGINT.
    pub async fn run_until_stopped(self) -> Result<(), String> {
        let outcome = self.server.await;
        tracing::info!("stopped");
        outcome.map_err(|error| format!("the server failed: {error}"))
    }
}

/// The socket that systemd hands over (`sd_listen_fds(3)`), so that nobody is turned away while the service is started again, or one of our own.
fn listener(address: SocketAddr) -> Result<TcpListener, String> {
    let handed = ListenFd::from_env()
        .take_tcp_listener(0)
        .map_err(|error| format!("the socket that systemd hands over: {error}"))?;
    match handed {
        Some(listener) => Ok(listener),
        None => TcpListener::bind(address)
            .map_err(|error| format!("http.listen: cannot bind {address}: {error}")),
    }
}

/// What the routes share.
fn state(settings: &Settings) -> Result<State, String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = unix_seconds_f64(clock.now());
    let backend = Backend::connect(settings)?;
    if let Some(every) = settings.policy.purge_every {
        actix_web::rt::spawn(purge(backend.postgres.clone(), every));
    }
    Ok(State {
        gate: gate(settings, &backend, clock.clone(), Serving::Yes)?,
        token: TokenRoute::new(
            issuer(settings, &backend, clock),
            RateLimits {
                per_second: NonZeroU32::new(settings.token_issue.rate_limit_per_second),
                failures_per_minute: NonZeroU32::new(settings.token_issue.failures_per_minute),
            },
        ),
        redirects: http::Redirects {
            sign_in: settings.policy.sign_in.clone(),
            return_parameter: settings.policy.return_parameter.clone(),
            signed_out: settings.policy.signed_out.clone(),
            label_studio: label_studio_url(settings),
        },
        entropy: Arc::new(SystemEntropy),
        backend: Arc::new(backend.postgres),
        metrics: Arc::new(Metrics::new(started)),
    })
}

/// Deletes what has expired, now and then. Gates that start together don't do it together.
async fn purge(backend: Postgres, every: Duration) {
    loop {
        let jitter = u32::from(SystemEntropy.sixteen()[0]);
        tokio::time::sleep(every + every * jitter / 1024).await;
        match backend.purge().await {
            Ok(Some(sessions)) => tracing::info!(sessions, "deleted expired sessions"),
            Ok(None) => tracing::debug!("another gate deletes expired sessions"),
            Err(outage) => tracing::warn!("expired sessions were not deleted: {outage}"),
        }
    }
}

/// The clock of the machine.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "here the time comes in")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Random bytes of the operating system.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn sixteen(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        bytes
    }
}

/// The process environment, as far as it is text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Chooses the cryptography for tokens and for TLS. Without a choice jsonwebtoken panics at its first use.
pub fn install_crypto() {
    // Each fails only where one is installed already.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
