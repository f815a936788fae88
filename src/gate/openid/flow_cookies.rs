//! The cookies of sign-ins that are under way.
//!
//! In: a [`Flow`]. Out: a cookie that only a gate with the same `SECRET_KEY` can write or read, and
//! later the flow again. Afterwards, the browser that comes back is the one that left: each tab has a
//! cookie of its own, and another gate can finish the sign-in.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use subtle::ConstantTimeEq as _;

use super::flow::{Display, Flow, LIFETIME, digest};
use super::seal::Seal;
use crate::django::{CookieAttributes, SameSite};
use crate::gate::cookies::CookieHeader;
use crate::gate::entropy::Entropy;

/// Sign-ins with less time between them may be a loop.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// Sign-ins that may be under way in one browser. nginx reads a header line of up to 8 kB, in
/// which Label Studio's own cookies need room too.
const MAX_FLOWS: usize = 5;
/// Cookies that look like flows and are looked at. A browser has no more than [`MAX_FLOWS`] and some that
/// have ended; a request with more is made up, and each would be another `Set-Cookie` in the response.
const MAX_LOOKED_AT: usize = 20;
/// Characters of the cookie's name that tell one flow from another.
const NAME_LENGTH: usize = 12;
const PREFIX: &str = "gate_flow_";

/// Writes and reads the cookies of flows.
pub struct FlowCookies {
    seal: Seal,
    /// Whether the public URL is HTTPS. Without it, browsers take neither `Secure` nor `__Host-`.
    secure: bool,
}

impl FlowCookies {
    /// Cookies under keys derived from `SECRET_KEY` and its predecessors.
    pub fn new(secret_key: &SecretString, former: &[SecretString], secure: bool) -> Self {
        Self {
            seal: Seal::new(secret_key, former),
            secure,
        }
    }

    /// `Set-Cookie` for the flow.
    pub fn set(&self, flow: &Flow, now: SystemTime, entropy: &dyn Entropy) -> String {
        let attributes = self.attributes(self.name(&flow.state), flow.display);
        let value = self.seal.close(&attributes.name, flow, entropy);
        attributes.set(&value, Some(LIFETIME), now)
    }

    /// `Set-Cookie` that deletes the flow with this `state`.
    pub fn delete(&self, state: &str, display: Display) -> String {
        self.attributes(self.name(state), display).delete()
    }

    /// The flow with this `state`, if this browser started it and it is not too old.
    pub fn find(&self, cookies: &CookieHeader<'_>, state: &str, now: SystemTime) -> Option<Flow> {
        self.find_by_digest(cookies, &digest(state), now)
    }

    /// The flow whose `state` has this digest.
    pub fn find_by_digest(
        &self,
        cookies: &CookieHeader<'_>,
        digest: &str,
        now: SystemTime,
    ) -> Option<Flow> {
        let name = self.name_by_digest(digest)?;
        let flow: Flow = self.seal.open(&name, cookies.get(&name)?)?;
        let is_same: bool = flow.digest().as_bytes().ct_eq(digest.as_bytes()).into();
        (is_same && flow.is_current(now)).then_some(flow)
    }

    /// What seals the flows.
    pub(super) const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// `Set-Cookie` values that make room for another flow: they delete the flows that ended
    /// without an answer, oldest first, and what is not a flow.
    pub fn make_room(&self, cookies: &CookieHeader<'_>, now: SystemTime) -> Vec<String> {
        let prefix = self.prefix();
        let (mut current, mut ended) = (Vec::new(), Vec::new());
        for (name, value) in cookies.starting_with(&prefix).take(MAX_LOOKED_AT) {
            let flow: Option<Flow> = self.seal.open(name, value);
            match flow.filter(|flow| flow.is_current(now)) {
                Some(flow) => current.push((flow.started(), name, flow.display)),
                None => ended.push((name, Display::Page)),
            }
        }
        current.sort_unstable_by_key(|(started, ..)| *started);
        let surplus = (current.len() + 1).saturating_sub(MAX_FLOWS);
        let oldest = current.into_iter().take(surplus);
        let oldest = oldest.map(|(_, name, display)| (name, display));
        (ended.into_iter().chain(oldest))
            .map(|(name, display)| self.attributes(name.to_owned(), display).delete())
            .collect()
    }

