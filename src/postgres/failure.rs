//! How a statement or a connection failed, and what follows from it.

use std::error::Error;
use std::io;

use tokio_postgres::error::{DbError, SqlState};

use super::cure;
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
        None if error
            .source()
            .is_some_and(|source| source.is::<std::io::Error>()) =>
        {
            Failure::Disconnected
        }
        _ => Failure::Final,
    }
}

/// What failed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DatabaseFault {
    /// The error with its causes.
    pub what: String,
    /// What an operator does about it, if more is known than what the error says.
    pub cure: Option<&'static str>,
}

/// Why a host gives no connection.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Unusable {
    why: String,
    cure: Option<&'static str>,
    /// Whether its open connections are of no use either. A server that answers with an error is
    /// alive: too many connections or a changed password concern new connections only.
    pub(super) is_gone: bool,
}

impl Unusable {
    /// Nobody answers there, or the server is not the one to use.
    pub(super) fn gone(why: impl Into<String>, cure: &'static str) -> Self {
        Self {
            why: why.into(),
            cure: Some(cure),
            is_gone: true,
        }
    }

    /// Says nothing about the connections that are open.
    pub(super) fn refused(why: impl Into<String>, cure: Option<&'static str>) -> Self {
        Self {
            why: why.into(),
            cure,
            is_gone: false,
        }
    }

    /// What several addresses or hosts said. They are gone if each of them is. What a server that
    /// answers says is worth more than that another one does not.
    pub(super) fn all(each: &[Self]) -> Self {
        let whys: Vec<&str> = each.iter().map(|it| it.why.as_str()).collect();
        let (gone, alive): (Vec<&Self>, Vec<&Self>) = each.iter().partition(|it| it.is_gone);
        Self {
            why: whys.join("; "),
            cure: alive.iter().chain(&gone).find_map(|it| it.cure),
            is_gone: !each.is_empty() && each.iter().all(|it| it.is_gone),
        }
    }

    /// As the reason why there is no connection at all.
    pub(super) fn fault(self) -> DatabaseFault {
        DatabaseFault {
            what: self.why,
            cure: self.cure,
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
            cure: Some(cure::REACH),
            is_gone: is_unanswered(error.kind()),
        }
    }
}

impl From<tokio_postgres::Error> for Unusable {
    fn from(error: tokio_postgres::Error) -> Self {
        let source = error.source().and_then(|it| it.downcast_ref());
        let is_unanswered = source.is_some_and(|it: &io::Error| is_unanswered(it.kind()));
        Self {
            why: chain(&error),
            cure: cure::of(&error),
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
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut causes: Vec<String> = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        if let Some(refusals) = error.downcast_ref::<NoConnection>() {
            // The pool's own words around it say nothing.
            return refusals.to_string();
        }
        causes.push(match error.downcast_ref::<DbError>() {
            Some(answer) => answer.message().to_owned(),
            None => without_cause(error),
        });
    }
    causes.dedup();
    causes.join(": ")
}

/// The text of an error without that of its cause, which some errors repeat and which follows anyway.
fn without_cause(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let cause = error.source().map(ToString::to_string);
    let own = cause.and_then(|cause| Some(text.strip_suffix(&cause)?.trim_end_matches(": ").len()));
    match own {
        Some(length) if length > 0 => text[..length].to_owned(),
        _ => text,
    }
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

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("cannot open: {0}")]
        Repeating(#[source] Box<Self>),
        #[error("TLS failed")]
        Silent(#[source] Box<Self>),
        #[error("invalid certificate: unknown issuer")]
        Innermost,
    }

    #[test]
    fn an_error_is_told_with_its_causes_once_and_in_full() {
        let innermost = || Box::new(Layer::Innermost);
        for (error, text) in [
            (Layer::Innermost, "invalid certificate: unknown issuer"),
            (
                Layer::Repeating(innermost()),
                "cannot open: invalid certificate: unknown issuer",
            ),
            (
                Layer::Silent(Box::new(Layer::Repeating(innermost()))),
                "TLS failed: cannot open: invalid certificate: unknown issuer",
            ),
        ] {
            assert_eq!(chain(&error), text);
        }
    }
}
