//! The gate with its methods, from the settings.

use std::sync::Arc;

use async_trait::async_trait;

use super::SystemEntropy;
use crate::client_api::ClientApi;
use crate::django::{CookieAttributes, SameSite, SessionCodec};
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
    ApiAuthenticator, ApiTokens, ClientSession, Issuer, JwtOwner, Keys, Native, TokenOwner,
    Verifier,
};
use crate::keys::{KeyServer, Refresh};
use crate::outgoing::Outgoing;
use crate::postgres::{Postgres, Recent};
use crate::settings::{self, IssuerKeys, Settings};

/// Whether the gate answers for long, so that keys are worth reading again in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    Yes,
    No,
}

/// Postgres, as it is now and as it was some seconds ago.
pub(crate) struct Backend {
    pub(crate) postgres: Postgres,
    recent: Arc<Recent>,
}

impl Backend {
    /// Nothing is connected yet: the service starts without Postgres and finds it when it is there.
    pub(crate) fn connect(settings: &Settings) -> Result<Self, String> {
        let postgres =
            Postgres::connect(&settings.database).map_err(|error| format!("database: {error}"))?;
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

pub(crate) fn gate(
    settings: &Settings,
    backend: &Backend,
    clock: Arc<dyn Clock>,
    serving: Serving,
) -> Result<Gate, String> {
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
    Ok(Gate {
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
        verifier: verifier(settings, backend, serving)?,
        api: api_authenticator(settings, backend.recent.clone()),
        users: backend.users(),
        sessions: Sessions::new(backend.sessions(), policy, secret_key, entropy.clone()),
        clock,
        entropy,
    })
}

/// Issues tokens.
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

/// What the token route believes: a personal access token lives for 200 years, so that its revocation counts at once.
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

/// Where browsers reach Label Studio.
pub(super) fn label_studio_url(settings: &Settings) -> Option<url::Url> {
    let url = settings.label_studio.url.as_deref()?;
    url::Url::parse(url).ok()
}

/// The path of that address, without a slash at its end.
fn label_studio_path(settings: &Settings) -> String {
    let url = label_studio_url(settings);
    url.map_or_else(String::new, |url| {
        url.path().trim_end_matches('/').to_owned()
    })
}

fn verifier(settings: &Settings, backend: &Backend, serving: Serving) -> Result<Verifier, String> {
    let secret_key = &settings.label_studio.secret_key;
    let former = &settings.label_studio.former_secret_keys();
    let native = &settings.native;
    let issuers = settings.external.issuers.iter();
    Ok(Verifier {
        issuers: issuers
            .map(|issuer| external(settings, issuer, serving))
            .collect::<Result<_, _>>()?,
        native: native.enabled.then(|| {
            let claim = native.user_id_claim.clone();
            let longest = native.max_lifetime(&settings.token_issue);
            Native::new(secret_key, former, claim, *native.leeway_seconds, longest)
        }),
        api_tokens: native
            .api_tokens
            .then(|| api_authenticator(settings, Arc::new(backend.postgres.clone()))),
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
    let key_server = &settings.key_server;
    let limits = key_server.limits(place.allow_http);
    let outgoing =
        Outgoing::new(&limits).map_err(|error| format!("key_server.ca_file: {error}"))?;
    let refresh = Refresh {
        every: *key_server.refresh_seconds,
        cooldown: *key_server.cooldown_seconds,
    };
    let (location, allowed) = (place.location.clone(), place.allowed.clone());
    Ok(KeyServer::new(location, allowed, refresh, outgoing))
}

/// Method 3.
fn client_session(client: &settings::ClientSession) -> Result<ClientSession, String> {
    let api = client_api(client)?;
    Ok(ClientSession::new(Arc::new(api), client.rules()))
}

pub(crate) fn client_api(client: &settings::ClientSession) -> Result<ClientApi, String> {
    let outgoing =
        Outgoing::new(&client.limits()).map_err(|e| format!("client_session.ca_file: {e}"))?;
    ClientApi::new(
        client.verify_url.clone(),
        &client.settings.verify_secret,
        client.settings.cookie_name.to_string(),
        *client.settings.cache_ttl_seconds,
        outgoing,
    )
    .map_err(|why| format!("client_session.verify_secret: {why}"))
}

fn session_cookie(session: &settings::Session) -> CookieAttributes {
    CookieAttributes {
        name: session.cookie_name.to_string(),
        domain: session.cookie_domain.as_deref().cloned(),
        path: session.cookie_path.to_string(),
        same_site: session.cookie_samesite,
        secure: session.cookie_secure,
        http_only: session.cookie_httponly,
        partitioned: session.cookie_partitioned,
    }
}

/// The token's cookie as it is deleted. In a frame of another site browsers heed no deletion that could not have set the cookie
/// there, and they take `SameSite=None` and `Partitioned` with `Secure` only.
fn token_cookie(settings: &Settings) -> Option<CookieAttributes> {
    let token = &settings.token;
    let same_site = token.cookie_same_site(&settings.session);
    let partitioned = token.is_partitioned(&settings.session);
    token.cookie.as_deref().map(|name| CookieAttributes {
        secure: partitioned
            || same_site == SameSite::None
            || name.starts_with("__Secure-")
            || name.starts_with("__Host-"),
        name: name.clone(),
        domain: token.cookie_domain.as_deref().cloned(),
        path: token.cookie_path.to_string(),
        same_site,
        http_only: true,
        partitioned,
    })
}
