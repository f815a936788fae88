//! Adapter: the HTTP server, on actix-web.
//!
//! `extract` reads the subrequest of a proxy, `auth` asks the gate, and `respond` answers in that
//! proxy's terms. `token` issues tokens, `revoke` ends sessions, `sso` answers browsers directly,
//! and `health` serves health checks and metrics.
//!
//! `front` hands checks to `auth`. Any other request first passes `slow_peers`, which receives the body
//! within a time limit, and `request_target`, which rejects ambiguous paths.

mod auth;
mod context;
mod current;
mod event;
mod extract;
mod front;
mod health;
mod identity;
mod journal;
mod limiter;
mod peer_address;
mod per_network;
mod refusal_log;
mod request_target;
mod respond;
mod revoke;
mod slow_peers;
mod sso;
mod token;
mod traced;

use std::sync::Arc;
use std::time::Duration;

use actix_http::Request;
use actix_service::IntoServiceFactory as _;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Response, ServiceFactory};
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::{App, Error, HttpResponse, Route, web};
use serde_json::json;
use tracing::Instrument as _;

pub use self::current::Current;
use self::current::Snapshot;
pub use self::extract::Proxy;
use self::front::{Checks, Front};
pub use self::identity::IdentityHeaders;
pub use self::limiter::{Limiter, RateLimits};
pub use self::peer_address::TrustedProxies;
pub use self::refusal_log::RefusalLog;
pub use self::sso::{OpenId, Pages, Redirects};
use crate::audit::AuditTrail;
use crate::deadline::decide_within;
use crate::gate::entropy::Entropy;
use crate::gate::issue::TokenIssuer;
use crate::gate::reason::Outage;
use crate::gate::{Gate, Readiness};
use crate::metrics::{Metrics, Source};
use crate::traces::Traces;

/// Size limit for a form, which holds a token and a URL.
const FORM_LIMIT: usize = 160 * 1024;

/// The state that the routes share. A reload replaces it as a whole ([`Current`]).
pub struct State {
    /// Decides about requests.
    pub gate: Gate,
    /// Authenticates administrators and issues tokens to them.
    pub token_issuer: TokenIssuer,
    /// Limits issued tokens, wrong credentials and sign-ins.
    pub limiter: Limiter,
    /// Where users are sent.
    pub redirects: Redirects,
    /// Sign-in at OpenID providers; `None`: off.
    pub sign_in: Option<OpenId>,
    /// What the operator decides about the pages.
    pub pages: Pages,
    /// The proxies whose `X-Real-IP` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// Where a proxy in front says who the user is.
    pub identity_headers: IdentityHeaders,
    /// Limits the log lines about refusals.
    pub refusals: Arc<RefusalLog>,
    /// Time limit for a decision.
    pub decision_timeout: Duration,
    /// Time limit for receiving a request's body.
    pub body_timeout: Duration,
    /// Random bytes for request IDs.
    pub entropy: Arc<dyn Entropy>,
    /// Tells whether the service can answer checks.
    pub backend: Arc<dyn Readiness>,
    /// Who did what, in a table; `None`: in the log only.
    pub audit: Option<Arc<AuditTrail>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Traces of requests; `None`: off.
    pub traces: Option<Arc<Traces>>,
    /// The components that report their own metrics.
    pub sources: Vec<Arc<dyn Source>>,
}

impl State {
    /// Makes a decision within the time limit.
    async fn decided<T, E: From<Outage>>(
        &self,
        decision: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        decide_within(self.decision_timeout, decision).await
    }

    /// When to try again after an outage, in seconds (RFC 9110 §10.2.3). Random, so that the
    /// requests refused in one moment do not return in one moment.
    fn retry_after(&self) -> u64 {
        1 + u64::from(self.entropy.sixteen()[0] % 3)
    }
}

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them.
    Everything,
    /// The routes that a proxy forwards from browsers and callers.
    Public,
    /// The routes for the proxy itself and for operators: checks, health and metrics.
    Internal,
}

/// What a listener serves: the routes of a surface, with the checks for `proxies`.
pub fn service(
    current: web::Data<Current>,
    surface: Surface,
    proxies: &[Proxy],
) -> impl ServiceFactory<
    Request,
    Config = AppConfig,
    Response = Response<BoxBody>,
    Error = Error,
    InitError = (),
