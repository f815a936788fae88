//! Builds the gate, the token issuer and their adapters from the settings.

use std::sync::Arc;

use async_trait::async_trait;

use super::SystemEntropy;
use super::configuration::Configuration;
use super::cookies::{session_cookie, token_cookie};
use super::error::WiringError;
use crate::application_api::ApplicationApi;
use crate::django::SessionCodec;
use crate::gate::Gate;
use crate::gate::clock::Clock;
use crate::gate::credential::CredentialSources;
use crate::gate::entropy::Entropy;
use crate::gate::issue::{IssuePolicy, TokenIssuer};
use crate::gate::policy::Policy;
use crate::gate::reason::Outage;
use crate::gate::session::{SessionPolicy, SessionStores, Sessions};
use crate::gate::user::Users;
use crate::gate::verify::{
    ApiAuthenticator, ApiTokens, ApplicationSession, Issuer, JwtOwner, Keys, Native, TokenOwner,
    Verifier,
};
use crate::http_client::HttpClient;
use crate::keys::{self, KeyServer, Refresh};
use crate::metrics::Source;
use crate::postgres::{Postgres, Recent};
use crate::settings::{self, IssuerKeys, Settings};

/// Whether the gate runs as a service, which refreshes published keys in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    Yes,
    No,
}

/// Postgres, directly and behind a cache of a few seconds.
pub(crate) struct Backend {
    pub(crate) postgres: Postgres,
    recent: Arc<Recent>,
}

impl Backend {
    /// Creates the pool without connecting: the service starts without Postgres and connects once
    /// it is up.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, WiringError> {
        let postgres = Postgres::connect(&settings.database)?;
        let codec = SessionCodec::new(&settings.label_studio.secret_key);
        let owner_of = move |data: &str| codec.decode_row(data).ok()?.user_id();
        let recent = Recent::new(postgres.clone(), &settings.database, Box::new(owner_of));
        Ok(Self {
            postgres,
            recent: Arc::new(recent),
        })
    }

    fn users(&self) -> Users {
        Users {
            recent: self.recent.clone(),
            current: Arc::new(self.postgres.clone()),
        }
    }

    fn sessions(&self) -> SessionStores {
        SessionStores {
            recent: self.recent.clone(),
            current: Arc::new(self.postgres.clone()),
        }
    }
}

/// The gate, and what its components tell when they are scraped.
pub(crate) struct Assembled {
    pub(crate) gate: Gate,
    pub(crate) sources: Sources,
}

pub(crate) type Sources = Vec<Arc<dyn Source>>;

pub(crate) fn gate(
    settings: &Settings,
    backend: &Backend,
    clock: Arc<dyn Clock>,
    serving: Serving,
) -> Result<Assembled, WiringError> {
    let mut sources: Sources = vec![
        Arc::new(Configuration::of(settings)),
        Arc::new(backend.postgres.clone()),
        backend.recent.clone(),
    ];
    let secret_key = &settings.label_studio.secret_key;
    let session = &settings.session;
    let policy = SessionPolicy {
        engine: session.engine,
        cookie: session_cookie(session),
        age: *session.cookie_age,
        max_session_age: *session.max_age,
        once: settings.token.once(),
    };
    let application = settings.client_session.as_ref();
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let gate = Gate {
        sources: CredentialSources {
            cookie: settings.token.cookie.as_deref().cloned(),
            parameter: settings.token.parameter.to_string(),
            application_cookie: application.map(|session| session.settings.cookie_name.to_string()),
        },
        token_cookie: token_cookie(settings),
        policy: Policy {
            label_studio_path: label_studio_path(settings),
            ..settings.policy.gate.clone()
        },
        verifier: verifier(settings, backend, serving, &mut sources)?,
        api: api_authenticator(settings, backend.recent.clone()),
        users: backend.users(),
        sessions: Sessions::new(backend.sessions(), policy, secret_key, entropy.clone()),
        clock,
        entropy,
    };
    Ok(Assembled { gate, sources })
}

