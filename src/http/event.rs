//! The events of the log: what a request led to. `docs/log.md` documents them; a test compares it
//! with this list.

use tracing::{Level, enabled};

use crate::gate::reason::{Granted, Reason};

/// Target of events that answer who did what.
pub(super) const AUDIT: &str = "audit";
/// Target of all other decisions.
pub(super) const DECISION: &str = "label_studio_gate::decision";
/// Target of the steps that lead to a decision.
pub(super) const STEP: &str = "label_studio_gate::step";

/// Declares the events: variant, name in the log, and when it occurs.
macro_rules! events {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What a request led to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Event {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Event {
            /// The name: the message of the line.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$variant,)+];

            #[cfg(test)]
            const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

events! {
    /// A credential was accepted and opened a session.
    LoggedIn = "logged in",
    /// A credential was accepted, and its user's session replaced another user's.
    UserSwitched = "user switched",
    /// A credential proves nothing. The request went on without it, or has to sign in.
    CredentialRefused = "credential refused",
    /// A request was refused because of its user or its origin, or because too many sign-ins came from
    /// its network.
    Refused = "refused",
    /// An account was created.
    AccountCreated = "account created",
    /// A user became staff, because the groups in their credential say so.
    StaffGranted = "staff granted",
    /// A user is no longer staff, because the groups in their credential say so.
    StaffWithdrawn = "staff withdrawn",
    /// A user signed out of Label Studio, by the gate's route or by Label Studio's own.
    SignedOut = "signed out",
    /// An administrator got a token for a user.
    TokenIssued = "token issued",
    /// A call to the token route was refused.
    TokenRefused = "token refused",
    /// An administrator ended all sessions of a user.
    SessionsEnded = "sessions ended",
    /// A call to the revocation route was refused, or could not end the user's sessions.
    RevocationRefused = "revocation refused",
    /// An OpenID provider ended the sessions of one of its sessions, or of a user: a line for each user
    /// whose sessions ended, or one if there was none.
    ProviderLogout = "signed out by provider",
    /// A request to end sessions in the name of an OpenID provider was refused.
    ProviderLogoutRefused = "provider logout refused",
    /// A request without a credential has to sign in.
    SignInRequired = "sign-in required",
    /// A request was let through, and nothing else happened.
    Passed = "passed",
    /// A page of the gate was shown that says nothing else in the log, such as "You are signed out".
    PageShown = "page shown",
    /// The gate could not decide. Nothing was let through.
    Undecided = "cannot decide",
}

impl Event {
    /// The event of a verdict.
    pub(super) const fn of_verdict(reason: Reason) -> Self {
        match reason {
            Reason::Granted(Granted::SessionOpened) => Self::LoggedIn,
            Reason::Granted(Granted::UserSwitched) => Self::UserSwitched,
            Reason::Granted(_) => Self::Passed,
            Reason::CredentialError(_) => Self::CredentialRefused,
            Reason::SignInRequired => Self::SignInRequired,
            Reason::Denied(_) => Self::Refused,
            Reason::Outage(_) => Self::Undecided,
        }
    }

    /// Whether the event answers who did what, and belongs into the audit trail.
    pub(super) const fn is_audited(self) -> bool {
        match self {
            Self::LoggedIn
            | Self::UserSwitched
            | Self::CredentialRefused
            | Self::Refused
            | Self::AccountCreated
            | Self::StaffGranted
            | Self::StaffWithdrawn
            | Self::SignedOut
            | Self::TokenIssued
            | Self::TokenRefused
            | Self::SessionsEnded
            | Self::RevocationRefused
            | Self::ProviderLogout
            | Self::ProviderLogoutRefused => true,
            Self::SignInRequired | Self::Passed | Self::PageShown | Self::Undecided => false,
        }
    }

    /// Whether a peer can cause the event at will, so that its number is limited per peer.
    pub(super) const fn is_limited(self) -> bool {
        match self {
            Self::CredentialRefused
            | Self::Refused
            | Self::TokenRefused
            | Self::RevocationRefused
            | Self::ProviderLogoutRefused
            | Self::SignInRequired
            | Self::PageShown => true,
            Self::LoggedIn
            | Self::UserSwitched
            | Self::AccountCreated
            | Self::StaffGranted
            | Self::StaffWithdrawn
            | Self::SignedOut
            | Self::TokenIssued
            | Self::SessionsEnded
            | Self::ProviderLogout
            | Self::Passed
            | Self::Undecided => false,
        }
    }

    pub(super) const fn level(self) -> Level {
        match self {
            Self::Passed => Level::DEBUG,
            Self::Refused
            | Self::TokenRefused
            | Self::RevocationRefused
            | Self::ProviderLogoutRefused => Level::WARN,
            Self::Undecided => Level::ERROR,
            Self::LoggedIn
            | Self::UserSwitched
            | Self::CredentialRefused
            | Self::AccountCreated
            | Self::StaffGranted
            | Self::StaffWithdrawn
            | Self::SignedOut
            | Self::TokenIssued
            | Self::SessionsEnded
            | Self::ProviderLogout
            | Self::SignInRequired
            | Self::PageShown => Level::INFO,
        }
    }

    /// Whether the log wants it.
    pub(super) fn is_logged(self) -> bool {
        match (self.is_audited(), self.level()) {
            (true, Level::WARN) => enabled!(target: AUDIT, Level::WARN),
            (true, _) => enabled!(target: AUDIT, Level::INFO),
            (false, Level::DEBUG) => enabled!(target: DECISION, Level::DEBUG),
            (false, Level::ERROR) => enabled!(target: DECISION, Level::ERROR),
            (false, _) => enabled!(target: DECISION, Level::INFO),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table in `docs/log.md` is generated from the events. `UPDATE_DOCS=1` writes it.
    #[test]
    fn the_log_events_are_documented() {
        let mut table = String::from("| event | level | target | when |\n|---|---|---|---|\n");
        for event in Event::ALL {
            let target = if event.is_audited() { AUDIT } else { DECISION };
            let level = event.level().as_str().to_ascii_lowercase();
            let (name, when) = (event.name(), event.explanation());
            let _ = writeln!(table, "| `{name}` | {level} | `{target}` | {when} |");
        }
        crate::documents::compare_part("docs/log.md", "events", &table);
    }
}
