//! The metrics that exist, each declared once.
//!
//! A declaration holds the name, type, labels and meaning of a metric. The exposition and
//! `docs/metrics.md` come from it (`UPDATE_DOCS=1 cargo test metrics` writes the document).

/// What every name begins with.
pub(super) const PREFIX: &str = "label_studio_gate_";

/// The type of a metric (OpenMetrics 1.0, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// The name in the exposition and in the documentation.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What the names of its samples end with.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// Declares metrics: documentation, constant, type, name and labels.
macro_rules! families {
    ($($(#[doc = $doc:literal])+ $family:ident = $kind:ident $name:literal [$($label:literal),*];)+) => {
        $(
            $(#[doc = $doc])+
            pub static $family: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: concat!($($doc),+).trim_ascii(),
            };
        )+

        /// All of them, in the order of the exposition.
        pub(super) static ALL: &[&Family] = &[$(&$family),+];
    };
}

families! {
    /// Answered checks, by reason and by the method that verified the credential (`none`: no
    /// credential was verified).
    CHECKS = Counter "checks" ["reason", "method"];
    /// Requests to `/sso/login` and to pages with a token in the URL, and answers of OpenID providers
    /// at `/sso/callback`, by reason and method.
    SIGN_INS = Counter "sign_ins" ["reason", "method"];
    /// Requests to `POST /api/sso/token`, by response status.
    TOKEN_REQUESTS = Counter "token_requests" ["status"];
    /// Time from the arrival of a request's head to its answer. `route`: `check`, `sign_in`, `token`.
    /// `outcome`: `passed` (without a login), `logged_in`, `issued`, `refused`, `outage`.
    REQUEST_DURATION = Histogram "request_duration_seconds" ["route", "outcome"];
    /// Time that Postgres took for a statement, by the name of its file in `sql/`, including the way
    /// there and back, without the wait for a connection.
    STATEMENT_DURATION = Histogram "statement_duration_seconds" ["statement"];
    /// Number of requests that one statement answered: requests of a kind that arrive at the same
    /// time share a statement. `_sum` divided by `_count` is the mean.
    STATEMENT_REQUESTS = Histogram "statement_requests" ["statement"];
    /// Statements that failed. `cause`: `disconnected`, `deadlock`, `stale` (prepared statement no
    /// longer valid), `read_only` (the server is a standby now), `timeout` (not answered in time, or
    /// canceled by Postgres for it), `rejected` (by Postgres). The first four are tried again.
    STATEMENT_FAILURES = Counter "statement_failures" ["cause"];
    /// Time that a request waited for a connection to Postgres, or for the next statement of its
    /// kind.
    POOL_WAIT = Histogram "pool_wait_seconds" [];
    /// Waits for a connection to Postgres that ended without one. `cause`: `timeout` (none became
    /// free), `unreachable` (Postgres could not be connected to).
    POOL_FAILURES = Counter "pool_failures" ["cause"];
    /// Connections to Postgres. `state`: `in_use`, `idle`.
    POOL_CONNECTIONS = Gauge "pool_connections" ["state"];
    /// Maximum number of connections (`database.pool_size`).
    POOL_LIMIT = Gauge "pool_connections_limit" [];
    /// Requests that are waiting for a connection to Postgres, or for the next statement of their
    /// kind.
    POOL_WAITING = Gauge "pool_waiting" [];
    /// Requests answered with 503 at once, because too many were waiting. `dependency`: `database`,
    /// `client_api`.
    SHED = Counter "shed_requests" ["dependency"];
    /// Look-ups that a cache answered.
    CACHE_HITS = Counter "cache_hits" ["cache"];
    /// Look-ups that a cache could not answer.
    CACHE_MISSES = Counter "cache_misses" ["cache"];
    /// Cached entries, including expired ones whose place nobody needed yet.
    CACHE_ENTRIES = Gauge "cache_entries" ["cache"];
    /// Time that an issuer's key server took for an answer. `outcome`: `ok`, `failed`.
    KEY_SERVER_DURATION = Histogram "key_server_request_duration_seconds" ["issuer", "outcome"];
    /// Usable keys of an issuer that publishes them.
    ISSUER_KEYS = Gauge "issuer_keys" ["issuer"];
    /// Time since an issuer's keys were last read. Absent until then.
    ISSUER_KEYS_AGE = Gauge "issuer_keys_age_seconds" ["issuer"];
    /// Interval in which an issuer's keys are read again (`key_server.refresh_seconds`).
    ISSUER_KEYS_REFRESH = Gauge "issuer_keys_refresh_seconds" ["issuer"];
    /// Time that an OpenID provider took for an answer. `request`: `discovery`, `pushed_authorization`,
    /// `token`, `userinfo`; its keys are among the key servers'. `outcome`: `ok`, `refused` (the
    /// code, as one that was used already), `failed` (no answer, an unusable one, or another OAuth error, as for
    /// a client secret that has expired).
    PROVIDER_DURATION = Histogram "provider_request_duration_seconds" ["provider", "request", "outcome"];
    /// Time that the host application's API took for an answer. `outcome`: `user`, `nobody`,
    /// `unusable` (the answer violates the contract), `failed` (no answer, 408, 429, 5xx).
    CLIENT_API_DURATION = Histogram "client_api_request_duration_seconds" ["outcome"];
    /// State of the circuit breaker for the host application's API: 1 for the current one of `closed`,
    /// `half_open` and `open`, 0 for the others.
    CLIENT_API_BREAKER = Gauge "client_api_breaker" ["state"];
    /// Refusals not logged because the peer exceeded its log limit.
    LOG_LINES_SUPPRESSED = Counter "log_lines_suppressed" [];
    /// Log lines that could not be written, or that nobody read in time.
    LOG_LINES_LOST = Counter "log_lines_lost" [];
    /// Finished spans of traces. `outcome`: `exported`, `queue_full`, `not_accepted` (by the collector).
    SPANS = Counter "spans" ["outcome"];
    /// Reloads of the settings. `trigger`: `signal`, `files`; `outcome`: `applied`, `rejected`.
    RELOADS = Counter "settings_reloads" ["trigger", "outcome"];
    /// Whether the last reload of the settings put them in force, 1 or 0. 1 at the start.
    RELOAD_SUCCESSFUL = Gauge "settings_last_reload_successful" ["trigger"];
    /// When a reload, or the start, last put settings in force, in seconds since the epoch.
    RELOAD_TIME = Gauge "settings_last_reload_success_timestamp_seconds" ["trigger"];
    /// Audit events that were not written to the table (`audit.table`), because it could not be written
    /// for too long. The log has them.
    AUDIT_EVENTS_LOST = Counter "audit_events_lost" [];
    /// Users whose groups changed whether they are staff (`staff_groups`). `change`: `granted`,
    /// `withdrawn`.
    STAFF_CHANGES = Counter "staff_changes" ["change"];
    /// Version of the service.
    BUILD = Info "build" ["version"];
    /// Settings in force. `engine`: `session.engine`; `anonymous`: `policy.anonymous`; `methods`: the
    /// sign-in methods that are enabled (`external`, `native`, `api_tokens`, `session`, `proxy`,
    /// `openid`); `token_use`: `token.use`.
    CONFIGURATION = Info "configuration" ["engine", "anonymous", "methods", "token_use"];
    /// Start time of the process, in seconds since the epoch.
    START_TIME = Gauge "start_time_seconds" [];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    /// `docs/metrics.md` is generated from the declarations. `UPDATE_DOCS=1` writes it.
    #[test]
    fn metrics_table_is_up_to_date() {
        let mut table = String::from(concat!(
            "# Metrics\n\n",
            "`GET /metrics` answers with these, in the OpenMetrics text format. How to scrape them, alerts, a dashboard and traces: ",
            "[monitoring](monitoring.md).\n\n",
            "A counter, gauge or histogram without labels is there from the start, and so is each value of `cause`, ",
            "`dependency` and `state`. A combination of other labels is there once it has occurred. Histograms have ",
            "the samples `_bucket`, `_count` and `_sum`; times are in seconds.\n\n",
            "| metric | type | labels | meaning |\n|---|---|---|---|\n",
        ));
        for family in ALL {
            let labels: Vec<String> = family.labels.iter().map(|it| format!("`{it}`")).collect();
            let _ = writeln!(
                table,
                "| `{PREFIX}{}{}` | {} | {} | {} |",
                family.name,
                family.kind.suffix(),
                family.kind.as_str(),
                labels.join(", "),
                family.help
            );
        }
        crate::documents::compare("docs/metrics.md", &table);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_that_says_its_unit() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            let is_name = |it: &str| it.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(is_name(family.name), "{family:?}");
            assert!(
                family.labels.iter().all(|label| is_name(label)),
                "{family:?}"
            );
            if family.kind == Kind::Histogram {
                let units = ["_seconds", "_requests"];
                let has_unit = units.iter().any(|unit| family.name.ends_with(unit));
                assert!(has_unit, "{family:?}");
            }
        }
    }
}
