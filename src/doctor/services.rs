//! Checks key servers, OpenID providers and the host application's API.

use super::{Check, Report};
use crate::application_api::{SecretTrial, Trial, Verdict};
use crate::gate::verify::SessionRefusal;
use crate::settings::{IssuerKeys, KeyPlace, Settings};
use crate::startup;

const MISSED: &str = "set client_session.verify_url to the URL that answers GET, and let it answer an unknown session with \
     401";

/// Checks the services that the settings name.
pub(super) async fn check(report: &mut Report, settings: &Settings) {
    key_servers(report, settings).await;
    openid_providers(report, settings).await;
    application_api(report, settings).await;
}

/// Reads the keys of every issuer that publishes them.
async fn key_servers(report: &mut Report, settings: &Settings) {
    let check = Check::IssuerKeys;
    for issuer in &settings.external.issuers {
        let name = &issuer.name;
        let IssuerKeys::Served(place) = &issuer.keys else {
            report.ok(check, format!("{name}: its keys are configured"));
            continue;
        };
        read_keys(report, settings, name, place).await;
    }
}

async fn read_keys(report: &mut Report, settings: &Settings, name: &str, place: &KeyPlace) {
    let check = Check::IssuerKeys;
    let server = match startup::key_server(settings, place) {
        Ok(server) => server,
        Err(error) => {
            return report.fail(check, format!("{name}: {error}"), "correct the setting");
        }
    };
    match server.read().await {
        Ok(keys) if keys.is_empty() => report.ok(
            check,
            format!("{name}: its keys are read when tokens name them"),
        ),
        Ok(keys) => report.ok(check, format!("{name}: read {} keys", keys.len())),
        Err(error) => report.fail(
            check,
            format!(
                "{name}: cannot read its keys from {}: {error}",
                server.host()
            ),
            error.cure(),
        ),
    }
}

/// Reads what each provider publishes about itself, and its keys. Whether it knows the gate shows in a
/// sign-in only.
async fn openid_providers(report: &mut Report, settings: &Settings) {
    let Some(sign_in) = &settings.sign_in else {
        return;
    };
    let check = Check::OpenIdProvider;
    for provider in &sign_in.providers {
        let name = provider.setting();
        let adapter = match startup::openid_provider(settings, sign_in, provider) {
            Ok(adapter) => adapter,
            Err(error) => {
                report.fail(check, format!("{name}: {error}"), "correct the setting");
                continue;
            }
        };
        let redirect_uri = sign_in.redirect_uri(provider);
        match adapter.try_out().await {
            Ok(()) => report.ok(
                check,
                format!(
                    "{name}: the provider answers; {redirect_uri} must be registered there as \
                     redirect URI"
                ),
            ),
            Err(error) => report.fail(
                check,
                format!("{name}: cannot read the discovery document: {error}"),
                error.cure(),
            ),
        }
        if provider.shared_key().is_none() {
            read_keys(report, settings, &name, &provider.keys).await;
        }
    }
}

/// Asks the API about a made-up session, which it must refuse.
async fn application_api(report: &mut Report, settings: &Settings) {
    let Some(session) = &settings.client_session else {
        return;
    };
    let check = Check::ApplicationSession;
    let api = match startup::application_api(session) {
        Ok(api) => api,
        Err(error) => return report.fail(check, error.to_string(), "correct the setting"),
    };
    match api.try_out().await {
        Ok(trial) => judge(report, &trial),
        Err(error) => report.fail(
            check,
            format!("the host application's API does not answer: {error}"),
            error.cure("client_session.ca_file"),
        ),
    }
}

fn judge(report: &mut Report, trial: &Trial) {
    let check = Check::ApplicationSession;
    match &trial.verdict {
        Verdict::Nobody(why) => {
            if let Some(what) = trial.misses() {
                let what = format!("the host application's API {what}");
                return report.warn(check, what, MISSED);
            }
            report.ok(
                check,
                "the host application's API refuses a made-up session",
            );
            secret(report, trial.secret, *why);
        }
        Verdict::Somebody(_) => {
            report.fail(
                check,
                "the host application's API accepts a made-up session",
                "make the endpoint at client_session.verify_url check the cookie",
            );
            secret(report, trial.secret, SessionRefusal::Unknown);
        }
        Verdict::Unusable(why) | Verdict::Failed(why) => report.fail(
            check,
            format!("the host application's API does not answer as expected: {why}"),
            "the API must answer 200 with a JSON object, 401 or 403 at client_session.verify_url \
             itself; compare client_session.verify_secret with your application's too",
        ),
    }
}

/// An API that refuses a wrong secret as it refuses a made-up session hides which of the two it is,
/// unless it answers 403, which says so (docs/methods.md) but is also what some frameworks answer to
/// whoever is not signed in.
fn secret(report: &mut Report, secret: SecretTrial, why: SessionRefusal) {
    let check = Check::ApplicationSecret;
    match secret {
        SecretTrial::Right => report.ok(
            check,
            "the host application's API accepts client_session.verify_secret",
        ),
        SecretTrial::Unchecked => report.fail(
            check,
            "the host application's API names a user to whoever asks with a wrong secret",
            "make the endpoint at client_session.verify_url compare X-Verify-Token with \
             client_session.verify_secret",
        ),
        SecretTrial::Unanswered => report.warn(
            check,
            "the host application's API fails when it is asked with a wrong secret, so nothing \
             shows that client_session.verify_secret is right",
            "let the API answer a wrong X-Verify-Token with 403; if it limits requests, try again \
             in a minute",
        ),
        SecretTrial::Unknown => report.warn(
            check,
            match why {
                SessionRefusal::Forbidden => {
                    "the host application's API answers 403 to client_session.verify_secret, as it \
                     does to a wrong secret: it is probably wrong, and then nobody is logged in"
                }
                SessionRefusal::Unknown => {
                    "the host application's API answers a wrong secret as it answers \
                     client_session.verify_secret, which may be wrong too; or the API doesn't check it"
                }
            },
            "compare client_session.verify_secret with your application's; let its API answer a \
             wrong X-Verify-Token with 403 and an unknown session with 401, and this check can \
             tell",
        ),
    }
}