> + use<> {
    let proxies = match surface {
        Surface::Public => &[],
        Surface::Everything | Surface::Internal => proxies,
    };
    let checks = Checks {
        current: current.clone(),
        proxies: proxies.into(),
    };
    let app = App::new()
        .wrap(from_fn(request_target::guard))
        .wrap(from_fn(slow_peers::guard))
        .app_data(current);
    let app = match surface {
        Surface::Public => app,
        Surface::Everything | Surface::Internal => app
            .configure(check_routes(proxies))
            .configure(health::routes),
    };
    let app = match surface {
        Surface::Internal => app,
        Surface::Everything | Surface::Public => app.configure(public_routes),
    };
    Front {
        checks,
        app: app.into_factory(),
    }
}

/// The path of the checks for a kind of proxy, as a pattern of the router's.
const fn check_path(proxy: Proxy) -> &'static str {
    match proxy {
        Proxy::Nginx => "/auth/nginx",
        Proxy::IngressNginx => "/auth/ingress-nginx",
        Proxy::Caddy => "/auth/caddy",
        Proxy::Traefik => "/auth/traefik",
        Proxy::Envoy => "/auth/envoy/{path:.*}",
    }
}

/// Adds the routes of checks for `proxies`, and of the pages that nginx shows after a check. `front`
/// answers most checks itself; those with a body, or not from a trusted proxy, come here. A kind of proxy
/// that is not in `proxies` has no route.
fn check_routes(proxies: &[Proxy]) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        for proxy in proxies {
            config.service(web::resource(check_path(*proxy)).route(auth::check(*proxy)));
        }
        if proxies.contains(&Proxy::Nginx) {
            config
                .service(web::resource("/auth/nginx/login").to(sso::login_by_address))
                .service(web::resource("/auth/nginx/sign-in").to(sso::sign_in_required))
                .service(web::resource("/auth/nginx/refused").to(sso::refused))
                .service(web::resource("/auth/nginx/undecided").to(sso::undecided));
        }
    }
}

/// Adds the routes that proxies forward from browsers and callers.
fn public_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/sso/login")
                .app_data(web::FormConfig::default().limit(FORM_LIMIT))
                .route(web::get().to(sso::login_by_link))
                .route(web::post().to(sso::login_by_form))
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/sso/logout")
                .route(web::get().to(sso::logout))
                .route(web::post().to(sso::logout))
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/sso/signed-out")
                .route(web::get().to(sso::signed_out))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/sso/start")
                .route(web::get().to(sso::start))
                .route(web::post().to(sso::start_by_form))
                .default_service(only("GET, POST")),
        )
        .service(
            web::resource("/sso/callback")
                .route(web::get().to(sso::callback))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/sso/callback/{provider}")
                .route(web::get().to(sso::named_callback))
                .default_service(only("GET")),
        )
        .service(
            web::resource("/sso/backchannel-logout")
                .app_data(web::FormConfig::default().limit(FORM_LIMIT))
                .route(web::post().to(sso::backchannel_logout))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/api/sso/revoke")
                .app_data(token::body_limit())
                .route(web::post().to(revoke::revoke))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/api/sso/token")
                .app_data(token::body_limit())
                .route(web::post().to(token::issue))
                .default_service(only("POST")),
        );
}

/// Runs `work` to its end even if the caller disconnects: ending all sessions of a user may take longer
/// than callers wait, but none may be left, and the journal must say so.
async fn to_the_end(work: impl Future<Output = HttpResponse> + 'static) -> HttpResponse {
    // On this worker, because requests belong to its thread.
    let answered = actix_web::rt::spawn(work.in_current_span()).await;
    answered.unwrap_or_else(|_panicked| HttpResponse::InternalServerError().finish())
}

/// The answer to any other method (RFC 9110 §15.5.6).
fn only(methods: &'static str) -> Route {
    web::to(move || {
        let mut response = HttpResponse::MethodNotAllowed();
        response.insert_header((ALLOW, methods));
        std::future::ready(response.json(json!({"error": "Method not allowed"})))
    })
}
