//! Builds the gate, the token issuer and their adapters from the settings.

use std::sync::Arc;

use async_trait::async_trait;

use super::SystemEntropy;
use super::cookies::{session_cookie, token_cookie};
use super::error::WiringError;
use super::mismatches::LoggedMismatches;
use super::services::Services;
use crate::django::SessionCodec;
use crate::gate::Gate;
use crate::gate::clock::Clock;
use crate::gate::credential::CredentialSources;
use crate::gate::entropy::Entropy;
use crate::gate::issue::{IssuePolicy, TokenIssuer};
use crate::gate::openid::{FlowCookies, RelyingParty, SignIn};
use crate::gate::policy::Policy;
use crate::gate::reason::Outage;
use crate::gate::session::{SessionPolicy, SessionStores, Sessions, StoredData};
use crate::gate::user::Users;
use crate::gate::verify::{
    ApiAuthenticator, ApiTokens, ApplicationSession, Issuer, JwtOwner, Keys, Native, TokenOwner,
    UnsignedProxy, Verifier,
};
use crate::http::OpenId;
use crate::postgres::{CachedPostgres, Postgres};
use crate::settings::{self, IssuerKeys, Settings};

/// Postgres, directly and behind a cache of a few seconds.
pub(crate) struct Backend {
    pub(crate) postgres: Postgres,
    pub(super) recent: Arc<CachedPostgres>,
}

