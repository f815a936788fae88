//! Writes what a request led to: a line of the log, and a row of the audit table if there is one.
//!
//! In: an [`Entry`] of a [`RequestContext`]. Out: one line with the fields that `docs/log.md`
//! documents. A line that nobody wants costs nothing: its ID and peer are not computed.

use std::borrow::Cow;
use std::fmt;

use tracing::Level;

use super::context::RequestContext;
use super::event::{AUDIT, DECISION, Event, STEP};
use super::peer_address::PeerAddress;
use crate::audit::AuditEvent;
use crate::gate::reason::{Denied, Outage};
use crate::gate::verdict::{Grant, Rejection, Whom};
use crate::gate::verify::Method;
use crate::gate::witness::{Change, Witness, plain};

/// The most characters of a path that a line shows.
const MAX_PATH: usize = 200;

/// What a request led to, and what else is known about it.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    event: Event,
    reason: Option<&'static str>,
    whom: Option<&'a Whom>,
    caller_id: Option<i32>,
    path: Option<&'a str>,
    sessions: Option<usize>,
    tokens_revoked: Option<bool>,
    hint: Option<&'static str>,
}

impl<'a> Entry<'a> {
    pub(super) const fn new(event: Event) -> Self {
        Self {
            event,
            reason: None,
            whom: None,
            caller_id: None,
            path: None,
            sessions: None,
            tokens_revoked: None,
            hint: None,
        }
    }

    /// The entry of a verdict.
    pub(super) fn of_verdict(verdict: &'a Result<Grant, Rejection>) -> Self {
        let (reason, whom) = match verdict {
            Ok(grant) => (grant.reason(), Some(grant.whom())),
            Err(rejection) => (rejection.reason(), rejection.whom()),
        };
        let is_malformed = reason == Denied::RequestMalformed.into();
        let hint = "the proxy did not send the original URI in its header";
        Self {
            reason: Some(reason.code()),
            whom,
            hint: is_malformed.then_some(hint),
            ..Self::new(Event::of_verdict(reason))
        }
    }

    /// The entry of an outage, if there is no verdict.
    pub(super) const fn of_outage(outage: Outage) -> Self {
        Self::new(Event::Undecided).because(outage.code())
    }

    pub(super) const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(super) const fn about(mut self, whom: &'a Whom) -> Self {
        self.whom = Some(whom);
        self
    }

    /// The owner of the API token with which the request came.
    pub(super) const fn called_by(mut self, caller_id: Option<i32>) -> Self {
        self.caller_id = caller_id;
        self
    }

    /// The original path, without the query.
    pub(super) const fn at(mut self, path: Option<&'a str>) -> Self {
        self.path = path;
        self
    }

    /// What a revocation ended: rows, and whether tokens are revoked.
    pub(super) const fn ended(mut self, sessions: Option<usize>, tokens: bool) -> Self {
        self.sessions = sessions;
        self.tokens_revoked = Some(tokens);
        self
    }
}

impl RequestContext<'_> {
    /// Writes an entry, unless the log doesn't want it or the peer has exceeded its limit.
    pub(super) fn record(&self, entry: &Entry<'_>) {
        let event = entry.event;
        self.has_entry.set(event != Event::Passed);
        let is_logged = event.is_logged();
        let audit = self.state.audit.as_ref().filter(|_| event.is_audited());
        if !is_logged && audit.is_none() || event.is_limited() && !self.logs_refusal() {
            return;
        }
        if is_logged {
            entry.log(self.id(), self.peer());
        }
        if let Some(audit) = audit {
            audit.record(self.audit_event(entry));
        }
    }

    fn audit_event(&self, entry: &Entry<'_>) -> AuditEvent {
        let whom = entry.whom;
        AuditEvent {
            id: self.state.entropy.sixteen(),
            at: self.state.gate.clock.now(),
            event: entry.event.name(),
            request_id: self.id().to_owned(),
            peer: self.peer().ip(),
            method: whom.and_then(|whom| whom.method).map(Method::as_str),
            user_id: whom.and_then(|whom| whom.user_id),
            identity: entry.identity(),
            caller_id: entry.caller_id,
            reason: entry.reason,
            path: entry.path.map(|path| cut_path(path).into_owned()),
        }
    }
}

impl Entry<'_> {
    /// Whom it concerns if no user is known, escaped and shortened.
    fn identity(&self) -> Option<String> {
        let identity = self.whom.and_then(|whom| whom.identity.as_deref());
        identity.map(plain)
    }

    fn log(&self, request_id: &str, peer: PeerAddress) {
        let Self {
            event,
            reason,
            whom,
            caller_id,
            sessions,
            tokens_revoked,
            hint,
            ..
        } = *self;
        let method = whom.and_then(|whom| whom.method).map(Method::as_str);
        let user_id = whom.and_then(|whom| whom.user_id);
        let identity = self.identity();
        let identity = identity.as_deref();
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
                    path,
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

/// The gate's steps go to the log, its changes to the audit trail.
impl Witness for RequestContext<'_> {
    fn wants_steps(&self) -> bool {
        tracing::enabled!(target: STEP, Level::DEBUG)
    }

    fn step(&self, step: fmt::Arguments<'_>) {
        let request_id = self.id();
        tracing::debug!(target: STEP, request_id, "{step}");
    }

    fn changed(&self, change: Change) {
        let (event, user_id) = match change {
            Change::AccountCreated { user_id } => (Event::AccountCreated, user_id),
            Change::StaffGranted { user_id } => (Event::StaffGranted, user_id),
            Change::StaffWithdrawn { user_id } => (Event::StaffWithdrawn, user_id),
            Change::SignedOut { user_id } => (Event::SignedOut, user_id),
        };
        match change {
            Change::StaffGranted { .. } => self.state.metrics.count_staff_change(true),
            Change::StaffWithdrawn { .. } => self.state.metrics.count_staff_change(false),
            Change::AccountCreated { .. } | Change::SignedOut { .. } => {}
        }
        self.record(&Entry::new(event).about(&Whom::user(user_id)));
    }
}

