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
pub use self::sso::Places;
pub use self::token::{RateLimits, TokenRoute};
use crate::gate::issue::{Entropy, TokenIssuer};
use crate::gate::session::SessionStore;
use crate::gate::user::UserDirectory;
use crate::gate::verify::ApiTokens;
use crate::gate::{Gate, Readiness};
use crate::metrics::Metrics;

/// A form holds a token and an address.
const FORM_LIMIT: usize = 160 * 1024;

/// What the routes share.
pub struct State<P> {
    /// Decides about requests.
    pub gate: Gate<P, P>,
    /// Issues tokens.
    pub token: TokenRoute<TokenIssuer<P, P>>,
    /// Where people are sent.
    pub places: Places,
    /// Random bytes, for the ids of requests.
    pub entropy: Arc<dyn Entropy>,
    /// What the service stands on.
    pub backend: P,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// What stands behind the routes: one adapter for all ports.
pub trait Backend: UserDirectory + SessionStore + ApiTokens + Readiness + Clone + 'static {}

impl<P: UserDirectory + SessionStore + ApiTokens + Readiness + Clone + 'static> Backend for P {}

/// The routes of the contract.
pub fn routes<P: Backend>(state: web::Data<State<P>>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(state)
            .service(web::resource("/auth/nginx").route(auth::check::<P>(Proxy::Nginx)))
            .service(
                web::resource("/auth/ingress-nginx").route(auth::check::<P>(Proxy::IngressNginx)),
            )
            .service(web::resource("/auth/caddy").route(auth::check::<P>(Proxy::Caddy)))
            .service(web::resource("/auth/traefik").route(auth::check::<P>(Proxy::Traefik)))
            .service(web::resource("/auth/envoy/{path:.*}").route(auth::check::<P>(Proxy::Envoy)))
            .service(web::resource("/auth/nginx/login").to(sso::login_by_address::<P>))
            .service(web::resource("/auth/nginx/sign-in").to(sso::sign_in_required::<P>))
            .service(web::resource("/auth/nginx/refused").to(sso::refused::<P>))
            .service(
                web::resource("/sso/login")
                    .app_data(web::FormConfig::default().limit(FORM_LIMIT))
                    .route(web::get().to(sso::login_by_link::<P>))
                    .route(web::post().to(sso::login_by_form::<P>))
                    .default_service(only("GET, POST")),
            )
            .service(
                web::resource("/sso/logout")
                    .route(web::get().to(sso::logout::<P>))
                    .route(web::post().to(sso::logout::<P>))
                    .default_service(only("GET, POST")),
            )
            .service(
                web::resource("/sso/signed-out")
                    .route(web::get().to(sso::signed_out::<P>))
                    .default_service(only("GET")),
            )
            .service(
                web::resource("/api/sso/revoke")
                    .app_data(token::body_limit())
                    .route(web::post().to(revoke::revoke::<P>))
                    .default_service(only("POST")),
            )
            .service(
                web::resource("/api/sso/token")
                    .app_data(token::body_limit())
                    .route(web::post().to(token::issue::<P>))
                    .default_service(only("POST")),
            )
            .configure(health::routes::<P>);
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
