//! Adapter: actix-web.
//!
//! `extract` reads what a proxy sent, `auth` asks the gate and `respond` writes the answer in that proxy's terms; `token` issues
//! tokens, `revoke` ends sessions, `sso` answers browsers themselves, and `health` tells how the service is.

mod auth;
mod client_address;
mod extract;
mod health;
mod respond;
mod revoke;
mod sso;
mod token;

use std::sync::Arc;

use actix_web::http::header::ALLOW;
use actix_web::{HttpResponse, Route, web};
use serde_json::json;

use self::extract::Proxy;
pub use self::sso::Redirects;
pub use self::token::{RateLimits, TokenRoute};
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
    /// Random bytes, for the ids of requests.
    pub entropy: Arc<dyn Entropy>,
    /// What the service stands on.
    pub backend: Arc<dyn Readiness>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// The routes of the contract.
pub fn routes(state: web::Data<State>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(state)
            .service(web::resource("/auth/nginx").route(auth::check(Proxy::Nginx)))
            .service(web::resource("/auth/ingress-nginx").route(auth::check(Proxy::IngressNginx)))
            .service(web::resource("/auth/caddy").route(auth::check(Proxy::Caddy)))
            .service(web::resource("/auth/traefik").route(auth::check(Proxy::Traefik)))
            .service(web::resource("/auth/envoy/{path:.*}").route(auth::check(Proxy::Envoy)))
            .service(web::resource("/auth/nginx/login").to(sso::login_by_address))
            .service(web::resource("/auth/nginx/sign-in").to(sso::sign_in_required))
            .service(web::resource("/auth/nginx/refused").to(sso::refused))
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
            )
            .configure(health::routes);
    }
}

/// What any other method is answered (RFC 9110 §15.5.6).
fn only(methods: &'static str) -> Route {
    web::to(move || {
        let mut response = HttpResponse::MethodNotAllowed();
        response.insert_header((ALLOW, methods));
        std::future::ready(response.json(json!({"error": "Method not allowed"})))
    })
}
