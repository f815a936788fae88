//! The HTTP services that the gate asks: key servers, OpenID providers, and the host application's
//! API.

use std::sync::{Arc, Weak};

use super::background::Background;
use super::error::WiringError;
use super::{SystemClock, SystemEntropy};
use crate::application_api::ApplicationApi;
use crate::gate::verify::KeySource as _;
use crate::http_client::{HttpClient, Limits};
use crate::keys::{self, KeyServer, Refresh};
use crate::metrics::Source;
use crate::openid::{self, ClientAuthentication, OpenIdProvider, Registration, SigningKey};
use crate::settings::{self, IssuerKeys, KeyPlace, Settings};

/// Adapters for every service that the settings name.
pub(crate) struct Services {
    key_servers: Vec<(KeyPlace, Arc<KeyServer>)>,
    /// By name.
    openid_providers: Vec<(String, Arc<OpenIdProvider>)>,
    pub(super) application_api: Option<Arc<ApplicationApi>>,
}

impl Services {
    /// Asks nothing yet.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, WiringError> {
        let api = settings.client_session.as_ref().map(application_api);
        Ok(Self {
            key_servers: key_servers(settings)?,
            openid_providers: openid_providers(settings)?,
            application_api: api.transpose()?.map(Arc::new),
        })
    }

    /// The services of new settings. Those whose settings are the same are the same: the keys that
    /// were read, the cache, the circuit breaker.
    pub(super) fn renew(
        &self,
        running: &Settings,
        settings: &Settings,
    ) -> Result<Self, WiringError> {
        let mut renewed = Self::connect(settings)?;
        let same_limits = settings.agrees(running, "key_server");
        for (place, server) in &mut renewed.key_servers {
            match self.key_server(place) {
                Some(previous) if same_limits => *server = previous,
                Some(previous) => server.take_over(&previous),
                None => {}
            }
        }
        if settings.agrees(running, "client_session") {
            renewed.application_api.clone_from(&self.application_api);
        }
        let about_providers = ["sign_in", "key_server", "label_studio.url"];
        let mut about_providers = about_providers.iter();
        if about_providers.all(|name| settings.agrees(running, name)) {
            renewed.openid_providers.clone_from(&self.openid_providers);
        }
        Ok(renewed)
    }

    /// The OpenID provider with this name.
    pub(super) fn openid_provider(&self, name: &str) -> Option<Arc<OpenIdProvider>> {
        let mut providers = self.openid_providers.iter();
        let (_, provider) = providers.find(|(known, _)| known == name)?;
        Some(provider.clone())
    }

    /// The key server at `place`.
    pub(super) fn key_server(&self, place: &KeyPlace) -> Option<Arc<KeyServer>> {
        let mut servers = self.key_servers.iter();
        let (_, server) = servers.find(|(known, _)| known == place)?;
        Some(server.clone())
    }

    /// Reads the keys of the servers that `running` does not know, so that their tokens can be
    /// verified from the first request on. The error names a server that cannot be read.
    pub(super) async fn read_new_keys(&self, running: &Self) -> Result<(), String> {
        for (place, server) in &self.key_servers {
            let is_new = running.key_server(place).is_none();
            if server.current().is_none() && server.renew(None).await.is_err() && is_new {
                return Err(server.host().to_owned());
            }
        }
        Ok(())
    }

    /// What the services tell when they are scraped, the key servers under the names of issuers.
    pub(super) fn sources(&self, settings: &Settings) -> Vec<Arc<dyn Source>> {
        let mut sources: Vec<Arc<dyn Source>> = Vec::new();
        for (issuer, place) in key_places(settings) {
            if let Some(server) = self.key_server(place) {
                sources.push(Arc::new(keys::Named { issuer, server }));
            }
        }
        for named in settings.sign_in.iter().flat_map(|it| &it.providers) {
            if let Some(provider) = self.openid_provider(&named.name) {
                let name = named.setting();
                sources.push(Arc::new(openid::Named { name, provider }));
            }
        }
        if let Some(api) = &self.application_api {
            sources.push(api.clone());
        }
        sources
    }

    /// Reads the keys, unless the cooldown is running, and keeps them fresh.
    pub(super) fn keep_fresh(&self) -> Vec<Background> {
        let refresh = async |server: Weak<KeyServer>| {
            if let Some(server) = server.upgrade() {
                // The outcome is in the snapshot and in the log.
                let _ = server.renew(None).await;
            }
            KeyServer::keep_fresh(server).await;
        };
        let servers = self.key_servers.iter();
        let work = servers.map(|(_, server)| refresh(Arc::downgrade(server)));
        let providers = self.openid_providers.iter();
        let providers = providers
            .map(|(_, provider)| OpenIdProvider::keep_fresh(Arc::downgrade(provider)))
            .map(Background::start);
        work.map(Background::start).chain(providers).collect()
    }
}

