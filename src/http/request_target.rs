//! The request target: the gate's own routes are reached by one spelling each.
//!
//! A proxy decides by a path that it has normalized and may pass on the one that it was sent. Where the two differ, a request for
//! `/auth/envoy/..%2f..%2fsso/login` is a sign-in to the proxy and a check to the gate, whose answer holds cookies that no browser
//! may see. The gate therefore refuses every path that anybody could read in two ways. What follows `/auth/envoy/` is Label Studio's
//! path and may be anything: Envoy alone asks there, and the route exists only where `http.proxies` names it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use super::extract::ENVOY_PREFIX;
use super::{State, respond};

/// Middleware: lets canonical request targets pass, and answers 400 to the others.
pub(super) async fn canonical(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_canonical(request.uri().path()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let peer = state.trusted_proxies.peer_address(request.request());
    if state.refusals.admits(peer) {
        tracing::warn!(%peer, "refused: the request target is not canonical");
    }
    Ok(request.into_response(respond::not_canonical()))
}

/// Whether there is one way to read the path. The gate's own routes are made of letters, dots, dashes and slashes.
fn is_canonical(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~');
    let is_envoys = path
        .strip_prefix(ENVOY_PREFIX)
        .is_some_and(|original| original.starts_with('/'));
    is_envoys
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.bytes().all(plain)
                && !path.contains("//")
                && !rest.split('/').any(|segment| matches!(segment, "." | ".."))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_one_spelling() {
        for path in [
            "/",
            "/sso/login",
            "/api/sso/token",
            "/auth/ingress-nginx",
            "/health/live",
            "/favicon.ico",
            "/.well-known/x",
            "/auth/envoy/",
            "/auth/envoy/../%2e%2e;//sso/login",
        ] {
            assert!(is_canonical(path), "{path}");
        }
        for path in [
            "",
            "*",
            "sso/login",
            "//",
            "//sso/login",
            "/sso//login",
            "/sso/./login",
            "/sso/../sso/login",
            "/sso/..",
            "/sso/%6cogin",
            "/sso%2flogin",
            "/sso%5clogin",
            "/sso\\login",
            "/sso/login;x=1",
            "/sso/login%00",
            "/sso/l\u{f6}gin",
            "/%61uth/envoy/x",
            "/auth/%65nvoy/x",
            "/auth/x/../envoy/x",
            "/auth/envoy%2fx",
            "/auth/envoyx/%2e",
            "/auth/nginx/..%2f..%2fsso/login",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
    }
}
