//! Adapter: actix-web.
//!
//! `extract` reads what a proxy sent, `auth` asks the gate and `respond` writes the answer in that proxy's terms; `token` issues
//! tokens and `health` tells how the service is.

mod auth;
mod client_address;
mod extract;
mod health;
mod respond;
mod token;

use std::sync::Arc;

use actix_web::web;

pub use self::token::{RateLimits, TokenRoute};
use crate::gate::issue::TokenIssuer;
use crate::gate::session::SessionStore;
use crate::gate::user::UserDirectory;
use crate::gate::verify::ApiTokens;
use crate::gate::{Gate, Readiness};
use crate::metrics::Metrics;

/// What the routes share.
pub struct State<P> {
    /// Decides about requests.
    pub gate: Gate<P, P>,
    /// Issues tokens.
    pub token: TokenRoute<TokenIssuer<P, P>>,
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
            .service(web::resource("/auth/nginx").to(auth::nginx::<P>))
            .service(
                web::resource("/api/sso/token")
                    .app_data(token::body_limit())
                    .route(web::post().to(token::issue::<P>))
                    .default_service(web::to(token::method_not_allowed)),
            )
            .service(health::routes::<P>());
    }
}
