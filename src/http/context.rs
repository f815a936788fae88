//! A request to the gate and what is known about it: its ID and its peer.
//!
//! In: a request and the shared state. Out: what a log line, a page and the audit trail say about
//! where a decision comes from. All of it is computed on first use, so a request that nobody logs
//! pays for nothing.

use std::cell::{Cell, OnceCell};

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderName;

use super::peer_address::PeerAddress;
use super::{Proxy, State, extract};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest ID that is taken over. Proxies send 32 hexadecimal digits or a UUID.
const MAX_ID: usize = 64;

/// One request.
pub(super) struct RequestContext<'r> {
    pub(super) request: &'r RequestHead,
    pub(super) state: &'r State,
    /// Whose check this is; `None`: a browser or a caller sent it.
    pub(super) proxy: Option<Proxy>,
    id: OnceCell<String>,
    /// Whether the journal has an entry for this request, or has left one out because of a limit.
    pub(super) has_entry: Cell<bool>,
}

impl<'r> RequestContext<'r> {
    pub(super) const fn new(request: &'r RequestHead, state: &'r State) -> Self {
        Self {
            request,
            state,
            proxy: None,
            id: OnceCell::new(),
            has_entry: Cell::new(false),
        }
    }

    /// The check of a proxy.
    pub(super) fn of_check(proxy: Proxy, request: &'r RequestHead, state: &'r State) -> Self {
        Self {
            proxy: Some(proxy),
            ..Self::new(request, state)
        }
    }

    /// The ID of this request in the logs of the proxy and of the gate: the proxy's
    /// `X-Request-ID` if it is well-formed, or a random one.
    ///
    /// It identifies nothing but log lines, so it counts from any sender.
    pub(super) fn id(&self) -> &str {
        self.id.get_or_init(|| {
            let given = self.given_id().map(str::to_owned);
            given.unwrap_or_else(|| self.state.entropy.hex())
        })
    }

    /// The proxy's `X-Request-ID`, if it is well-formed.
    pub(super) fn given_id(&self) -> Option<&str> {
        extract::only(self.request.headers(), &X_REQUEST_ID).filter(|id| is_well_formed(id))
    }

    /// The address of the browser or caller.
    pub(super) fn peer(&self) -> PeerAddress {
        self.state.trusted_proxies.peer_address(self.request)
    }

    /// Whether the peer's log limit allows a line about another refusal.
    pub(super) fn logs_refusal(&self) -> bool {
        self.state.refusals.admits(self.peer())
    }
}

fn is_well_formed(id: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (8..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_proxy_are_well_formed_and_nothing_else_is() {
        for id in [
            "0123456789abcdef0123456789abcdef",
            "c5de0622-dbc0-4b31-9c1e-9a47cf2f7a2f",
            "C0A80001:1F90_7F000001:1F9A_65A1B2C3_0001:0AB1",
            "12345678",
        ] {
            assert!(is_well_formed(id), "{id}");
        }
        for id in [
            "",
            "1234567",
            &"a".repeat(65),
            "a b c d e f",
            "abcdefgh\"",
            "abcdefgh\u{e9}",
            "<script>x",
            "abcdefgh\\n",
        ] {
            assert!(!is_well_formed(id), "{id}");
        }
    }
}
