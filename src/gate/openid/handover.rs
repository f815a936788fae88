//! The way from a popup back to the frame that opened it.
//!
//! In a cross-site frame, browsers partition cookies, and providers show no form. So
//! the user signs in in a popup. Its page hands the provider's statement to the frame, and the frame
//! posts it to the gate. In: a [`CompletedFlow`] in a popup. Out: text for the frame, and later the
//! provider's statement again. Afterwards, the frame that brings it is the one that opened the popup, in the same
//! browser: it has the cookie of a flow of its own, whose digest the popup was started with. That cookie is
//! deleted on use, so the text works once, within a minute.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::flow::{Display, Flow};
use super::outcome::NoSignIn;
use super::party::Statement;
use super::{CompletedFlow, RelyingParty, SignIn};
use crate::gate::clock::{CLOCK_SKEW, unix_seconds};
use crate::gate::cookies::CookieHeader;
use crate::gate::observer::Observer;

/// How long the frame may take to bring it.
const LIFETIME: Duration = Duration::from_secs(60);
/// What the text is sealed for.
const PURPOSE: &str = "handover";

#[derive(Serialize, Deserialize)]
struct Handover {
    /// The digest of the flow that waits in the frame.
    frame: String,
    nonce: String,
    statement: Statement,
    /// When, in seconds since the epoch.
    at: u64,
}

/// A frame that waits for a popup.
#[derive(Debug)]
pub struct Waiting {
    /// `Set-Cookie` for the frame.
    pub cookie: String,
    /// What the popup is started with.
    pub frame: String,
}

impl SignIn {
    /// Lets a frame wait for a popup that signs in at `party`.
    pub fn wait(&self, party: &RelyingParty, next: &str, now: SystemTime) -> Waiting {
        let flow = Flow::new(&party.name, next, Display::Frame, now, &*self.entropy);
        Waiting {
            cookie: self.cookies.set(&flow, now, &*self.entropy),
            frame: flow.digest(),
        }
    }

    /// What a popup hands to the frame that opened it; `None` if it isn't a popup.
    pub fn hand_over(&self, completed: &CompletedFlow, now: SystemTime) -> Option<String> {
        let handover = Handover {
            frame: completed.flow.frame.clone()?,
            nonce: completed.flow.nonce.clone(),
            statement: completed.statement.clone(),
            at: u64::try_from(unix_seconds(now)).unwrap_or(0),
        };
        let seal = self.cookies.seal();
        Some(seal.close(PURPOSE, &handover, &*self.entropy))
    }

    /// Ends the flow that waits in the frame, which brings what the popup handed over.
    pub async fn take_over(
        &self,
        text: &str,
        cookies: &CookieHeader<'_>,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<CompletedFlow, NoSignIn> {
        let handover: Option<Handover> = self.cookies.seal().open(PURPOSE, text);
        let handover = handover.filter(|handover| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(handover.at);
            at <= now + CLOCK_SKEW && now <= at + LIFETIME
        });
        let handover = handover.ok_or_else(NoSignIn::unknown)?;
        let flow = self.cookies.find_by_digest(cookies, &handover.frame, now);
        let flow = flow.filter(|flow| flow.display == Display::Frame);
        let flow = flow.ok_or_else(NoSignIn::unknown)?;
        let party = self.party_named(&flow.provider);
        let party = party.ok_or_else(NoSignIn::unknown)?;
        let (statement, nonce) = (handover.statement, &handover.nonce);
        // Of another provider, the signature is unknown.
        let claims = party.verify_again(&statement, nonce, now, observer).await?;
        Ok(CompletedFlow {
            claims,
            flow,
            statement,
        })
    }
}
