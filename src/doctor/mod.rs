//! `label-studio-gate doctor`: checks everything that a login needs.
//!
//! In: the settings and a connection to Postgres. Out: a [`Report`] with one finding per check; a
//! failed check comes with what to do about it. The checks change nothing in the database.

mod addresses;
mod database;
mod public;
mod report;
mod services;

use std::time::SystemTime;

pub use self::report::{Finding, Level, Report};
use crate::postgres::Postgres;
use crate::settings::Settings;
use crate::startup::WiringError;
use crate::trust::TrustError;

/// Why the checks could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A setting names something that cannot be used.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// There are no trusted certificates for the public URL.
    #[error("label_studio.url: {0}")]
    Trust(#[from] TrustError),
}

/// Runs all checks.
pub async fn check(
    settings: &Settings,
    backend: &Postgres,
    now: SystemTime,
) -> Result<Report, CheckError> {
    let mut report = Report::default();
    report.ok("settings");
    database::check(&mut report, settings, backend, now).await;
    addresses::check(&mut report, backend).await;
    services::check(&mut report, settings).await?;
    public::check(&mut report, settings).await?;
    Ok(report)
}

/// Runs all checks and renders the report. If a check failed, the error holds the report.
pub async fn examine(
    settings: &Settings,
    backend: &Postgres,
    now: SystemTime,
) -> Result<String, String> {
    let report = check(settings, backend, now)
        .await
        .map_err(|error| error.to_string())?;
    match report.failures() {
        0 => Ok(report.to_string()),
        failures => Err(format!("{failures} of the checks failed\n{report}")),
    }
}
