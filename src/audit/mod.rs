//! The audit trail: who did what, in a table.
//!
//! In: the [`AuditEvent`]s of requests. Out: rows of an [`AuditTable`], written in batches by a task
//! of its own. Afterwards, no request has waited: an event that finds no room in the queue, because
//! the table can't be written fast enough or at all, is lost and counted.

mod writer;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::writer::Writer;
use crate::gate::reason::Outage;
use crate::metrics::Metrics;

/// Events that wait to be written; about two megabytes.
const QUEUE: usize = 8192;

/// Who did what. The texts are escaped and shortened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Identifies the event, so that it is written once even if a batch is written twice.
    pub id: [u8; 16],
    /// When.
    pub at: SystemTime,
    /// What: the message of the log line.
    pub event: &'static str,
    /// The ID of the request.
    pub request_id: String,
    /// The address of the browser or caller.
    pub peer: IpAddr,
    /// The method that verified a credential.
    pub method: Option<&'static str>,
    /// Whom it concerns: primary key in `htx_user`.
    pub user_id: Option<i32>,
    /// Whom it concerns if no user is known: the address or username in the credential or call.
    pub identity: Option<String>,
    /// The owner of the API token of a call: primary key in `htx_user`.
    pub caller_id: Option<i32>,
    /// Why.
    pub reason: Option<&'static str>,
    /// The path that was asked for.
    pub path: Option<String>,
    /// The OpenID provider that ended sessions, or in whose name somebody tried to: its issuer.
    pub provider: Option<String>,
}

/// Where audit events are kept.
#[async_trait]
pub trait AuditTable: Send + Sync {
    /// Appends events. Events that are there already are left out.
    async fn append(&self, events: &[AuditEvent]) -> Result<(), Outage>;
}

/// The queue in front of the table. The writer ends when this is dropped, after it has written what
/// is left.
pub struct AuditTrail {
    events: mpsc::Sender<AuditEvent>,
    losses: Arc<Losses>,
    closing: Mutex<Option<oneshot::Sender<()>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Counts the events that are lost.
struct Losses {
    metrics: Arc<Metrics>,
    /// Those that have not been logged yet.
    untold: AtomicU64,
}

impl Losses {
    fn count(&self, events: u64) {
        self.metrics.count_lost_audit_events(events);
        self.untold.fetch_add(events, Ordering::Relaxed);
    }

    fn tell(&self) {
        let events = self.untold.swap(0, Ordering::Relaxed);
        if events > 0 {
            tracing::error!(events, "audit events were lost");
        }
    }
}

impl AuditTrail {
    /// Starts the writer. Losses are counted in `metrics`.
    pub fn start(table: Arc<dyn AuditTable>, metrics: Arc<Metrics>) -> Self {
        let (events, queue) = mpsc::channel(QUEUE);
        let (closing, closed) = oneshot::channel();
        let losses = Arc::new(Losses {
            metrics,
            untold: AtomicU64::new(0),
        });
        let writer = Writer::new(queue, table, losses.clone());
        Self {
            events,
            losses,
            closing: Mutex::new(Some(closing)),
            writer: Mutex::new(Some(tokio::spawn(writer.run(closed)))),
        }
    }

    /// Queues an event. Never waits.
    pub fn record(&self, event: AuditEvent) {
        if self.events.try_send(event).is_err() {
            self.losses.count(1);
        }
    }

    /// Writes what is left, within a time limit. Events that come later are lost.
    pub async fn finish(&self) {
        drop(take(&self.closing));
        if let Some(writer) = take(&self.writer) {
            // The writer has a limit of its own, and doesn't panic.
            let _ = writer.await;
        }
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests;
