//! The peer address of a request, by which failures are counted and log lines are limited.
//!
//! In: a request. Out: the address of the browser or caller. A peer cannot choose its own address:
//! `X-Real-IP` counts only from a proxy in `http.trusted_proxies`; otherwise the address of the
//! connection is used.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;

use super::extract;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Prefix length of the IPv6 network that a provider assigns to one customer (RFC 6177). A customer
/// with one address in it can use all of them.
const IPV6_CUSTOMER: u8 = 64;

/// The proxies whose `X-Real-IP` is trusted.
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    warned: AtomicBool,
}

/// The address of a browser or of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerAddress(IpAddr);

impl TrustedProxies {
    /// Trusts the proxies in `networks`.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            warned: AtomicBool::new(false),
        }
    }

    /// The address in `X-Real-IP`, if a trusted proxy sent it, unchanged.
    pub(super) fn named_address<'r>(&self, request: &'r RequestHead) -> Option<&'r str> {
        if !self.sent(request) {
            self.warn_once(request);
            return None;
        }
        extract::only(request.headers(), &X_REAL_IP)
            .filter(|address| address.parse::<IpAddr>().is_ok())
    }

    /// The peer address of the request.
    pub(super) fn peer_address(&self, request: &RequestHead) -> PeerAddress {
        let named = self.named_address(request);
        let address = named
            .and_then(|address| address.parse().ok())
            .or_else(|| connected_from(request))
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        PeerAddress(address.to_canonical())
    }

    /// Whether a trusted proxy opened the connection.
    pub(super) fn sent(&self, request: &RequestHead) -> bool {
        connected_from(request).is_some_and(|address| {
            let mut networks = self.networks.iter();
            networks.any(|network| network.contains(&address))
        })
    }

    fn warn_once(&self, request: &RequestHead) {
        if request.headers().contains_key(X_REAL_IP) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = connected_from(request).map(tracing::field::display),
                "X-Real-IP ignored: http.trusted_proxies does not contain its sender"
            );
        }
    }
}

impl PeerAddress {
    /// The address.
    pub(super) const fn ip(self) -> IpAddr {
        self.0
    }

    /// The network that is counted as one peer: the IPv4 address, or the customer's IPv6 network.
    pub(super) fn network(self) -> IpNet {
        match self.0 {
            IpAddr::V4(_) => IpNet::from(self.0),
            IpAddr::V6(_) => IpNet::new_assert(self.0, IPV6_CUSTOMER).trunc(),
        }
    }
}

#[cfg(test)]
impl PeerAddress {
    pub(super) fn for_tests(address: &str) -> Self {
        Self(address.parse().expect("an address"))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The other end of the connection. On an IPv6 listener, IPv4 addresses arrive as
/// `::ffff:192.0.2.1`.
fn connected_from(request: &RequestHead) -> Option<IpAddr> {
    request.peer_addr.map(|peer| peer.ip().to_canonical())
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
        TrustedProxies::new(networks.to_vec()).peer_address(request.to_http_request().head())
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
    fn addresses_of_one_ipv6_customer_are_one_network() {
        let network = |address: &str| peer("127.0.0.1:1", &[address]).network();
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::4"));
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
    }
}
