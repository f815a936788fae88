//! What is written about a request: its line of the log and its row of the audit table.
//!
//! In: a verdict, or an event with what is known about it. Out: an [`Entry`]. Its line has the fields
//! that `docs/log.md` documents.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::SystemTime;

use tracing::Level;

use crate::audit::AuditEvent;
use crate::gate::observer::plain;
use crate::gate::reason::{Denied, Outage};
use crate::gate::verdict::{Grant, Principal, Rejection};
use crate::gate::verify::Method;
use crate::http::event::{AUDIT, DECISION, Event};
use crate::http::peer_address::PeerAddress;

/// The most characters of a path that a line shows.
const MAX_PATH: usize = 200;

/// What a request led to, and what else is known about it.
#[derive(Clone, Copy)]
pub(in crate::http) struct Entry<'a> {
    pub(super) event: Event,
    reason: Option<&'static str>,
    principal: Option<&'a Principal>,
    caller_id: Option<i32>,
    provider: Option<&'a str>,
    path: Option<&'a str>,
    sessions: Option<usize>,
    tokens_revoked: Option<bool>,
    hint: Option<&'static str>,
}

impl<'a> Entry<'a> {
    pub(in crate::http) const fn new(event: Event) -> Self {
        Self {
            event,
            reason: None,
            principal: None,
            caller_id: None,
            provider: None,
            path: None,
            sessions: None,
            tokens_revoked: None,
            hint: None,
        }
    }

    /// The entry of a verdict.
    pub(in crate::http) fn of_verdict(verdict: &'a Result<Grant, Rejection>) -> Self {
        let (reason, principal) = match verdict {
            Ok(grant) => (grant.reason(), Some(grant.principal())),
            Err(rejection) => (rejection.reason(), rejection.principal()),
        };
        let is_malformed = reason == Denied::RequestMalformed.into();
        let hint = "the proxy did not send the original URI in its header";
        Self {
            reason: Some(reason.code()),
            principal,
            hint: is_malformed.then_some(hint),
            ..Self::new(Event::of_verdict(reason))
        }
    }

    /// The entry of an outage, if there is no verdict.
    pub(in crate::http) const fn of_outage(outage: Outage) -> Self {
        Self::new(Event::Undecided).because(outage.code())
    }

    pub(in crate::http) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(in crate::http) const fn about(mut self, principal: &'a Principal) -> Self {
        self.principal = Some(principal);
        self
    }

    /// The owner of the API token with which the request came.
    pub(in crate::http) const fn called_by(mut self, caller_id: Option<i32>) -> Self {
        self.caller_id = caller_id;
        self
    }

    /// The issuer of the OpenID provider that sent the request, or in whose name it came.
    pub(in crate::http) const fn by_provider(mut self, provider: Option<&'a str>) -> Self {
        self.provider = provider;
        self
    }

    /// The original path, without the query.
    pub(in crate::http) const fn at(mut self, path: Option<&'a str>) -> Self {
        self.path = path;
        self
    }

    /// What a revocation ended: rows, and whether tokens are revoked.
    pub(in crate::http) const fn ended(mut self, sessions: Option<usize>, tokens: bool) -> Self {
        self.sessions = sessions;
        self.tokens_revoked = Some(tokens);
        self
    }

    /// How many rows a provider's logout ended.
    pub(in crate::http) const fn ended_sessions(mut self, sessions: usize) -> Self {
        self.sessions = Some(sessions);
        self
    }
}

impl Entry<'_> {
    /// Whom it concerns if no user is known, escaped and shortened.
    fn identity(&self) -> Option<String> {
        let identity = self
            .principal
            .and_then(|principal| principal.identity.as_deref());
        identity.map(plain)
    }

    /// Its row of the audit table, under an ID of its own.
    pub(super) fn audited(
        &self,
        id: [u8; 16],
        at: SystemTime,
        request_id: &str,
        peer: PeerAddress,
    ) -> AuditEvent {
        let principal = self.principal;
        AuditEvent {
            id,
            at,
            event: self.event.name(),
            request_id: request_id.to_owned(),
            peer: peer.ip(),
            method: principal
                .and_then(|principal| principal.method)
                .map(Method::as_str),
            user_id: principal.and_then(|principal| principal.user_id),
            identity: self.identity(),
            caller_id: self.caller_id,
            reason: self.reason,
            path: self.path.map(|path| cut_path(path).into_owned()),
            provider: self.provider.map(str::to_owned),
        }
    }

    /// Writes its line.
    pub(super) fn log(&self, request_id: &str, peer: PeerAddress) {
        let Self {
            event,
            reason,
            principal,
            caller_id,
            provider,
            sessions,
            tokens_revoked,
            hint,
            ..
        } = *self;
        let method = principal
            .and_then(|principal| principal.method)
            .map(Method::as_str);
        let user_id = principal.and_then(|principal| principal.user_id);
        let identity = self.identity();
        let identity = identity.as_deref();
        let claim = principal.and_then(|principal| principal.claim.as_deref());
        let path = self.path.map(cut_path);
        let path = path.as_deref();
        let peer = tracing::field::display(peer);
        macro_rules! line {
            ($level:ident, $target:expr) => {
                tracing::event!(
                    target: $target,
                    Level::$level,
                    request_id,
                    peer,
                    method,
                    user_id,
                    identity,
                    caller_id,
                    reason,
                    claim,
                    path,
                    provider,
                    sessions,
                    tokens_revoked,
                    hint,
                    "{}",
                    event.name()
                )
            };
        }
        match (event.is_audited(), event.level()) {
            (true, Level::WARN) => line!(WARN, AUDIT),
            (true, _) => line!(INFO, AUDIT),
            (false, Level::DEBUG) => line!(DEBUG, DECISION),
            (false, Level::ERROR) => line!(ERROR, DECISION),
            (false, _) => line!(INFO, DECISION),
        }
    }
}

/// A path has visible ASCII characters only, but as many as the proxy accepts.
fn cut_path(path: &str) -> Cow<'_, str> {
    match path.char_indices().nth(MAX_PATH) {
        None => path.into(),
        Some((end, _)) => format!("{}…", &path[..end]).into(),
    }
}
