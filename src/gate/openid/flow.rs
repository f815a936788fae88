//! What a sign-in remembers while the browser is at the provider.
//!
//! In: the provider, the page to open afterwards, and random bytes. Out: a [`Flow`] with secrets of its
//! own, which the browser keeps ([`super::FlowCookies`]). Afterwards, nothing about it is stored.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::gate::clock::{CLOCK_SKEW, unix_microseconds};
use crate::gate::entropy::Entropy;

/// How long a user may take at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// Most bytes of the path in a flow's cookie. A longer one is not kept; the sign-in then ends on the
/// start page.
const MAX_NEXT: usize = 700;

/// Where the provider's pages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Display {
    /// In the tab itself.
    #[serde(rename = "p")]
    Page,
    /// In a frame, where no provider shows a form: the user has to be signed in there already
    /// (`prompt=none`).
    #[serde(rename = "f")]
    Frame,
    /// In a window that a page in a frame opened.
    #[serde(rename = "w")]
    Popup,
}

/// One sign-in that is under way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Name of the provider.
    #[serde(rename = "o")]
    pub provider: String,
    /// `state` (RFC 6749 §10.12): binds the answer to this browser.
    #[serde(rename = "s")]
    pub state: String,
    /// `nonce` (OpenID Connect Core §3.1.2.1): binds the ID token to this flow.
    #[serde(rename = "n")]
    pub nonce: String,
    /// `code_verifier` (RFC 7636 §4.1): binds the code to this flow.
    #[serde(rename = "v")]
    pub verifier: String,
    /// The page to open afterwards: a path on this origin.
    #[serde(rename = "t")]
    pub next: String,
    /// When it started, in microseconds since the epoch: of two flows, one is the older.
    #[serde(rename = "a")]
    started: u64,
    /// Where the provider's pages are shown.
    #[serde(rename = "d")]
    pub display: Display,
    /// The frame that opened the popup: the digest of the flow that waits there.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}

/// Shows neither of the secrets.
impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("provider", &self.provider)
            .field("next", &self.next)
            .field("started", &self.started)
            .field("display", &self.display)
            .finish_non_exhaustive()
    }
}

impl Flow {
    /// A flow with fresh secrets of 256 bits each. `next` is a local path.
    pub fn new(
        provider: &str,
        next: &str,
        display: Display,
        now: SystemTime,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            provider: provider.to_owned(),
            state: secret(entropy),
            nonce: secret(entropy),
            verifier: secret(entropy),
            next: if length(next) > MAX_NEXT { "/" } else { next }.to_owned(),
            started: unix_microseconds(Some(now)),
            display,
            frame: None,
        }
    }

    /// The same flow in a popup, for the frame that opened it.
    #[must_use]
    pub fn for_frame(self, frame: String) -> Self {
        Self {
            display: Display::Popup,
            frame: Some(frame),
            ..self
        }
    }

    /// Names the flow without its secrets.
    pub fn digest(&self) -> String {
        digest(&self.state)
    }

    /// Whether the text can be the digest of a flow.
    pub fn is_digest(text: &str) -> bool {
        let digest = URL_SAFE_NO_PAD.decode(text);
        digest.is_ok_and(|digest| digest.len() == Sha256::output_size())
    }

    /// When it started, in microseconds since the epoch.
    pub(super) const fn started(&self) -> u64 {
        self.started
    }

    pub(super) fn is_current(&self, now: SystemTime) -> bool {
        let now = unix_microseconds(Some(now));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let is_old = now.saturating_sub(self.started) > micros(LIFETIME);
        // Another gate may have started it.
        let is_early = self.started.saturating_sub(now) > micros(CLOCK_SKEW);
        !is_old && !is_early
    }
}

/// The length of a local path in JSON, where a quotation mark is escaped.
fn length(path: &str) -> usize {
    path.len() + path.matches('"').count()
}

/// SHA-256 of a flow's `state`.
pub(super) fn digest(state: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(state))
}

fn secret(entropy: &dyn Entropy) -> String {
    let halves = [entropy.sixteen(), entropy.sixteen()];
    URL_SAFE_NO_PAD.encode(halves.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::entropy::Fixed;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    #[test]
    fn long_path_is_not_kept() {
        let longest = format!("/{}", "a".repeat(MAX_NEXT - 1));
        let flow = |next: &str| Flow::new("keycloak", next, Display::Page, at(0), &Fixed);
        assert_eq!(flow(&longest).next, longest);
        assert_eq!(flow(&format!("{longest}a")).next, "/");
    }

    #[test]
    fn debug_shows_no_secret() {
        let flow = Flow::new("keycloak", "/", Display::Page, at(0), &Fixed);
        let shown = format!("{flow:?}");
        for secret in [&flow.state, &flow.nonce, &flow.verifier] {
            assert!(!shown.contains(secret.as_str()), "{shown}");
        }
    }
}
