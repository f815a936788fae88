//! Rejects request targets that can be read in more than one way.
//!
//! A proxy may match a normalized path but forward the original one. If the two differ, a request
//! for `/auth/envoy/..%2f..%2fsso/login` is a sign-in to the proxy but a check to the gate, whose
//! answer contains cookies that no browser may see. The gate therefore rejects every ambiguous
//! path, and each of its routes has exactly one spelling.
//!
//! The path after `/auth/envoy/` is Label Studio's and may be anything: only Envoy sends requests
//! there, and the route exists only if `http.proxies` names Envoy.

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use super::extract::ENVOY_PREFIX;
use super::{Snapshot, respond};

/// Answers a request whose target is not canonical, and passes any other on.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    if is_canonical(request.path()) {
        return next.call(request).await;
    }
    let state = Snapshot::take(request.request())?;
    let peer = state.trusted_proxies.peer_address(request.head());
    if state.refusals.admits(peer) {
        tracing::warn!(%peer, "refused: the request target is not canonical");
    }
    Ok(request.into_response(respond::not_canonical()))
}

/// Whether the path can be read in one way only. The gate's own routes consist of letters, dots,
/// dashes and slashes.
fn is_canonical(path: &str) -> bool {
    is_envoys(path) || path.strip_prefix('/').is_some_and(is_plain)
}

/// Whether this is the path of a check for Envoy, which puts the original path behind the prefix.
pub(super) fn is_envoys(path: &str) -> bool {
    let original = path.strip_prefix(ENVOY_PREFIX);
    original.is_some_and(|original| original.starts_with('/'))
}

/// Whether these are segments of plain characters, none of them empty except the last, and none a dot segment
/// (RFC 3986 §5.2.4).
fn is_plain(segments: &str) -> bool {
    let (mut length, mut dots) = (0, 0);
    let is_step = |length, dots| length == dots && matches!(dots, 1 | 2);
    for b in segments.bytes() {
        match b {
            b'/' if length == 0 || is_step(length, dots) => return false,
            b'/' => (length, dots) = (0, 0),
            b'.' => (length, dots) = (length + 1, dots + 1),
            b'-' | b'_' | b'~' => length += 1,
            _ if b.is_ascii_alphanumeric() => length += 1,
            _ => return false,
        }
    }
    !is_step(length, dots)
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
