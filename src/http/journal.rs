//! Writes what a request led to: a line of the log, and a row of the audit table if there is one.
//!
//! In: an [`Entry`] of a [`RequestContext`]. Out: its line and its row, if they are wanted. What
//! nobody wants costs nothing: ID and peer are not computed.

mod entry;

use std::fmt;

use tracing::Level;

pub(super) use self::entry::Entry;
use super::context::RequestContext;
use super::event::{Event, STEP};
use crate::gate::observer::{Change, Observer};
use crate::gate::verdict::Principal;

impl RequestContext<'_> {
    /// Writes an entry to the log and to the audit trail, if they want it. Both are limited: a peer
    /// that caused too many refusals adds to neither.
    pub(super) fn record(&self, entry: &Entry<'_>) {
        let event = entry.event;
        self.has_entry.set(event != Event::Passed);
        let is_logged = event.is_logged();
        let audit = self.state.audit.as_ref().filter(|_| event.is_audited());
        if (!is_logged && audit.is_none()) || (event.is_limited() && !self.logs_refusal()) {
            return;
        }
        if is_logged {
            entry.log(self.id(), self.peer());
        }
        if let Some(audit) = audit {
            let (id, at) = (self.state.entropy.sixteen(), self.state.gate.clock.now());
            audit.record(entry.audited(id, at, self.id(), self.peer()));
        }
    }
}

/// The gate's steps go to the log, its changes to the audit trail.
impl Observer for RequestContext<'_> {
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
        self.record(&Entry::new(event).about(&Principal::user(user_id)));
    }
}