/// One server for each place, however many issuers publish there.
fn key_servers(settings: &Settings) -> Result<Vec<(KeyPlace, Arc<KeyServer>)>, WiringError> {
    let mut servers: Vec<(KeyPlace, Arc<KeyServer>)> = Vec::new();
    for place in key_places(settings).map(|(_, place)| place) {
        if !servers.iter().any(|(known, _)| known == place) {
            servers.push((place.clone(), key_server(settings, place)?));
        }
    }
    Ok(servers)
}

/// Where keys are published, by the issuer's name in messages.
fn key_places(settings: &Settings) -> impl Iterator<Item = (String, &KeyPlace)> {
    let issuers = settings.external.issuers.iter();
    let issuers = issuers.filter_map(|issuer| match &issuer.keys {
        IssuerKeys::Served(place) => Some((issuer.name.clone(), place)),
        IssuerKeys::Configured(_) => None,
    });
    let providers = settings.sign_in.iter().flat_map(|it| &it.providers);
    let providers = providers.filter(|provider| provider.shared_key().is_none());
    issuers.chain(providers.map(|provider| (provider.setting(), &provider.keys)))
}

fn openid_providers(
    settings: &Settings,
) -> Result<Vec<(String, Arc<OpenIdProvider>)>, WiringError> {
    let Some(sign_in) = &settings.sign_in else {
        return Ok(Vec::new());
    };
    let providers = sign_in.providers.iter();
    let providers = providers.map(|provider| {
        let adapter = openid_provider(settings, sign_in, provider)?;
        Ok((provider.name.clone(), Arc::new(adapter)))
    });
    providers.collect()
}

pub(crate) fn openid_provider(
    settings: &Settings,
    sign_in: &settings::SignIn,
    provider: &settings::OpenIdProvider,
) -> Result<OpenIdProvider, WiringError> {
    let limits = Limits {
        // Codes and secrets go to the endpoints that the provider names, and nowhere else.
        redirects: 0,
        ..settings.key_server.limits(provider.allow_http)
    };
    let http = HttpClient::new(&limits).map_err(WiringError::KeyServer)?;
    Ok(OpenIdProvider::new(
        registration(sign_in, provider),
        provider.document.clone(),
        http,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    ))
}

fn registration(sign_in: &settings::SignIn, provider: &settings::OpenIdProvider) -> Registration {
    Registration {
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        authentication: match &provider.authentication {
            settings::ClientAuthentication::Public => ClientAuthentication::Public,
            settings::ClientAuthentication::Secret(secret) => {
                ClientAuthentication::Secret(secret.clone())
            }
            settings::ClientAuthentication::PrivateKey { key, algorithm, id } => {
                ClientAuthentication::PrivateKey(SigningKey {
                    key: key.clone(),
                    algorithm: *algorithm,
                    id: id.clone(),
                })
            }
        },
        redirect_uri: sign_in.redirect_uri(provider),
        signed_out_uri: sign_in.page("/sso/signed-out"),
        scopes: provider.scopes.clone(),
        prompt: provider.prompt.map(settings::Prompt::as_str),
        max_age: provider.max_age.map(|age| age.as_secs()),
        acr_values: provider.acr_values.clone(),
    }
}

pub(crate) fn key_server(
    settings: &Settings,
    place: &KeyPlace,
) -> Result<Arc<KeyServer>, WiringError> {
    let key_server = &settings.key_server;
    let limits = key_server.limits(place.allow_http);
    let http = HttpClient::new(&limits).map_err(WiringError::KeyServer)?;
    let refresh = Refresh {
        every: *key_server.refresh_seconds,
        cooldown: *key_server.cooldown_seconds,
    };
    let (location, allowed) = (place.location.clone(), place.allowed.clone());
    let entropy = Arc::new(SystemEntropy);
    Ok(KeyServer::new(location, allowed, refresh, http, entropy))
}

pub(crate) fn application_api(
    session: &settings::ClientSession,
) -> Result<ApplicationApi, WiringError> {
    let http = HttpClient::new(&session.limits()).map_err(WiringError::ApplicationApi)?;
    let api = ApplicationApi::new(
        session.verify_url.clone(),
        &session.settings.verify_secret,
        session.settings.cookie_name.to_string(),
        *session.settings.cache_ttl_seconds,
        http,
    )?;
    Ok(api)
}
