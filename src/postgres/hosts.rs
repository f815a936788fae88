//! Opens connections to the database: to the host that was right last, or to another one that
//! answers and accepts writes.
//!
//! In: the hosts of the settings. Out: a [`Link`]. A host that accepts connections and says nothing
//! holds up nobody: every host has its own time limit, and the next one is tried before it has
//! passed. When a host turns out to be dead or a standby, all connections to it are closed, so that
//! requests don't discover dead connections one by one.

mod greeting;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use tokio::sync::watch;

use super::dial::Dialer;
use super::failure::{DatabaseFault, Unusable};
use super::link::Link;
use super::race::first_success;
use super::statement::{code, sql};
use super::tls::TlsError;
use crate::settings::{Database, DatabaseHost};

/// The hosts of a database. A clone is the same value.
#[derive(Clone)]
pub(super) struct Hosts(Arc<Inner>);

struct Inner {
    hosts: Vec<Host>,
    latest: Mutex<Latest>,
    dialer: Dialer,
    /// Time limit for each host.
    limit: Duration,
    /// Whether the host must accept writes.
    writable: bool,
    /// How often prepared statements have become stale.
    stale: AtomicU64,
    /// Whether a connection pooler has been noticed, or the settings name one.
    pooled: AtomicBool,
    /// What opens a transaction without prepared statements.
    begin: String,
    /// Asks a new connection what it is good for.
    question: String,
}

/// What is known about where the database is.
#[derive(Clone, Copy)]
struct Latest {
    /// The host of the latest connection, which is tried first.
    host: usize,
    /// How many connections have been opened.
    opened: u64,
}

struct Host {
    place: DatabaseHost,
    /// How often it was found to be unusable. Connections end when it changes.
    epoch: watch::Sender<u64>,
    is_probed: AtomicBool,
}

/// Options of every connection with prepared statements, whatever the database's or the role's are.
const FIXED_OPTIONS: [(&str, &str); 3] = [
    // Plans for the values of the moment cost more than they save, up to ten times.
    ("plan_cache_mode", "force_generic_plan"),
    // Compiling costs more than it saves, and Postgres keeps no compiled code: with large tables, each
    // statement would be compiled anew.
    ("jit", "off"),
    // A statement after a lock has to see what was committed before the lock was free.
    ("default_transaction_isolation", "read committed"),
];

/// Why there is no connection: what each host said.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct NoConnection(pub(super) DatabaseFault);

impl Hosts {
    /// `answer_limit`: how long the answer to a statement is waited for.
    pub(super) fn new(settings: &Database, answer_limit: Duration) -> Result<Self, TlsError> {
        let hosts = settings.hosts.iter().map(|place| Host {
            place: place.clone(),
            epoch: watch::Sender::new(0),
            is_probed: AtomicBool::new(false),
        });
        let statement_timeout = *settings.limits.statement_timeout_ms;
        let limit = statement_timeout.as_millis().to_string();
        let mut options = settings.options.clone();
        options.push(("statement_timeout".to_owned(), limit));
        let begin = begin(&options);
        let fixed = FIXED_OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        options.extend(fixed);
        let question = code(sql!("connected").text);
        let seconds = statement_timeout.as_secs_f64().to_string();
        Ok(Self(Arc::new(Inner {
            hosts: hosts.collect(),
            latest: Mutex::new(Latest { host: 0, opened: 0 }),
            dialer: Dialer::new(settings, &options, answer_limit)?,
            limit: *settings.limits.connect_timeout_ms,
            writable: settings.writable,
            stale: AtomicU64::new(0),
            pooled: AtomicBool::new(!settings.prepared_statements),
            begin,
            question: question.replace("/* seconds */", &seconds),
        })))
    }

    /// How often this host was found to be unusable.
    pub(super) fn epoch(&self, host: usize) -> u64 {
        *self.0.hosts[host].epoch.borrow()
    }

