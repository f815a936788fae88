//! Reloading: new settings, secrets and keys for a running service.
//!
//! In: SIGHUP, which reads the settings file again too, or new contents of a file that the settings
//! name. Out: a new state for the routes, or the reasons why the running one stays. The new state is
//! complete before it replaces the running one, and requests that have begun keep theirs, so none is
//! lost.

use std::io;

use actix_web::web;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::assembly::{Assembly, ProcessState};
use super::error::Rejected;
use super::systemd;
use super::watch::Watch;
use crate::gate::clock::unix_seconds_f64;
use crate::http::Current;
use crate::metrics::ReloadTrigger;
use crate::settings::{Fingerprint, Settings, Source};
use crate::telemetry::Level;

/// SIGHUP, which would end the process if nobody listened.
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// A running service, as a reload sees it.
pub(super) struct Reloader {
    /// Where the settings in force come from.
    pub(super) source: Source,
    /// The settings with which the process started.
    pub(super) started: Fingerprint,
    pub(super) assembly: Assembly,
    pub(super) process: ProcessState,
    pub(super) current: web::Data<Current>,
    pub(super) level: Level,
}

impl Reloader {
    /// Reloads whenever there is a reason to.
    pub(super) async fn run(mut self, mut hangups: Hangups) {
        let mut watch = Watch::new(self.assembly.settings.files());
        loop {
            let trigger = tokio::select! {
                () = hangups.next() => ReloadTrigger::Signal,
                files = watch.look() => match files.is_some_and(|files| watch.observe(files)) {
                    true => ReloadTrigger::Files,
                    false => continue,
                },
            };
            systemd::reloading();
            match self.reload(trigger).await {
                Ok(()) => watch = Watch::new(self.assembly.settings.files()),
                Err(rejected) if trigger == ReloadTrigger::Files && rejected.may_pass() => {
                    watch.try_again_later();
                }
                Err(_) => {}
            }
            systemd::ready();
        }
    }

    async fn reload(&mut self, trigger: ReloadTrigger) -> Result<(), Rejected> {
        let metrics = self.process.metrics.clone();
        match self.attempt(trigger).await {
            Ok((source, assembly)) => {
                let running = self.assembly.settings.fingerprint();
                let differences = assembly.settings.fingerprint().differences(running);
                let changed = differences.join(", ");
                self.put_in_force(source, assembly);
                tracing::info!(trigger = trigger.as_str(), changed, "reloaded the settings");
                self.warn();
                metrics.count_reload(trigger, unix_seconds_f64(self.process.clock.now()));
                Ok(())
            }
            Err(rejected) => {
                for error in rejected.lines() {
                    tracing::error!(trigger = trigger.as_str(), "cannot reload: {error}");
                }
                tracing::error!("the previous settings stay in force");
                metrics.count_rejected_reload(trigger);
                Err(rejected)
            }
        }
    }

    /// The new settings and what they need, complete but not in force.
    async fn attempt(&self, trigger: ReloadTrigger) -> Result<(Source, Assembly), Rejected> {
        let source = match trigger {
            ReloadTrigger::Signal => self.source.read_again()?,
            // Edits to the settings file take effect only after a signal.
            ReloadTrigger::Files => self.source.clone(),
        };
        let settings = Settings::of(&source)?;
        let assembly = self.assembly.renew(settings, &self.process)?;
        assembly.try_out(&self.assembly).await?;
        Ok((source, assembly))
    }

    /// The previous tasks end here; the previous pool and caches, with the last request that uses
    /// them.
    fn put_in_force(&mut self, source: Source, mut assembly: Assembly) {
        assembly.begin(&self.process);
        if self.assembly.looks_at_database() {
            assembly.look_at_database();
        }
        self.current.replace(assembly.state(&self.process));
        self.level.set(assembly.settings.log.level.targets());
        self.source = source;
        self.assembly = assembly;
    }

    fn warn(&self) {
        let settings = &self.assembly.settings;
        for setting in settings.fingerprint().need_restart(&self.started) {
            tracing::warn!(
                setting,
                "the change takes effect when the service is restarted"
            );
        }
        for warning in settings.warnings() {
            tracing::warn!("{warning}");
        }
    }
}