    /// How many sign-ins this browser has finished without a pause.
    pub fn attempts(&self, cookies: &CookieHeader<'_>) -> u32 {
        let count = cookies.get(&self.attempts_name());
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// `Set-Cookie` with that number. It grants nothing, so it is not sealed.
    pub fn set_attempts(&self, attempts: u32, display: Display, now: SystemTime) -> String {
        let cookie = self.attributes(self.attempts_name(), display);
        cookie.set(&attempts.to_string(), Some(PAUSE), now)
    }

    fn attempts_name(&self) -> String {
        let host = if self.secure { "__Host-" } else { "" };
        format!("{host}gate_attempts")
    }

    fn prefix(&self) -> String {
        let host = if self.secure { "__Host-" } else { "" };
        format!("{host}{PREFIX}")
    }

    /// The name comes from `state`, so that the flow is found without trying each cookie.
    fn name(&self, state: &str) -> String {
        format!("{}{}", self.prefix(), &digest(state)[..NAME_LENGTH])
    }

    fn name_by_digest(&self, digest: &str) -> Option<String> {
        let name = digest.get(..NAME_LENGTH)?;
        Some(format!("{}{name}", self.prefix()))
    }

    /// In a frame of another site, only a partitioned cookie is kept.
    fn attributes(&self, name: String, display: Display) -> CookieAttributes {
        let in_frame = display == Display::Frame && self.secure;
        CookieAttributes {
            name,
            domain: None,
            path: "/".to_owned(),
            same_site: if in_frame {
                SameSite::None
            } else {
                SameSite::Lax
            },
            secure: self.secure,
            http_only: true,
            partitioned: in_frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn sixteen(&self) -> [u8; 16] {
            [self.0.fetch_add(1, Ordering::Relaxed); 16]
        }
    }

    fn entropy() -> Counting {
        Counting(AtomicU8::new(1))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn cookies(secret: &str) -> FlowCookies {
        FlowCookies::new(&secret.into(), &[], true)
    }

    /// `name=value` of a `Set-Cookie`.
    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().expect("there is one part")
    }

    fn find(cookies: &FlowCookies, header: &str, state: &str, now: SystemTime) -> Option<Flow> {
        let header = CookieHeader::new(std::iter::once(header.as_bytes()));
        cookies.find(&header, state, now)
    }

    #[test]
    fn flow_is_found_by_its_state_until_it_is_too_old() {
        let (cookies, entropy) = (cookies("secret"), entropy());
        let flow = Flow::new("keycloak", "/projects/1", Display::Page, at(0), &entropy);
        let set = cookies.set(&flow, at(0), &entropy);
        let header = format!("sessionid=1; {}", pair(&set));
        for (seconds, found) in [(0, true), (600, true), (601, false)] {
            let flow_found = find(&cookies, &header, &flow.state, at(seconds));
            assert_eq!(flow_found, found.then(|| flow.clone()), "{seconds}");
        }
        assert_eq!(find(&cookies, &header, &flow.nonce, at(0)), None);
        assert_eq!(find(&cookies, "", &flow.state, at(0)), None);
    }

    #[test]
    fn flow_of_the_future_is_tolerated_for_a_minute() {
        let (cookies, entropy) = (cookies("secret"), entropy());
        let flow = Flow::new("keycloak", "/", Display::Page, at(61), &entropy);
        let set = cookies.set(&flow, at(61), &entropy);
        assert!(find(&cookies, pair(&set), &flow.state, at(1)).is_some());
        assert!(find(&cookies, pair(&set), &flow.state, at(0)).is_none());
    }

    #[test]
    fn cookie_is_bound_to_its_name_and_key() {
        let entropy = entropy();
        let (ours, other) = (cookies("secret"), cookies("another secret"));
        let first = Flow::new("keycloak", "/", Display::Page, at(0), &entropy);
        let second = Flow::new("keycloak", "/", Display::Page, at(0), &entropy);
        let set = ours.set(&first, at(0), &entropy);
        let (name, value) = pair(&set).split_once('=').expect("a cookie");
        let renamed = format!("{}={value}", ours.name(&second.state));
        assert_eq!(find(&ours, &renamed, &second.state, at(0)), None);
        assert_eq!(find(&other, pair(&set), &first.state, at(0)), None);
        let rotated = FlowCookies::new(&"new".into(), &["secret".into()], true);
        assert!(find(&rotated, pair(&set), &first.state, at(0)).is_some());
        assert!(name.starts_with("__Host-gate_flow_"));
    }

    #[test]
    fn attributes_fit_where_the_flow_is_shown() {
        let entropy = entropy();
        for (secure, display, expected) in [
            (true, Display::Page, "; Path=/; SameSite=Lax; Secure"),
            (true, Display::Popup, "; Path=/; SameSite=Lax; Secure"),
            (
                true,
                Display::Frame,
                "; Path=/; SameSite=None; Secure; Partitioned",
            ),
            (false, Display::Frame, "; Path=/; SameSite=Lax"),
        ] {
            let cookies = FlowCookies::new(&"secret".into(), &[], secure);
            let flow = Flow::new("keycloak", "/", display, at(0), &entropy);
            let set = cookies.set(&flow, at(0), &entropy);
            assert!(set.contains("; HttpOnly; Max-Age=600"), "{set}");
            assert_eq!(set.starts_with("__Host-"), secure, "{set}");
            let (_, scope) = set.split_once("Max-Age=600").expect("an age");
            let (mut scope, mut expected) = (
                scope.split("; ").collect::<Vec<_>>(),
                expected.split("; ").collect::<Vec<_>>(),
            );
            scope.sort_unstable();
            expected.sort_unstable();
            assert_eq!(scope, expected);
        }
    }

    #[test]
    fn the_oldest_flows_and_invalid_cookies_are_deleted_to_make_room() {
        let (cookies, entropy) = (cookies("secret"), entropy());
        let flows: Vec<Flow> = (0..6)
            .map(|n| Flow::new("keycloak", "/", Display::Page, at(n), &entropy))
            .collect();
        let set = |flow: &Flow| pair(&cookies.set(flow, at(0), &entropy)).to_owned();
        let mut header: Vec<String> = flows.iter().rev().map(set).collect();
        header.push("__Host-gate_flow_abc=rubbish; other=1".to_owned());
        let header = header.join("; ");
        let header = CookieHeader::new(std::iter::once(header.as_bytes()));
        let deleted = cookies.make_room(&header, at(10));
        let names: Vec<&str> = deleted
            .iter()
            .map(|set| set.split('=').next().unwrap())
            .collect();
        let oldest = [cookies.name(&flows[0].state), cookies.name(&flows[1].state)];
        assert_eq!(names, ["__Host-gate_flow_abc", &oldest[0], &oldest[1]]);
    }

    #[test]
    fn five_flows_leave_room_in_a_header_line() {
        let (cookies, entropy) = (cookies("secret"), entropy());
        for (longest, times) in [("a", 699), ("\"", 349), ("\"", 699)] {
            let next = format!("/{}", longest.repeat(times));
            let flow = Flow::new(&"p".repeat(40), &next, Display::Page, at(0), &entropy);
            let frame = flow.digest();
            let set = cookies.set(&flow.for_frame(frame), at(0), &entropy);
            let length = pair(&set).len();
            assert!(length * MAX_FLOWS < 15 * 512, "{longest}: {length}");
        }
    }
}