    /// Ends all connections to a host, if it was not found to be unusable since `epoch`.
    pub(super) fn distrust(&self, host: usize, epoch: u64) {
        let changed = self.0.hosts[host].epoch.send_if_modified(|now| {
            let is_news = *now == epoch;
            *now += u64::from(is_news);
            is_news
        });
        if changed {
            let place = &self.0.hosts[host].place;
            tracing::warn!(host = %place, "a database host failed: its connections are closed");
            let mut latest = self.latest();
            if latest.host == host {
                latest.host = (host + 1) % self.0.hosts.len();
            }
        }
    }

    /// Opens a connection to a host in the background, and ends the others if nobody answers or it is
    /// a standby. Only if there is another host.
    pub(super) fn probe(&self, host: usize, epoch: u64) {
        let is_probed = &self.0.hosts[host].is_probed;
        if self.0.hosts.len() == 1 || is_probed.swap(true, Ordering::Relaxed) {
            return;
        }
        let hosts = self.clone();
        tokio::spawn(async move {
            let opened = hosts.clone().open(host).await;
            if opened.is_err_and(|why| why.is_gone) {
                hosts.distrust(host, epoch);
            }
            hosts.0.hosts[host]
                .is_probed
                .store(false, Ordering::Relaxed);
        });
    }

    /// What opens a transaction and sets its options; `None`: statements are prepared, and the
    /// options were set when the connection was opened.
    pub(super) fn begin(&self) -> Option<&str> {
        let pooled = self.0.pooled.load(Ordering::Relaxed);
        pooled.then_some(self.0.begin.as_str())
    }

    /// How often prepared statements have become stale.
    pub(super) fn stale(&self) -> u64 {
        self.0.stale.load(Ordering::Relaxed)
    }

    /// Every connection prepares its statements again.
    pub(super) fn forget_statements(&self) {
        self.0.stale.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a connection pooler is in between.
    pub(super) fn is_pooled(&self) -> bool {
        self.0.pooled.load(Ordering::Relaxed)
    }

    /// From now on, statements are not prepared.
    pub(super) fn meet_pooler(&self, sign: &'static str) {
        if !self.0.pooled.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                sign,
                "a connection pooler is between the gate and Postgres, so statements are no longer \
                 prepared: set database.prepared_statements to false \
                 (GATE_DATABASE_PREPARED_STATEMENTS=false)"
            );
        }
    }

    async fn connect(&self) -> Result<Link, NoConnection> {
        let count = self.0.hosts.len();
        loop {
            let begun = *self.latest();
            let order = (0..count).map(|n| (begun.host + n) % count);
            let attempts: Vec<_> = order.map(|host| self.clone().open(host)).collect();
            let opened = first_success(attempts).await;
            let link = opened.map_err(|each| NoConnection(Unusable::all(&each).fault()))?;
            let mut latest = self.latest();
            // A primary that stood still may answer when its replica has been promoted and is in use.
            if latest.host == link.host() || latest.opened == begun.opened {
                latest.host = link.host();
                latest.opened += 1;
                return Ok(link);
            }
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What opens a transaction with these options and the isolation of [`FIXED_OPTIONS`]. Without prepared
/// statements, each is planned for its values anyway.
fn begin(options: &[(String, String)]) -> String {
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
    let set = code(sql!("set_local").text);
    let quoted = |text: &str| text.replace('\'', "''");
    options.iter().fold(begin.to_owned(), |all, (name, value)| {
        let set = set.replace("/* name */", &quoted(name));
        format!("{all}; {}", set.replace("/* value */", &quoted(value)))
    })
}

impl Manager for Hosts {
    type Type = Link;
    type Error = NoConnection;

    async fn create(&self) -> Result<Link, NoConnection> {
        // Boxed, because it is rare and large.
        Box::pin(self.connect()).await
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<NoConnection> {
        if link.is_usable() {
            Ok(())
        } else {
            Err(RecycleError::message("closed"))
        }
    }
}
