//! What `/metrics` tells about the pool and the statements.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::Status;

use super::failure::DatabaseFault;
use crate::metrics::{Counter, Histogram, Page, family};

/// The names of the statements that the pool prepares, sorted. Locks are a part of the statement
/// behind them.
const STATEMENTS: [&str; 37] = [
    "append_audit",
    "append_audit_without_provider",
    "columns",
    "create_user",
    "earlier_logins",
    "end_sessions",
    "ended_at",
    "keys_of_provider_session",
    "keys_of_provider_user",
    "load_session",
    "migrations",
    "note_end",
    "owner_of_jwt",
    "owner_of_key",
    "owner_of_key_before_1_17",
    "page_of_sessions",
    "purge_audit",
    "purge_sessions",
    "purge_tokens",
    "recent_sessions",
    "record_login",
    "record_login_alone",
    "record_login_signed_cookies",
    "record_login_signed_cookies_alone",
    "renew_unusable_password",
    "revoke",
    "schema",
    "server_time",
    "session_policy",
    "set_staff",
    "update_names",
    "use_token",
    "user_by_email",
    "user_by_folded_email",
    "user_by_id",
    "user_by_username",
    "users_and_index",
];

/// Why a statement failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum StatementFailure {
    Disconnected,
    Deadlock,
    Stale,
    ReadOnly,
    Timeout,
    Rejected,
}

const STATEMENT_FAILURES: [&str; 6] = [
    "disconnected",
    "deadlock",
    "stale",
    "read_only",
    "timeout",
    "rejected",
];

impl StatementFailure {
    /// Its label.
    pub(super) const fn name(self) -> &'static str {
        STATEMENT_FAILURES[self as usize]
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum PoolFailure {
    Timeout,
    Unreachable,
}

const POOL_FAILURES: [&str; 2] = ["timeout", "unreachable"];

/// Counts and times what the pool does.
#[derive(Debug)]
pub(super) struct Measures {
    statements: [Histogram; STATEMENTS.len()],
    statement_failures: [Counter; STATEMENT_FAILURES.len()],
    wait: Histogram,
    pool_failures: [Counter; POOL_FAILURES.len()],
    shed: Counter,
    /// For `doctor`, which asks one thing after another.
    fault: Mutex<Option<DatabaseFault>>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            statements: std::array::from_fn(|_| Histogram::default()),
            statement_failures: Default::default(),
            wait: Histogram::default(),
            pool_failures: Default::default(),
            shed: Counter::default(),
            fault: Mutex::default(),
        }
    }
}

impl Measures {
    /// Records how long Postgres took for a statement.
    pub(super) fn observe_statement(&self, name: &str, duration: Duration) {
        if let Ok(index) = STATEMENTS.binary_search(&name) {
            self.statements[index].observe(duration);
        }
    }

    /// Remembers why the latest request failed.
    pub(super) fn blame(&self, fault: DatabaseFault) {
        *self.fault() = Some(fault);
    }

    /// Why the latest request failed, once.
    pub(super) fn take_fault(&self) -> Option<DatabaseFault> {
        self.fault().take()
    }

    fn fault(&self) -> MutexGuard<'_, Option<DatabaseFault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_statement_failure(&self, failure: StatementFailure) {
        self.statement_failures[failure as usize].increment();
    }

    /// Records how long a statement waited for a connection.
    pub(super) fn observe_wait(&self, duration: Duration) {
        self.wait.observe(duration);
    }

    pub(super) fn count_pool_failure(&self, failure: PoolFailure) {
        self.pool_failures[failure as usize].increment();
    }

    /// Counts a request for which there was no room in the queue.
    pub(super) fn count_shed(&self) {
        self.shed.increment();
    }

    /// `pool` is the state of the pool now, and `waiting` the number of requests in the queue.
    pub(super) fn report(&self, page: &mut Page, pool: &Status, waiting: usize) {
        for (name, durations) in STATEMENTS.iter().zip(&self.statements) {
            page.histogram_if_used(&family::STATEMENT_DURATION, &[name], durations);
        }
        for (cause, count) in STATEMENT_FAILURES.iter().zip(&self.statement_failures) {
            page.counter(&family::STATEMENT_FAILURES, &[cause], count.get());
        }
        page.histogram(&family::POOL_WAIT, &[], &self.wait);
        for (cause, count) in POOL_FAILURES.iter().zip(&self.pool_failures) {
            page.counter(&family::POOL_FAILURES, &[cause], count.get());
        }
        page.counter(&family::SHED, &["database"], self.shed.get());
        let in_use = pool.size.saturating_sub(pool.available);
        page.gauge(&family::POOL_CONNECTIONS, &["in_use"], number(in_use));
        page.gauge(&family::POOL_CONNECTIONS, &["idle"], number(pool.available));
        page.gauge(&family::POOL_LIMIT, &[], number(pool.max_size));
        page.gauge(&family::POOL_WAITING, &[], number(waiting));
    }
}

/// A number of connections or statements.
#[expect(clippy::cast_precision_loss, reason = "settings limit it to 100,000")]
const fn number(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_a_histogram() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
        let files = std::fs::read_dir(directory).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files
            .filter_map(|file| Some(file.strip_suffix(".sql")?.to_owned()))
            .collect();
        // These are not prepared: scripts for psql, those of `migrate`, those that prepare a
        // connection or a transaction, and locks that are taken in the same round trip as the
        // statement behind them.
        let others = [
            "role",
            "indexes",
            "gate_schema",
            "gate_grants",
            "gate_grants_retention",
            "own_table_roles",
            // Nor is what `doctor` alone asks for.
            "missing_audit_columns",
            "connected",
            "set_local",
            "lock_place",
            "lock_places",
        ];
        names.retain(|name| !others.contains(&name.as_str()));
        names.sort();
        assert_eq!(names, STATEMENTS);
    }
}
