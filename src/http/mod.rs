//! Adapter: actix-web.
//!
//! `extract` reads what a proxy sent, `auth` asks the gate and `respond` writes the answer in that proxy's terms; `token` issues
//! tokens, `revoke` ends sessions, `sso` answers browsers themselves, and `health` tells how the service is.
//!
//! Before all of them stand `slow_peers`, which receives a request's body in time, and `request_target`, which lets canonical paths pass.

mod auth;
mod extract;
mod health;
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

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, Route, web};
use serde_json::json;

pub use self::extract::Proxy;
pub use self::limiter::RateLimits;
pub use self::peer_address::TrustedProxies;
pub use self::refusal_log::RefusalLog;
pub use self::sso::Redirects;
pub use self::token::TokenRoute;
use crate::gate::entropy::Entropy;
use crate::gate::{Gate, Readiness};
use crate::metrics::Metrics;

/// A form holds a token and an address.
const FORM_LIMIT: usize = 160 * 1024;

/// What the routes share.
pub struct State {
    /// Decides about requests.
    pub gate: Gate,
    /// Issues tokens.
    pub token: TokenRoute,
    /// Where users are sent.
    pub redirects: Redirects,
    /// Who tells the peer's address.
    pub trusted_proxies: TrustedProxies,
    /// Which refusals are logged.
    pub refusals: RefusalLog,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// Random bytes, for the ids of requests.
    pub entropy: Arc<dyn Entropy>,
    /// What the service stands on.
    pub backend: Arc<dyn Readiness>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl State {
    /// Whether this refusal is logged, or one too many.
    fn logs_refusal_of(&self, request: &HttpRequest) -> bool {
        let peer = self.trusted_proxies.peer_address(request);
        self.refusals.admits(peer)
    }
}

/// Which of the contract's routes a listener has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All of them.
    Everything,
    /// Those that a proxy hands on from browsers and callers.
    Public,
    /// Those for the proxy itself and for whoever looks after the service: checks, health and metrics.
    Internal,
}

/// The routes of that surface, with checks for those proxies.
pub fn routes(
    state: web::Data<State>,
    surface: Surface,
    proxies: &[Proxy],
) -> impl FnOnce(&mut web::ServiceConfig) {
    // The last one is the outermost.
    let guarded = web::scope("")
        .wrap(from_fn(request_target::canonical))
        .wrap(from_fn(slow_peers::cut_off));
    let guarded = match surface {
        Surface::Public => guarded,
        Surface::Everything | Surface::Internal => {
            guarded.configure(checks(proxies)).configure(health::routes)
        }
    };
    let guarded = match surface {
        Surface::Internal => guarded,
        Surface::Everything | Surface::Public => guarded.configure(public),
    };
    move |config| {
        config.app_data(state).service(guarded);
    }
}

/// What the proxies ask that the settings name; there are no routes for the others.
fn checks(proxies: &[Proxy]) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        for proxy in proxies {
            let path = match proxy {
                Proxy::Nginx => "/auth/nginx",
                Proxy::IngressNginx => "/auth/ingress-nginx",
                Proxy::Caddy => "/auth/caddy",
                Proxy::Traefik => "/auth/traefik",
                Proxy::Envoy => "/auth/envoy/{path:.*}",
            };
            config.service(web::resource(path).route(auth::check(*proxy)));
        }
        if proxies.contains(&Proxy::Nginx) {
            config
                .service(web::resource("/auth/nginx/login").to(sso::login_by_address))
                .service(web::resource("/auth/nginx/sign-in").to(sso::sign_in_required))
                .service(web::resource("/auth/nginx/refused").to(sso::refused));
        }
    }
}

/// What proxies hand on from browsers and callers.
fn public(config: &mut web::ServiceConfig) {
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

/// What any other method is answered (RFC 9110 §15.5.6).
fn only(methods: &'static str) -> Route {
    web::to(move || {
        let mut response = HttpResponse::MethodNotAllowed();
        response.insert_header((ALLOW, methods));
        std::future::ready(response.json(json!({"error": "Method not allowed"})))
    })
}
