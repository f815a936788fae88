//! `/health/live`, `/health/ready`, `/metrics`.

use actix_web::{HttpResponse, Scope, web};
use serde_json::json;

use super::{Backend, State};

/// The routes that tell how the service is.
pub(super) fn routes<P: Backend>() -> Scope {
    web::scope("")
        .route("/health/live", web::get().to(live))
        .route("/health/ready", web::get().to(ready::<P>))
        .route("/metrics", web::get().to(metrics::<P>))
}

/// The process answers: whoever restarts it when it doesn't must not depend on Postgres.
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

/// The service can decide.
async fn ready<P: Backend>(state: web::Data<State<P>>) -> HttpResponse {
    match state.backend.ready().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(outage) => HttpResponse::ServiceUnavailable()
            .json(json!({"status": "unavailable", "reason": outage.reason().code()})),
    }
}

/// Prometheus' text format (OpenMetrics 1.0).
async fn metrics<P: Backend>(state: web::Data<State<P>>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.encode())
}