impl Backend {
    /// Creates the pool without connecting: the service starts without Postgres and connects once
    /// it is up.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, WiringError> {
        let postgres = Postgres::connect(&settings.database)?;
        Ok(Self {
            recent: recent(settings, &postgres),
            postgres,
        })
    }

    /// The backend of new settings: the same pool if it leads to the same database within the same
    /// limits, and the same cache if the cached rows are read with the same key.
    pub(super) fn renew(
        &self,
        running: &Settings,
        settings: &Settings,
    ) -> Result<Self, WiringError> {
        if !settings.agrees(running, "database") {
            return Self::connect(settings);
        }
        let postgres = self.postgres.clone();
        let recent = match settings.agrees(running, "label_studio.secret_key") {
            true => self.recent.clone(),
            false => recent(settings, &postgres),
        };
        Ok(Self { postgres, recent })
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

/// A cache in front of `postgres`.
fn recent(settings: &Settings, postgres: &Postgres) -> Arc<CachedPostgres> {
    let codec = SessionCodec::new(&settings.label_studio.secret_key);
    let owner_of = move |data: &StoredData| data.session(&codec).ok()?.user_id();
    let recent = CachedPostgres::new(postgres.clone(), &settings.database, Box::new(owner_of));
    Arc::new(recent)
}

pub(crate) fn gate(
    settings: &Settings,
    backend: &Backend,
    services: &Services,
    clock: Arc<dyn Clock>,
) -> Gate {
    let secret_key = &settings.label_studio.secret_key;
    let session = &settings.session;
    let policy = SessionPolicy {
        engine: session.engine,
        cookie: session_cookie(session),
        age: *session.cookie_age,
        max_session_age: *session.max_age,
        once: settings.token.once(),
        kept_cookies: settings.database.limits.cached_rows(),
    };
    let application = settings.client_session.as_ref();
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    Gate {
        sources: CredentialSources {
            cookie: settings.token.cookie.as_deref().cloned(),
            parameter: settings.token.parameter.to_string(),
            application_cookie: application.map(|session| session.settings.cookie_name.to_string()),
        },
        token_cookie: token_cookie(settings),
        policy: Policy {
            label_studio_path: label_studio_path(settings),
            protects_usernames: finds_by_username(settings),
            ..settings.policy.gate.clone()
        },
        verifier: verifier(settings, backend, services),
        api: api_authenticator(settings, backend.recent.clone()),
        users: backend.users(),
        sessions: Sessions::new(
            backend.sessions(),
            policy,
            secret_key,
            entropy.clone(),
            Arc::new(LoggedMismatches::new()),
        ),
        clock,
        entropy,
    }
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
    recent: Arc<CachedPostgres>,
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

/// Whether some method finds users by their username.
fn finds_by_username(settings: &Settings) -> bool {
    let issuers = settings.external.issuers.iter();
    let providers = settings.sign_in.iter().flat_map(|it| &it.providers);
    let mut mappings = (issuers.map(|it| &it.mapping)).chain(providers.map(|it| &it.mapping));
    let application = settings.client_session.as_ref();
    let proxy = settings.proxy_headers.as_ref();
    mappings.any(|mapping| mapping.username_claim.is_some())
        || application.is_some_and(|it| it.settings.username_field.is_some())
        || proxy.is_some_and(|it| it.username.is_some())
}

fn verifier(settings: &Settings, backend: &Backend, services: &Services) -> Verifier {
    let secret_key = &settings.label_studio.secret_key;
    let former = &settings.label_studio.former_secret_keys();
    let native = &settings.native;
    let issuers = settings.external.issuers.iter();
    Verifier {
        issuers: issuers
            .filter_map(|issuer| external(issuer, services))
            .collect(),
        native: native.enabled.then(|| {
            let claim = native.user_id_claim.clone();
            let longest = native.max_lifetime(&settings.token_issue);
            Native::new(secret_key, former, claim, *native.leeway_seconds, longest)
        }),
        api_tokens: native
            .api_tokens
            .then(|| api_authenticator(settings, Arc::new(backend.postgres.clone()))),
        application_session: application_session(settings, services),
        unsigned: settings.proxy_headers.as_ref().map(unsigned),
        max_length: settings.token.max_length,
    }
}

/// Method 1. `services` has a key server for every issuer that needs one.
fn external(issuer: &settings::Issuer, services: &Services) -> Option<Issuer> {
    let keys = match &issuer.keys {
        IssuerKeys::Configured(keys) => Keys::Configured(keys.clone()),
        IssuerKeys::Served(place) => Keys::Served(services.key_server(place)?),
    };
    let (expectation, rules) = (issuer.expectation.clone(), issuer.mapping.clone());
    let load_balancer = issuer.load_balancer.clone();
    Some(Issuer::new(keys, expectation, rules).behind(load_balancer))
}

/// Sign-in at OpenID providers. `services` has an adapter and a key server for each of them.
pub(super) fn sign_in(settings: &Settings, services: &Services) -> Option<OpenId> {
    let sign_in = settings.sign_in.as_ref()?;
    let label_studio = &settings.label_studio;
    let cookies = FlowCookies::new(
        &label_studio.secret_key,
        &label_studio.former_secret_keys(),
        sign_in.is_secure(),
    );
    let providers = sign_in.providers.iter();
    let parties = providers.filter_map(|provider| relying_party(provider, services));
    Some(OpenId {
        sign_in: SignIn::new(parties.collect(), cookies, Arc::new(SystemEntropy)),
        backchannel_logout: sign_in.backchannel_logout,
        provider_logout: sign_in.provider_logout,
    })
}

fn relying_party(provider: &settings::OpenIdProvider, services: &Services) -> Option<RelyingParty> {
    let keys = match provider.shared_key() {
        Some(keys) => Keys::Configured(keys),
        None => Keys::Served(services.key_server(&provider.keys)?),
    };
    Some(RelyingParty {
        name: provider.name.clone(),
        label: provider.label.clone(),
        client_id: provider.client_id.clone(),
        other_audiences: provider.other_audiences.clone(),
        max_age: provider.max_age,
        acr_values: provider.acr_values.clone(),
        wanted_claims: provider.wanted_claims(),
        required: provider.required.clone(),
        session_age: provider.session_age,
        issuer: Issuer::new(keys, provider.expectation.clone(), provider.mapping.clone()),
        provider: services.openid_provider(&provider.name)?,
    })
}

/// A proxy in front that names users without a signature.
fn unsigned(headers: &settings::ProxyHeaders) -> UnsignedProxy {
    let rules = &headers.rules;
    let (separator, allowed) = (rules.groups_separator.as_char(), &rules.allowed_groups);
    UnsignedProxy::new(
        &rules.secret,
        separator,
        allowed.clone(),
        rules.create_users,
    )
}

/// Method 3.
fn application_session(settings: &Settings, services: &Services) -> Option<ApplicationSession> {
    let mapping = settings.client_session.as_ref()?.mapping();
    let api = services.application_api.clone()?;
    Some(ApplicationSession::new(api, mapping))
}
