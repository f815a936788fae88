//! The composition root: builds the service from the settings.
//!
//! Only this module sees all others. It is also where the clock, random bytes and the environment
//! come from; everything else takes them as parameters.

mod configuration;
mod cookies;
mod error;
mod serving;
mod traces;
mod wiring;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::dev::Server;
use actix_web::web;

pub use self::error::{ListenError, ServiceError, WiringError};
use self::serving::Listeners;
pub(crate) use self::wiring::{
    Assembled, Backend, Serving, application_api, gate, issuer, key_server,
};
use crate::gate::clock::{Clock, unix_seconds_f64};
use crate::gate::entropy::Entropy;
use crate::http::{self, Current, RateLimits, RefusalLog, State, TokenRoute, TrustedProxies};
use crate::metrics::Metrics;
use crate::postgres::Postgres;
use crate::settings::Settings;
use crate::telemetry::Losses;
use crate::traces::Traces;

/// The service with its listeners bound.
pub struct Application {
    servers: Vec<Server>,
    port: u16,
    internal_port: Option<u16>,
    metrics: Arc<Metrics>,
    traces: Option<Arc<Traces>>,
}

impl Application {
    /// Binds the listeners and starts the workers. Postgres need not be up yet.
    pub async fn build(settings: Settings) -> Result<Self, ServiceError> {
        let listeners = Listeners::bind(&settings.http)?;
        let address = listeners.public_address()?;
        let internal = listeners.internal_address()?;
        let state = state(&settings)?;
        let (metrics, traces) = (state.metrics.clone(), state.traces.clone());
        let current = web::Data::new(Current::new(state));
        tracing::info!(
            %address,
            internal = internal.map(tracing::field::display),
            version = env!("CARGO_PKG_VERSION"),
            engine = ?settings.session.engine,
            "started"
        );
        Ok(Self {
            servers: listeners.serve(&settings, &current)?,
            port: address.port(),
            internal_port: internal.map(|address| address.port()),
            metrics,
            traces,
        })
    }

    /// Counts the log lines that are lost, for as long as the service runs.
    pub fn report_losses(&self, losses: Losses) {
        actix_web::rt::spawn(losses.report(self.metrics.clone()));
    }

    /// The port of the public listener, for settings that ask for port 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port of the internal listener (checks, health, metrics), if there is one.
    pub const fn internal_port(&self) -> Option<u16> {
        self.internal_port
    }

    /// Serves until SIGTERM, which lets open requests finish, or SIGINT. Each server handles the
    /// signals itself.
    pub async fn run_until_stopped(self) -> Result<(), ServiceError> {
        let servers = self.servers.into_iter().map(actix_web::rt::spawn);
        let mut outcome = Ok(());
        for server in servers.collect::<Vec<_>>() {
            let ended = match server.await {
                Ok(ended) => ended.map_err(ServiceError::from),
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(ended);
        }
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
        tracing::info!("stopped");
        outcome
    }
}

/// The state that the routes share.
fn state(settings: &Settings) -> Result<State, WiringError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = unix_seconds_f64(clock.now());
    let backend = Backend::connect(settings)?;
    let metrics = Arc::new(Metrics::new(started));
    let networks = settings.http.trusted_proxies.iter();
    if let Some(every) = settings.policy.purge_every {
        actix_web::rt::spawn(purge(backend.postgres.clone(), every));
    }
    let Assembled { gate, sources } = gate(settings, &backend, clock.clone(), Serving::Yes)?;
    Ok(State {
        gate,
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
            label_studio: settings.label_studio.url.as_deref().cloned(),
        },
        pages: pages(settings),
        trusted_proxies: TrustedProxies::new(networks.map(|network| **network).collect()),
        refusals: RefusalLog::new(metrics.clone()),
        decision_timeout: *settings.http.decision_timeout_ms,
        body_timeout: *settings.http.body_timeout_seconds,
        entropy: Arc::new(SystemEntropy),
        backend: Arc::new(backend.postgres),
        traces: (settings.traces.as_ref())
            .map(|settings| traces::traces(settings, metrics.clone()))
            .transpose()?
            .map(Arc::new),
        metrics,
        sources,
    })
}

/// What the operator decides about the pages.
fn pages(settings: &Settings) -> http::Pages {
    let ancestors = settings.pages.frame_ancestors.iter();
    http::Pages {
        name: settings.pages.name.clone(),
        logo: settings.pages.logo_url.as_deref().cloned(),
        support: settings.pages.support_url.as_deref().cloned(),
        frame_ancestors: ancestors.map(|site| site.to_string()).collect(),
        trusted_origins: settings.policy.gate.allowed_origins.clone(),
    }
}

/// Deletes expired rows periodically. The jitter spreads gates that started at the same time.
async fn purge(backend: Postgres, every: Duration) {
    loop {
        let jitter = u32::from(SystemEntropy.sixteen()[0]);
        tokio::time::sleep(every + every * jitter / 1024).await;
        match backend.purge().await {
            Ok(Some(sessions)) => tracing::info!(sessions, "deleted expired sessions"),
            Ok(None) => tracing::debug!("another gate is deleting expired sessions"),
            Err(outage) => tracing::warn!("could not delete expired sessions: {outage}"),
        }
    }
}

/// The system clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the composition root reads the clock"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Random bytes from the operating system.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn sixteen(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        bytes
    }
}

/// The process environment, without variables that are not UTF-8.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Selects the cryptography for tokens and TLS. Without it, jsonwebtoken panics on first use.
pub fn install_crypto() {
    // Each fails only if a provider is already installed.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
