//! The task that writes the queue to the table.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::{AuditEvent, AuditTable, Losses};

/// The most events in one statement.
const BATCH: usize = 500;
/// How long to wait for more events before a batch is written.
const GATHER: Duration = Duration::from_millis(100);
/// Pauses between two attempts to write a batch.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the log says that the table can't be written.
const COMPLAINT: Duration = Duration::from_secs(60);
/// How long writing what is left may take at the end.
const FINISH: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    queue: mpsc::Receiver<AuditEvent>,
    table: Arc<dyn AuditTable>,
    losses: Arc<Losses>,
    batch: Vec<AuditEvent>,
    complained: Option<Instant>,
}

impl Writer {
    pub(super) const fn new(
        queue: mpsc::Receiver<AuditEvent>,
        table: Arc<dyn AuditTable>,
        losses: Arc<Losses>,
    ) -> Self {
        Self {
            queue,
            table,
            losses,
            batch: Vec::new(),
            complained: None,
        }
    }

    /// Writes until `closed` is told or dropped, and then what is left.
    pub(super) async fn run(mut self, mut closed: oneshot::Receiver<()>) {
        tokio::select! {
            _ = &mut closed => {}
            () = self.write_forever() => {}
        }
        self.queue.close();
        if timeout(FINISH, self.write_rest()).await.is_err() {
            let left = self.batch.len() + self.queue.len();
            self.losses.count(left.try_into().unwrap_or(u64::MAX));
        }
        self.losses.tell();
    }

    async fn write_forever(&mut self) {
        loop {
            self.fill().await;
            sleep(GATHER).await;
            let mut pause = FIRST_PAUSE;
            while !self.write().await {
                sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            self.losses.tell();
        }
    }

    async fn write_rest(&mut self) {
        while self.fill().await {
            while !self.write().await {
                sleep(GATHER).await;
            }
        }
    }

    /// Waits for an event, unless there is one. Returns false if there will be none.
    async fn fill(&mut self) -> bool {
        if self.batch.is_empty() {
            self.queue.recv_many(&mut self.batch, BATCH).await;
        }
        !self.batch.is_empty()
    }

    /// Writes a batch. If that fails or is given up, the events stay for the next attempt.
    async fn write(&mut self) -> bool {
        while self.batch.len() < BATCH
            && let Ok(event) = self.queue.try_recv()
        {
            self.batch.push(event);
        }
        let written = self.table.append(&self.batch).await.is_ok();
        match written {
            true => {
                self.batch.clear();
                self.complained = None;
            }
            false => self.complain(),
        }
        written
    }

    fn complain(&mut self) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            self.complained = Some(Instant::now());
            let waiting = self.batch.len() + self.queue.len();
            tracing::error!(
                waiting,
                "the audit table cannot be written; run label-studio-gate doctor"
            );
            self.losses.tell();
        }
    }
}
