//! `/health/live`, `/health/ready`, `/metrics`.

use actix_web::http::Method;
use actix_web::{HttpResponse, Route, web};
use serde_json::json;

use super::{Snapshot, only};

/// The routes for health and metrics.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let get = |path, route: Route| {
        web::resource(path)
            .route(route.method(Method::GET))
            .default_service(only("GET"))
    };
    config
        .service(get("/health/live", web::to(live)))
        .service(get("/health/ready", web::to(ready)))
        .service(get("/metrics", web::to(metrics)));
}

/// The process answers. It does not check Postgres, because a restart would not bring that back.
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "live"}))
}

/// The service can answer checks.
async fn ready(state: Snapshot) -> HttpResponse {
    match state.backend.ready().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(outage) => HttpResponse::ServiceUnavailable()
            .json(json!({"status": "unavailable", "reason": outage.code()})),
    }
}

/// Metrics in Prometheus' text format (OpenMetrics 1.0).
async fn metrics(state: Snapshot) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(state.metrics.encode(&state.sources))
}