/// A path has visible ASCII characters only, but as many as the proxy accepts.
fn cut_path(path: &str) -> Cow<'_, str> {
    match path.char_indices().nth(MAX_PATH) {
        None => path.into(),
        Some((end, _)) => format!("{}…", &path[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::telemetry::{Format, subscriber};

    const FIELDS: &[(&str, &str)] = &[
        ("timestamp", "When, in UTC (RFC 3339)."),
        ("level", "See above."),
        ("message", "The event."),
        ("request_id", "The ID of the request; see below."),
        (
            "peer",
            "The address of the browser or caller; see [proxies.md](proxies.md#what-to-set-in-the-gate).",
        ),
        (
            "method",
            "How the user proved who they are: `external`, `native`, `session` or `proxy` ([methods.md](methods.md)), or `openid` ([sign-in.md](sign-in.md)).",
        ),
        ("user_id", "Whom the event concerns: `htx_user.id`."),
        (
            "identity",
            "The address or username that a verified credential, or an administrator's call, names, if no user has it.",
        ),
        (
            "caller_id",
            "The owner of the API token of a call to `/api/sso/token` or `/api/sso/revoke`: `htx_user.id`.",
        ),
        (
            "reason",
            "Why: a code of [reasons.md](reasons.md). Absent if the event says it all.",
        ),
        (
            "path",
            "The path that was asked for, without its query, at most 200 characters.",
        ),
        (
            "sessions",
            "`sessions ended`: how many rows were deleted. Absent with signed cookies.",
        ),
        (
            "tokens_revoked",
            "`sessions ended`, `revocation refused`: whether tokens issued before are revoked.",
        ),
        ("hint", "What to look at."),
        ("target", "`audit` or `label_studio_gate::decision`."),
    ];

    /// What `work` logs.
    fn logged(format: Format, work: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("lock").extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let (everything, _) = subscriber(format, EnvFilter::new("trace"), move || writer.clone());
        tracing::subscriber::with_default(everything, work);
        let bytes = sink.0.lock().expect("lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn peer() -> PeerAddress {
        PeerAddress::for_tests("192.0.2.7")
    }

    /// The table in `docs/log.md` is generated from the fields. `UPDATE_DOCS=1` writes it.
    #[test]
    fn the_log_fields_are_documented() {
        let mut table = String::from("| field | meaning |\n|---|---|\n");
        for (field, meaning) in FIELDS {
            let _ = writeln!(table, "| `{field}` | {meaning} |");
        }
        crate::documents::compare_part("docs/log.md", "fields", &table);

        let whom = Whom {
            method: Some(Method::External),
            user_id: Some(7),
            identity: Some("ann@example.com".to_owned()),
        };
        let entry = Entry {
            hint: Some("x"),
            ..Entry::new(Event::Refused)
        };
        let entry = entry.because("x").about(&whom).called_by(Some(1));
        let entry = entry.at(Some("/")).ended(Some(3), true);
        let line = logged(Format::Json, || entry.log("12345678", peer()));
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let found: Vec<&String> = line.as_object().expect("an object").keys().collect();
        let documented: Vec<&str> = FIELDS.iter().map(|(field, _)| *field).collect();
        assert_eq!(found, documented);
    }

    #[test]
    fn text_from_outside_stays_on_its_line() {
        let whom = Whom {
            identity: Some(format!(
                "a\n2026 INFO audit: logged in\u{1b}[31m{}",
                "x".repeat(500)
            )),
            ..Whom::default()
        };
        let path = format!("/{}", "p".repeat(500));
        for format in [Format::Human, Format::Json] {
            let entry = Entry::new(Event::Refused).about(&whom).at(Some(&path));
            let lines = logged(format, || entry.log("12345678", peer()));
            assert_eq!(lines.lines().count(), 1, "{lines}");
            assert!(!lines.contains('\u{1b}'), "{lines}");
            assert!(lines.chars().count() < 600, "{lines}");
        }
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let entry = Entry::new(Event::Passed).because("no_token");
        let line = logged(Format::Human, || entry.log("12345678", peer()));
        let (_, line) = line.trim_end().split_once("DEBUG ").expect("the level");
        assert_eq!(
            line,
            "label_studio_gate::decision: passed request_id=\"12345678\" peer=192.0.2.7 reason=\"no_token\""
        );
    }
}