pub(crate) fn issuer(settings: &Settings, backend: &Backend, clock: Arc<dyn Clock>) -> TokenIssuer {
    let policy = IssuePolicy {
        lifetime: *settings.token_issue.expires_in,
        user_id_claim: settings.native.user_id_claim.clone(),
        create_users: settings.token_issue.create_users,
        legacy_always: settings.token_issue.legacy_api_tokens == settings::LegacyTokens::Allow,
        staff_for_superusers: settings.token_issue.staff_for_superusers,
    };
    let tokens = Arc::new(IssuersTokens {
        recent: backend.recent.clone(),
        current: backend.postgres.clone(),
    });
    TokenIssuer::new(
        backend.users(),
        api_authenticator(settings, tokens),
        &settings.label_studio.secret_key,
        policy,
        clock,
        Arc::new(SystemEntropy),
    )
}

fn api_authenticator(settings: &Settings, tokens: Arc<dyn ApiTokens>) -> ApiAuthenticator {
    ApiAuthenticator::new(
        &settings.label_studio.secret_key,
        &settings.label_studio.former_secret_keys(),
        tokens,
    )
}

/// API tokens for the token route. Personal access tokens are valid for 200 years, so their
/// revocation takes effect at once: they are never read from the cache.
struct IssuersTokens {
    recent: Arc<Recent>,
    current: Postgres,
}

#[async_trait]
impl ApiTokens for IssuersTokens {
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        self.recent.owner_of_key(key).await
    }

    async fn owner_of_jwt(&self, user_id: i32, jti: &str) -> Result<Option<JwtOwner>, Outage> {
        self.current.owner_of_jwt(user_id, jti).await
    }
}

/// The path of the public URL, without a trailing slash.
fn label_studio_path(settings: &Settings) -> String {
    let url = settings.label_studio.url.as_deref();
    url.map_or_else(String::new, |url| {
        url.path().trim_end_matches('/').to_owned()
    })
}

fn verifier(
    settings: &Settings,
    backend: &Backend,
    serving: Serving,
    sources: &mut Sources,
) -> Result<Verifier, WiringError> {
    let secret_key = &settings.label_studio.secret_key;
    let former = &settings.label_studio.former_secret_keys();
    let native = &settings.native;
    let issuers = settings.external.issuers.iter();
    Ok(Verifier {
        issuers: issuers
            .map(|issuer| external(settings, issuer, serving, sources))
            .collect::<Result<_, _>>()?,
        native: native.enabled.then(|| {
            let claim = native.user_id_claim.clone();
            let longest = native.max_lifetime(&settings.token_issue);
            Native::new(secret_key, former, claim, *native.leeway_seconds, longest)
        }),
        api_tokens: native
            .api_tokens
            .then(|| api_authenticator(settings, Arc::new(backend.postgres.clone()))),
        application_session: settings
            .client_session
            .as_ref()
            .map(|session| application_session(session, sources))
            .transpose()?,
        max_length: settings.token.max_length,
    })
}

/// Method 1.
fn external(
    settings: &Settings,
    issuer: &settings::Issuer,
    serving: Serving,
    sources: &mut Sources,
) -> Result<Issuer, WiringError> {
    let keys = match &issuer.keys {
        IssuerKeys::Configured(keys) => Keys::Configured(keys.clone()),
        IssuerKeys::Served(place) => {
            let server = key_server(settings, place)?;
            if serving == Serving::Yes {
                actix_web::rt::spawn(KeyServer::keep_fresh(Arc::downgrade(&server)));
            }
            sources.push(Arc::new(keys::Named {
                issuer: issuer.name.clone(),
                server: server.clone(),
            }));
            Keys::Served(server)
        }
    };
    let (expectation, rules) = (issuer.expectation.clone(), issuer.mapping.clone());
    Ok(Issuer::new(keys, expectation, rules))
}

pub(crate) fn key_server(
    settings: &Settings,
    place: &settings::KeyPlace,
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

/// Method 3.
fn application_session(
    settings: &settings::ClientSession,
    sources: &mut Sources,
) -> Result<ApplicationSession, WiringError> {
    let api = Arc::new(application_api(settings)?);
    sources.push(api.clone());
    Ok(ApplicationSession::new(api, settings.mapping()))
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
