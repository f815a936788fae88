//! What a running service consists of, and what a reload takes over of it.
//!
//! | what | after a reload |
//! |---|---|
//! | metrics, log limits, counts of wrong API tokens | the same |
//! | Postgres: pool, schema | the same, unless `[database]` changed |
//! | cached rows | the same, unless `[database]` or `SECRET_KEY` changed |
//! | published keys | taken over from the same server, and read again in the background |
//! | what is known about OpenID providers | the same, unless `[sign_in]`, `[key_server]` or the public URL changed |
//! | the client of the host application's API | the same, unless `[client_session]` changed |
//! | the queue of spans | the same, unless `[traces]` changed |
//! | the queue of audit events | the same, unless `[audit]` or `[database]` changed |
//! | everything else | new |

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderName;

use super::background::Background;
use super::configuration::Configuration;
use super::database;
use super::error::{Rejected, WiringError};
use super::services::Services;
use super::traces;
use super::wiring::{Backend, gate, issuer, sign_in};
use super::{SystemClock, SystemEntropy};
use crate::audit::AuditTrail;
use crate::gate::Readiness as _;
use crate::gate::clock::Clock;
use crate::gate::entropy::Entropy as _;
use crate::gate::reason::Outage;
use crate::http::{self, IdentityHeaders, Limiter, RateLimits, RefusalLog, State, TrustedProxies};
use crate::metrics::{Metrics, Source};
use crate::postgres::Postgres;
use crate::settings::Settings;
use crate::traces::Traces;

/// What lives as long as the process, whatever is reloaded.
#[derive(Clone)]
pub(super) struct ProcessState {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    refusals: Arc<RefusalLog>,
}

/// The settings in force, and what was built from them.
pub(super) struct Assembly {
    pub(super) settings: Settings,
    backend: Backend,
    services: Services,
    limiter: Limiter,
    traces: Option<Arc<Traces>>,
    audit: Option<Arc<AuditTrail>>,
    purge: Option<Arc<Background>>,
    refreshing: Vec<Background>,
    /// Looks at the database, if the service was asked to.
    looking: Option<Background>,
}

impl ProcessState {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            refusals: Arc::new(RefusalLog::new(metrics.clone())),
            metrics,
        }
    }
}

impl Assembly {
    /// Everything new. Call [`Self::begin`] next.
    pub(super) fn new(settings: Settings, process: &ProcessState) -> Result<Self, WiringError> {
        Ok(Self {
            backend: Backend::connect(&settings)?,
            services: Services::connect(&settings)?,
            limiter: Limiter::new(rate_limits(&settings)),
            traces: traces(&settings, process)?,
            audit: None,
            purge: None,
            refreshing: Vec::new(),
            looking: None,
            settings,
        })
    }

    /// What new settings need, with as much of `self` as they allow. `self` keeps running. Nothing is
    /// asked, and no task is started, until [`Self::try_out`] and [`Self::begin`].
    pub(super) fn renew(
        &self,
        settings: Settings,
        process: &ProcessState,
    ) -> Result<Self, WiringError> {
        let backend = self.backend.renew(&self.settings, &settings)?;
        let same_audit =
            settings.agrees(&self.settings, "audit") && settings.agrees(&self.settings, "database");
        let same_purge = settings.agrees(&self.settings, "purge") && same_audit;
        let traces = match settings.agrees(&self.settings, "traces") {
            true => self.traces.clone(),
            false => traces(&settings, process)?,
        };
        Ok(Self {
            backend,
            traces,
            services: self.services.renew(&self.settings, &settings)?,
            limiter: self.limiter.with_limits(rate_limits(&settings)),
            audit: self.audit.clone().filter(|_| same_audit),
            purge: self.purge.clone().filter(|_| same_purge),
            refreshing: Vec::new(),
            looking: None,
            settings,
        })
    }

    /// Whether what is new can be reached. A database that `running` cannot reach either is no
    /// reason to keep `running`.
    pub(super) async fn try_out(&self, running: &Self) -> Result<(), Rejected> {
        if !self.settings.agrees(&running.settings, "database")
            && self.backend.postgres.ready().await.is_err()
            && running.backend.postgres.ready().await.is_ok()
        {
            return Err(Rejected::Database);
        }
        let read = self.services.read_new_keys(&running.services).await;
        read.map_err(Rejected::KeyServer)
    }

    /// Starts to look at the database, until that works or a reload replaces it.
    pub(super) fn look_at_database(&mut self) {
        let needs_own_tables = self.settings.token.once().is_some();
        let work = database::look_at(self.backend.postgres.clone(), needs_own_tables);
        self.looking = Some(Background::start(work));
    }

    /// Whether [`Self::look_at_database`] was called.
    pub(super) const fn looks_at_database(&self) -> bool {
        self.looking.is_some()
    }

    /// Starts the work in the background. It ends when this is dropped, and audit events that are
    /// left are written first.
    pub(super) fn begin(&mut self, process: &ProcessState) {
        self.refreshing = self.services.keep_fresh();
        if let (None, Some(every)) = (&self.purge, self.settings.policy.purge_every) {
            let kept_days = self.settings.audit.kept_days();
            let work = purge(self.backend.postgres.clone(), every, kept_days);
            self.purge = Some(Arc::new(Background::start(work)));
        }
        if self.audit.is_none() && self.settings.audit.table {
            let table = Arc::new(self.backend.postgres.clone());
            let trail = AuditTrail::start(table, process.metrics.clone());
            self.audit = Some(Arc::new(trail));
        }
    }

