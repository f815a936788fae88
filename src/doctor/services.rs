//! Checks key servers and the host application's API.

use super::Report;
use crate::gate::verify::{ApplicationSessions as _, KeySource as _};
use crate::settings::{IssuerKeys, Settings};
use crate::startup::{self, WiringError};

/// Checks the services that the settings name.
pub(super) async fn check(report: &mut Report, settings: &Settings) -> Result<(), WiringError> {
    key_servers(report, settings).await?;
    application_api(report, settings).await
}

/// Reads the keys of every issuer that publishes them.
async fn key_servers(report: &mut Report, settings: &Settings) -> Result<(), WiringError> {
    for issuer in &settings.external.issuers {
        let name = &issuer.name;
        let IssuerKeys::Served(place) = &issuer.keys else {
            report.ok(format!("{name}: its keys are configured"));
            continue;
        };
        match startup::key_server(settings, place)?.renew().await {
            Ok(keys) => report.ok(format!("{name}: read {} keys", keys.len())),
            Err(_) => report.fail(
                format!("{name}: cannot read its keys from the key server"),
                "see the log line above",
            ),
        }
    }
    Ok(())
}

/// Asks the API about a made-up session, which it must refuse.
async fn application_api(report: &mut Report, settings: &Settings) -> Result<(), WiringError> {
    let Some(session) = &settings.client_session else {
        return Ok(());
    };
    let api = startup::application_api(session)?;
    match api.person("label-studio-gate-doctor").await {
        Ok(None) => report.ok(
            "the host application's API refuses a made-up session (it would do the same if the \
             secret were wrong)",
        ),
        Ok(Some(_)) => report.fail(
            "the host application's API accepts a made-up session",
            "make the endpoint at client_session.verify_url check the cookie",
        ),
        Err(_) => report.fail(
            "the host application's API does not answer as expected",
            "see the log line above; the API must answer 200 with a JSON object, 401 or 403",
        ),
    }
    Ok(())
}
