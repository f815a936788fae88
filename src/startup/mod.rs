//! The composition root: builds the service from the settings.
//!
//! Only this module and the commands may depend on all others. It is also where the clock, random
//! bytes and the environment come from; everything else takes them as parameters.

mod assembly;
mod background;
mod configuration;
mod cookies;
mod database;
mod error;
mod memory;
mod mismatches;
mod open_files;
mod reload;
mod services;
mod serving;
mod stopping;
mod systemd;
mod traces;
mod watch;
mod wiring;

use std::sync::Arc;
use std::time::SystemTime;

use actix_web::dev::Server;
use actix_web::web;

pub(crate) use self::assembly::purge_audit;
use self::assembly::{Assembly, ProcessState};
use self::background::Background;
pub use self::error::{ListenError, ServiceError, WiringError};
pub use self::reload::Hangups;
use self::reload::Reloader;
pub(crate) use self::services::{Services, application_api, key_server, openid_provider};
use self::serving::Listeners;
use self::stopping::Stopping;
pub(crate) use self::wiring::{Backend, gate, issuer};
use crate::gate::clock::{Clock, unix_seconds_f64};
use crate::gate::entropy::Entropy;
use crate::http::Current;
use crate::metrics::Metrics;
use crate::settings::{Environment, Settings, Source};
use crate::telemetry::{Level, Losses};

/// The service with its listeners bound.
pub struct Application {
    servers: Vec<Server>,
    /// If systemd holds the ports.
    stopping: Option<Stopping>,
    port: u16,
    internal_port: Option<u16>,
    process: ProcessState,
    current: web::Data<Current>,
    running: Running,
}

/// What was built from the settings, and who holds it.
enum Running {
    /// The application itself, until it ends.
    Fixed(Box<Assembly>),
    /// A task that replaces it on a reload.
    Reloading(Background),
}

impl Application {
    /// Binds the listeners and starts the workers. Postgres need not be up yet.
    pub async fn build(settings: Settings) -> Result<Self, ServiceError> {
        Self::build_with(settings, Arc::new(SystemClock)).await
    }

    /// The same with another clock.
    pub async fn build_with(
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServiceError> {
        open_files::raise_limit();
        let listeners = Listeners::bind(&settings.http)?;
        let address = listeners.public_address()?;
        let internal = listeners.internal_address()?;
        let stopping = listeners.held().then(Stopping::listen).transpose();
        let stopping = stopping.map_err(ServiceError::Termination)?;
        let metrics = Arc::new(Metrics::new(unix_seconds_f64(clock.now())));
        let process = ProcessState::new(clock, metrics);
        let mut assembly = Assembly::new(settings, &process)?;
        assembly.begin(&process);
        let current = web::Data::new(Current::new(assembly.state(&process)));
        let settings = &assembly.settings;
        tracing::info!(
            %address,
            internal = internal.map(tracing::field::display),
            version = env!("CARGO_PKG_VERSION"),
            engine = ?settings.session.engine,
            "started"
        );
        Ok(Self {
            servers: listeners.serve(settings, &current)?,
            stopping,
            port: address.port(),
            internal_port: internal.map(|address| address.port()),
            process,
            current,
            running: Running::Fixed(Box::new(assembly)),
        })
    }

    /// Has the log say what is wrong with the database before the first user comes, now and after each
    /// reload.
    #[must_use]
    pub fn looking_at_database(mut self) -> Self {
        if let Running::Fixed(assembly) = &mut self.running {
            assembly.look_at_database();
        }
        self
    }

    /// Reloads the settings from `source` on SIGHUP, and when a secret in a file changes.
    #[must_use]
    pub fn reloading(self, hangups: Hangups, source: Source, level: Level) -> Self {
        let running = match self.running {
            Running::Reloading(task) => Running::Reloading(task),
            Running::Fixed(assembly) => {
                let reloader = Reloader {
                    source,
                    started: assembly.settings.fingerprint().clone(),
                    assembly: *assembly,
                    process: self.process.clone(),
                    current: self.current.clone(),
                    level,
                };
                Running::Reloading(Background::start(reloader.run(hangups)))
            }
        };
        Self { running, ..self }
    }

    /// Counts the log lines that are lost, for as long as the service runs.
    pub fn report_losses(&self, losses: Losses) {
        actix_web::rt::spawn(losses.report(self.process.metrics.clone()));
    }

    /// The port of the public listener, for settings that ask for port 0.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port of the internal listener (checks, health, metrics), if there is one.
    pub const fn internal_port(&self) -> Option<u16> {
        self.internal_port
    }

    /// Serves until SIGTERM, which lets open requests finish, or SIGINT.
    pub async fn run_until_stopped(self) -> Result<(), ServiceError> {
        systemd::ready();
        if let Some(stopping) = self.stopping {
            let handles = self.servers.iter().map(Server::handle).collect();
            actix_web::rt::spawn(stopping.stop(handles));
        }
        let _memory = Background::start(memory::return_regularly());
        let servers = self.servers.into_iter().map(actix_web::rt::spawn);
        let mut outcome = Ok(());
        for server in servers.collect::<Vec<_>>() {
            let ended = match server.await {
                Ok(ended) => ended.map_err(ServiceError::from),
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(ended);
        }
        let traces = async {
            if let Some(traces) = self.current.traces() {
                traces.flush().await;
            }
        };
        tokio::join!(traces, self.current.finish());
        drop(self.running);
        tracing::info!("stopped");
        outcome
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

/// Random bytes of a cryptographically secure generator that the operating system seeds: no system call for
/// the ID of each request.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn sixteen(&self) -> [u8; 16] {
        rand::random()
    }
}

/// The process environment.
pub fn environment() -> Environment {
    std::env::vars_os().collect()
}

/// Selects the cryptography for TLS connections that name none.
pub fn install_crypto() {
    // Fails only if a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