    /// The state for the routes.
    pub(super) fn state(&self, process: &ProcessState) -> State {
        let (settings, backend) = (&self.settings, &self.backend);
        let clock = || process.clock.clone();
        let networks = settings.http.trusted_proxies.iter();
        State {
            gate: gate(settings, backend, &self.services, clock()),
            token_issuer: issuer(settings, backend, clock()),
            limiter: self.limiter.clone(),
            redirects: http::Redirects {
                sign_in: settings.policy.sign_in.clone(),
                return_parameter: settings.policy.return_parameter.clone(),
                signed_out: settings.policy.signed_out.clone(),
                label_studio: settings.label_studio.url.as_deref().cloned(),
            },
            sign_in: sign_in(settings, &self.services),
            pages: pages(settings),
            trusted_proxies: TrustedProxies::new(networks.map(|network| **network).collect()),
            identity_headers: identity_headers(settings),
            refusals: process.refusals.clone(),
            decision_timeout: *settings.http.decision_timeout_ms,
            body_timeout: *settings.http.body_timeout_seconds,
            entropy: Arc::new(SystemEntropy),
            audit: self.audit.clone(),
            backend: Arc::new(backend.postgres.clone()),
            traces: self.traces.clone(),
            metrics: process.metrics.clone(),
            sources: self.sources(),
        }
    }

    /// The components that report their own metrics.
    fn sources(&self) -> Vec<Arc<dyn Source>> {
        let mut sources: Vec<Arc<dyn Source>> = vec![
            Arc::new(Configuration::of(&self.settings)),
            Arc::new(self.backend.postgres.clone()),
            self.backend.recent.clone(),
        ];
        sources.extend(self.services.sources(&self.settings));
        sources
    }
}

/// Where a proxy in front says who the user is. The settings accept names of headers only.
fn identity_headers(settings: &Settings) -> IdentityHeaders {
    let name = |name: &String| HeaderName::try_from(name.as_str()).ok();
    match (&settings.token.header, &settings.proxy_headers) {
        (Some(header), _) if header.is_authorization() => IdentityHeaders::Bearer,
        (Some(header), _) => name(header).map_or(IdentityHeaders::None, IdentityHeaders::Token),
        (None, Some(headers)) => IdentityHeaders::Unsigned {
            email: headers.email.as_deref().and_then(name),
            username: headers.username.as_deref().and_then(name),
            groups: headers.groups.as_deref().and_then(name),
        },
        (None, None) => IdentityHeaders::None,
    }
}

/// What the operator decides about the pages.
fn pages(settings: &Settings) -> http::Pages {
    let ancestors = settings.pages.frame_ancestors.iter();
    http::Pages {
        name: settings.pages.name.clone(),
        logo: settings.pages.logo_url.as_deref().cloned(),
        support: settings.pages.support_url.as_deref().cloned(),
        frame_ancestors: ancestors.map(|site| site.to_string()).collect(),
        trusted_origins: settings.policy.gate.allowed_origins.clone(),
    }
}

/// Where spans are sent, if they are.
fn traces(settings: &Settings, process: &ProcessState) -> Result<Option<Arc<Traces>>, WiringError> {
    let traces = settings.traces.as_ref();
    let traces = traces.map(|settings| traces::traces(settings, process.metrics.clone()));
    Ok(traces.transpose()?.map(Arc::new))
}

fn rate_limits(settings: &Settings) -> RateLimits {
    RateLimits {
        per_second: NonZeroU32::new(settings.token_issue.rate_limit_per_second),
        failures_per_minute: NonZeroU32::new(settings.token_issue.failures_per_minute),
        starts_per_minute: settings
            .sign_in
            .as_ref()
            .and_then(|it| it.starts_per_minute),
    }
}

/// Deletes expired rows periodically.
async fn purge(backend: Postgres, every: Duration, kept_days: Option<u32>) {
    loop {
        tokio::time::sleep(SystemEntropy.with_jitter(every)).await;
        match backend.purge().await {
            Ok(Some(sessions)) => tracing::info!(sessions, "deleted expired sessions"),
            Ok(None) => tracing::debug!("another gate is deleting expired sessions"),
            Err(outage) => tracing::warn!("could not delete expired sessions: {outage}"),
        }
        match purge_audit(&backend, kept_days).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "deleted old audit events"),
            Err(outage) => tracing::warn!("could not delete old audit events: {outage}"),
        }
    }
}

/// Deletes audit events that are older than `kept_days`. Returns their number.
pub(crate) async fn purge_audit(backend: &Postgres, kept_days: Option<u32>) -> Result<u64, Outage> {
    let Some(days) = kept_days else { return Ok(0) };
    let kept = Duration::from_secs(86_400 * u64::from(days));
    match SystemClock.now().checked_sub(kept) {
        Some(from) => backend.purge_audit(from).await,
        None => Ok(0),
    }
}
