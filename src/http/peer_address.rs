//! Whom to count failures against.

use actix_web::HttpRequest;

/// The client's address: `X-Real-IP`, which `nginx/gate.conf` sets for the routes it hands on, or the peer's.
///
/// It limits how fast one address may guess and decides nothing else, so a header that somebody made up, where the service can be
/// reached past its proxy, gains the right to guess at 160 bits and no more.
pub(super) fn client_address(request: &HttpRequest) -> String {
    request
        .headers()
        .get("x-real-ip")
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.parse::<std::net::IpAddr>().is_ok())
        .map(str::to_owned)
        .or_else(|| request.peer_addr().map(|peer| peer.ip().to_string()))
        .unwrap_or_default()
}
