//! How a statement or a connection failed, and what follows from it.

use std::io;

use tokio_postgres::error::SqlState;

use super::hosts::NoConnection;
use super::measures::StatementFailure;

/// How a statement failed, which decides whether to retry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection is closed. Retry on another one.
    Disconnected,
    /// The server has become a standby. Retry on a connection to the new primary.
    ReadOnly,
    /// A deadlock between two logins. Retry once.
    Deadlock,
    /// The prepared statement is invalid, because a table has changed. Prepare it again and retry
    /// once.
    Stale,
    /// The server connection does not have the prepared statement, because a connection pooler
    /// switched it. Retry without preparing.
    Pooled,
    /// Postgres has canceled the statement: it took longer than `statement_timeout`. Do not retry.
    Canceled,
    /// Do not retry.
    Final,
}

impl Failure {
    /// What it is counted as.
    pub(super) const fn kind(self) -> StatementFailure {
        match self {
            Self::Disconnected => StatementFailure::Disconnected,
            Self::ReadOnly => StatementFailure::ReadOnly,
            Self::Deadlock => StatementFailure::Deadlock,
            Self::Stale | Self::Pooled => StatementFailure::Stale,
            Self::Canceled => StatementFailure::Timeout,
            Self::Final => StatementFailure::Rejected,
        }
    }
}

pub(super) fn classify(error: &tokio_postgres::Error) -> Failure {
    if error.is_closed() {
        return Failure::Disconnected;
    }
    match error.code() {
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => Failure::Disconnected,
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => Failure::ReadOnly,
        Some(&SqlState::T_R_DEADLOCK_DETECTED) => Failure::Deadlock,
        Some(&SqlState::QUERY_CANCELED) => Failure::Canceled,
        Some(&SqlState::FEATURE_NOT_SUPPORTED) => Failure::Stale,
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT) => {
            Failure::Pooled
        }
        None if std::error::Error::source(error)
            .is_some_and(|source| source.is::<std::io::Error>()) =>
        {
            Failure::Disconnected
        }
        _ => Failure::Final,
    }
}

/// Why a host gives no connection.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Unusable {
    why: String,
    /// Whether its open connections are of no use either. A server that answers with an error is
    /// alive: too many connections or a changed password concern new connections only.
    pub(super) is_gone: bool,
}

impl Unusable {
    /// Nobody answers there, or the server is not the one to use.
    pub(super) fn gone(why: impl Into<String>) -> Self {
        let (why, is_gone) = (why.into(), true);
        Self { why, is_gone }
    }

    /// Says nothing about the connections that are open.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        let (why, is_gone) = (why.into(), false);
        Self { why, is_gone }
    }

    /// What several addresses or hosts said. They are gone if each of them is.
    pub(super) fn all(each: &[Self]) -> Self {
        let whys: Vec<&str> = each.iter().map(|it| it.why.as_str()).collect();
        Self {
            why: whys.join("; "),
            is_gone: !each.is_empty() && each.iter().all(|it| it.is_gone),
        }
    }

    /// The same, with the name of the host.
    pub(super) fn at(mut self, place: &impl std::fmt::Display) -> Self {
        self.why = format!("{place}: {}", self.why);
        self
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self {
            why: error.to_string(),
            is_gone: is_unanswered(error.kind()),
        }
    }
}

impl From<tokio_postgres::Error> for Unusable {
    fn from(error: tokio_postgres::Error) -> Self {
        let source = std::error::Error::source(&error).and_then(|it| it.downcast_ref());
        let is_unanswered = source.is_some_and(|it: &io::Error| is_unanswered(it.kind()));
        Self {
            why: chain(&error),
            is_gone: error.is_closed() || is_unanswered,
        }
    }
}

/// Whether nobody is there: not so if a certificate is wrong, or if this machine has no file or port left.
const fn is_unanswered(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            // A socket's file.
            | io::ErrorKind::NotFound
    )
}

/// Whether a connection was refused because of a startup parameter, which a connection pooler does
/// and Postgres does not: it refuses an unknown name, but not `options`.
pub(super) fn is_refused_by_pooler(error: &tokio_postgres::Error) -> bool {
    let answer = error.as_db_error();
    answer.is_some_and(|answer| {
        *answer.code() == SqlState::PROTOCOL_VIOLATION
            && answer
                .message()
                .to_ascii_lowercase()
                .starts_with("unsupported startup parameter")
    })
}

/// An error with its causes. Of a Postgres error only the message, because its details may contain
/// values of rows.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refusals) = error.downcast_ref::<NoConnection>() {
            causes.push(refusals.to_string());
            break;
        }
        let text = match error.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(answer) => answer.message().to_owned(),
            None => error.to_string(),
        };
        // Some errors repeat the text of their cause, which follows anyway.
        if let Some(text) = text.split(": ").next()
            && !causes.iter().any(|cause: &String| cause == text)
        {
            causes.push(text.to_owned());
        }
        next = error.source();
    }
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_gone_if_none_of_its_addresses_answers() {
        let of = |kind: io::ErrorKind| Unusable::from(io::Error::from(kind));
        let gone = || of(io::ErrorKind::ConnectionRefused);
        let alive = || of(io::ErrorKind::InvalidData);
        for (each, is_gone) in [
            (vec![gone(), gone()], true),
            (vec![gone(), alive()], false),
            (vec![of(io::ErrorKind::AddrNotAvailable)], false),
            (vec![], false),
        ] {
            assert_eq!(Unusable::all(&each).is_gone, is_gone, "{each:?}");
        }
    }
}
