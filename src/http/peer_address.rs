//! Who sent a request: the address that failures are counted against and log lines are limited by.
//!
//! In: a request. Out: the address of the browser or of the caller. Afterwards holds: nobody chooses their own address, because
//! `X-Real-IP` counts only from a proxy named in `http.trusted_proxies`; from anybody else the connection's address counts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;

use super::extract;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// How much of an IPv6 address a provider hands to one customer (RFC 6177): whoever has one address there has them all.
const IPV6_CUSTOMER: u8 = 64;

/// The proxies whose word on the peer's address counts.
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    warned: AtomicBool,
}

/// The address of a browser or of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerAddress(IpAddr);

impl TrustedProxies {
    /// Proxies in those networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            warned: AtomicBool::new(false),
        }
    }

    /// The address that a trusted proxy names, as it names it.
    pub(super) fn named_address<'r>(&self, request: &'r HttpRequest) -> Option<&'r str> {
        if !self.sent(request) {
            self.warn_once(request);
            return None;
        }
        extract::only(request.headers(), &X_REAL_IP)
            .filter(|address| address.parse::<IpAddr>().is_ok())
    }

    /// Who sent the request.
    pub(super) fn peer_address(&self, request: &HttpRequest) -> PeerAddress {
        let named = self.named_address(request);
        let address = named
            .and_then(|address| address.parse().ok())
            .or_else(|| connected_from(request))
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        PeerAddress(address.to_canonical())
    }

    /// Whether a trusted proxy is at the other end of the connection.
    pub(super) fn sent(&self, request: &HttpRequest) -> bool {
        connected_from(request).is_some_and(|address| {
            let mut networks = self.networks.iter();
            networks.any(|network| network.contains(&address))
        })
    }

    fn warn_once(&self, request: &HttpRequest) {
        if request.headers().contains_key(X_REAL_IP) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = connected_from(request).map(tracing::field::display),
                "X-Real-IP is ignored: http.trusted_proxies does not name who sent it"
            );
        }
    }
}

impl PeerAddress {
    /// What is counted together: the address itself, or all of a customer's in IPv6.
    pub(super) fn network(self) -> IpNet {
        match self.0 {
            IpAddr::V4(_) => IpNet::from(self.0),
            IpAddr::V6(_) => IpNet::new_assert(self.0, IPV6_CUSTOMER).trunc(),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A listener for IPv6 sees IPv4 addresses as `::ffff:192.0.2.1`.
fn connected_from(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn peer(from: &str, headers: &[&str]) -> PeerAddress {
        let proxies = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"];
        let networks = proxies.map(|network| network.parse().expect("a network"));
        let mut request = TestRequest::get().peer_addr(from.parse().expect("an address"));
        for value in headers {
            request = request.append_header((X_REAL_IP, *value));
        }
        TrustedProxies::new(networks.to_vec()).peer_address(&request.to_http_request())
    }

    #[test]
    fn only_a_trusted_proxy_names_the_address() {
        for (from, headers, expected) in [
            ("127.0.0.1:1", &["192.0.2.1"][..], "192.0.2.1"),
            ("10.1.2.3:1", &["2001:db8::1"], "2001:db8::1"),
            ("[::ffff:10.1.2.3]:1", &["192.0.2.1"], "192.0.2.1"),
            ("[fd00::7]:1", &["192.0.2.1"], "192.0.2.1"),
            ("10.1.2.3:1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            ("198.51.100.7:1", &["192.0.2.1"], "198.51.100.7"),
            ("[2001:db8::7]:1", &["192.0.2.1"], "2001:db8::7"),
            ("10.1.2.3:1", &[], "10.1.2.3"),
            ("10.1.2.3:1", &["unknown"], "10.1.2.3"),
            ("10.1.2.3:1", &["192.0.2.1, 192.0.2.2"], "10.1.2.3"),
            ("10.1.2.3:1", &["192.0.2.1", "192.0.2.2"], "10.1.2.3"),
        ] {
            assert_eq!(
                peer(from, headers).to_string(),
                expected,
                "{from} {headers:?}"
            );
        }
    }

    #[test]
    fn a_customer_of_ipv6_is_one_network() {
        let network = |address: &str| peer("127.0.0.1:1", &[address]).network();
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::4"));
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }
}
