//! `label-studio-gate doctor`: checks everything that a login needs.
//!
//! In: the settings, a connection to Postgres, and [`Options`]. Out: a [`Report`] with one finding
//! per check; what is wrong comes with its cure. The checks change nothing in the database, except
//! that a login which `--email` asks for is recorded, as the report says.

mod check;
mod database;
mod public;
mod report;
mod services;

use std::time::SystemTime;

use url::Url;

pub use self::check::Check;
pub use self::report::{Finding, Level, Report};
use crate::postgres::Postgres;
use crate::settings::Settings;

/// What to try besides what the settings say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The public URL, instead of `label_studio.url`.
    pub url: Option<Url>,
    /// The user to log in; `None`: nobody is logged in.
    pub email: Option<String>,
}

/// Runs all checks.
pub async fn check(
    settings: &Settings,
    postgres: &Postgres,
    options: &Options,
    now: SystemTime,
) -> Report {
    let mut report = Report::default();
    report.ok(Check::Settings, "settings");
    for warning in settings.warnings() {
        let cure = Some(warning.cure).filter(|cure| !cure.is_empty());
        let cure = cure.unwrap_or_else(|| "check-config shows the settings in force".to_owned());
        match warning.prevents_logins {
            true => report.fail(Check::Settings, warning.what, cure),
            false => report.warn(Check::Settings, warning.what, cure),
        }
    }
    // Boxed: all of this waits on the stack of whoever asks.
    Box::pin(database::check(&mut report, settings, postgres, now)).await;
    services::check(&mut report, settings).await;
    public::check(&mut report, settings, postgres, options, now).await;
    report
}
