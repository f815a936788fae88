//! The gate with its methods, from the settings.

use std::sync::Arc;

use crate::client_api::ClientApi;
use crate::django::{CookieAttributes, SameSite};
use crate::gate::clock::Clock;
use crate::gate::session::{SessionPolicy, Sessions};
use crate::gate::verify::{ApiTokenVerifier, ClientSession, Issuer, Keys, Native, Verifier};
use crate::gate::{Gate, Places};
use crate::keys::{KeyServer, Refresh};
use crate::outgoing::{Limits, Outgoing};
use crate::postgres::Postgres;
use crate::settings::{self, IssuerKeys, Settings};

/// Whether the gate answers for long, so that keys are worth reading again in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    Yes,
    No,
}

pub(crate) fn gate(
    settings: &Settings,
    backend: Postgres,
    clock: Arc<dyn Clock>,
    serving: Serving,
) -> Result<Gate<Postgres, Postgres>, String> {
    let secret_key = &settings.label_studio.secret_key;
    let session = &settings.session;
    let policy = SessionPolicy {
        engine: session.engine,
        cookie: session_cookie(session),
        age: session.cookie_age,
        max_session_age: session.max_age,
        once: settings.token.once,
    };
    let places = Places {
        token_cookie: token_cookie(settings),
        parameter: settings.token.parameter.clone(),
        client_cookie: settings
            .client_session
            .as_ref()
            .map(|client| client.cookie_name.clone()),
    };
    Ok(Gate::new(
        places,
        settings.policy.gate.clone(),
        verifier(settings, backend.clone(), serving)?,
        backend.clone(),
        Sessions::new(backend, policy, secret_key),
        clock,
    ))
}

fn verifier(
    settings: &Settings,
    backend: Postgres,
    serving: Serving,
) -> Result<Verifier<Postgres>, String> {
    let secret_key = &settings.label_studio.secret_key;
    let former = &settings.label_studio.former_secret_keys;
    let native = &settings.native;
    let issuers = settings.external.issuers.iter();
    Ok(Verifier {
        issuers: issuers
            .map(|issuer| external(settings, issuer, serving))
            .collect::<Result<_, _>>()?,
        native: native.enabled.then(|| {
            let claim = native.user_id_claim.clone();
            let (leeway, longest) = (native.leeway, native.max_lifetime);
            Native::new(secret_key, former, claim, leeway, longest)
        }),
        api_tokens: native
            .api_tokens
            .then(|| (ApiTokenVerifier::new(secret_key, former), backend)),
        client_session: settings
            .client_session
            .as_ref()
            .map(client_session)
            .transpose()?,
        max_length: settings.token.max_length,
    })
}

/// Method 1.
fn external(
    settings: &Settings,
    issuer: &settings::Issuer,
    serving: Serving,
) -> Result<Issuer, String> {
    let keys = match &issuer.keys {
        IssuerKeys::Configured(keys) => Keys::Configured(keys.clone()),
        IssuerKeys::Served(place) => {
            let server = key_server(settings, place)?;
            if serving == Serving::Yes {
                actix_web::rt::spawn(KeyServer::keep_fresh(Arc::downgrade(&server)));
            }
            Keys::Served(server)
        }
    };
    let (expectation, rules) = (issuer.expectation.clone(), issuer.rules.clone());
    Ok(Issuer::new(keys, expectation, rules))
}

pub(crate) fn key_server(
    settings: &Settings,
    place: &settings::KeyPlace,
) -> Result<Arc<KeyServer>, String> {
    let external = &settings.external;
    let limits = Limits {
        allow_http: place.allow_http,
        ..external.limits.clone()
    };
    let outgoing =
        Outgoing::new(&limits).map_err(|error| format!("key_server.ca_file: {error}"))?;
    let refresh = Refresh {
        every: external.refresh,
        cooldown: external.cooldown,
    };
    let (location, allowed) = (place.location.clone(), place.allowed.clone());
    Ok(KeyServer::new(location, allowed, refresh, outgoing))
}

/// Method 3.
fn client_session(client: &settings::ClientSession) -> Result<ClientSession, String> {
    let api = client_api(client)?;
    Ok(ClientSession::new(Arc::new(api), client.rules.clone()))
}

pub(crate) fn client_api(client: &settings::ClientSession) -> Result<ClientApi, String> {
    let outgoing =
        Outgoing::new(&client.limits).map_err(|e| format!("client_session.ca_file: {e}"))?;
    ClientApi::new(
        client.verify_url.clone(),
        &client.verify_secret,
        client.cookie_name.clone(),
        client.cache_ttl,
        outgoing,
    )
    .map_err(|why| format!("client_session.verify_secret: {why}"))
}

fn session_cookie(session: &settings::Session) -> CookieAttributes {
    CookieAttributes {
        name: session.cookie_name.clone(),
        domain: session.cookie_domain.clone(),
        path: session.cookie_path.clone(),
        same_site: session.cookie_samesite,
        secure: session.cookie_secure,
        http_only: session.cookie_httponly,
        partitioned: session.cookie_partitioned,
    }
}

/// The token's cookie as the plugin deletes it: `Response.delete_cookie(name, path, domain)`.
fn token_cookie(settings: &Settings) -> Option<CookieAttributes> {
    settings.token.cookie.clone().map(|name| CookieAttributes {
        name,
        domain: settings.token.cookie_domain.clone(),
        path: settings.token.cookie_path.clone(),
        same_site: SameSite::Lax,
        secure: false,
        http_only: true,
        partitioned: false,
    })
}
