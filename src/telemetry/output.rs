//! Where log lines go: through a bounded queue to a thread of its own.
//!
//! A log that cannot be written (disk full, reader gone) or that nobody reads must not hold up a
//! request. A line that finds no room in the queue, or that cannot be written, is lost and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::metrics::Metrics;

/// Lines that wait to be written; about two megabytes.
const QUEUE: usize = 8192;

/// How often losses are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The queue and the thread that empties it. The thread ends when this is dropped.
pub struct LogOutput {
    writer: NonBlocking,
    losses: Losses,
    guard: Option<WorkerGuard>,
}

/// What became of the lines.
#[derive(Clone)]
pub struct Losses {
    no_room: ErrorCounter,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Lines that could not be written.
    unwritten: AtomicUsize,
    /// Whether the last line was written.
    works: AtomicBool,
    /// Whether a line is being written right now.
    busy: AtomicBool,
}

impl LogOutput {
    /// Writes to `sink`.
    pub fn new<W: Write + Send + 'static>(sink: W) -> Self {
        let state = Arc::<State>::default();
        let sink = Counting {
            sink,
            state: state.clone(),
        };
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE)
            .thread_name("log")
            .finish(sink);
        Self {
            losses: Losses {
                no_room: writer.error_counter(),
                state,
            },
            writer,
            guard: Some(guard),
        }
    }

    /// What the subscriber writes to.
    pub fn writer(&self) -> NonBlocking {
        self.writer.clone()
    }

    /// Counts what is lost.
    pub fn losses(&self) -> Losses {
        self.losses.clone()
    }
}

/// Waits for lines that are still in the queue, but not for a reader that reads nothing: the guard
/// would print its complaint to a standard output that may be the same pipe.
impl Drop for LogOutput {
    fn drop(&mut self) {
        let state = &self.losses.state;
        let is_stuck =
            self.losses.no_room.dropped_lines() > 0 && state.busy.load(Ordering::Relaxed);
        if is_stuck {
            std::mem::forget(self.guard.take());
        }
    }
}

impl Losses {
    /// How many lines were lost since the start.
    pub fn total(&self) -> usize {
        self.no_room.dropped_lines() + self.state.unwritten.load(Ordering::Relaxed)
    }

    /// Counts losses in `metrics`, and logs how many lines were lost once the log works again. Runs
    /// for as long as the service does.
    pub async fn report(self, metrics: Arc<Metrics>) {
        let (mut counted, mut told) = (0, 0);
        loop {
            tokio::time::sleep(TICK).await;
            let total = self.total();
            let new = total - counted;
            metrics.count_lost_lines(new);
            counted = total;
            let works = new == 0 && self.state.works.load(Ordering::Relaxed);
            if works && total > told {
                tracing::warn!(lines = total - told, "log lines were lost");
                told = total;
            }
        }
    }
}

/// Counts what cannot be written, and reports success: no caller could handle the error.
struct Counting<W> {
    sink: W,
    state: Arc<State>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.state.busy.store(true, Ordering::Relaxed);
        let written = self.sink.write_all(line);
        self.state.busy.store(false, Ordering::Relaxed);
        self.state.works.store(written.is_ok(), Ordering::Relaxed);
        if written.is_err() {
            self.state.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What cannot be flushed cannot be written next time, and is counted then.
        let _ = self.sink.flush();
        Ok(())
    }
}
