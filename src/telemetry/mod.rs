//! The log, one line per event, as text or JSON; and traces, on their way to a collector.

mod otlp;
mod output;

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt, registry, reload};

pub use self::otlp::{Collector, SpanQueue};
pub use self::output::{LogOutput, Losses};

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// Changes the level of a running log.
pub struct Level(Box<dyn Fn(Targets) + Send + Sync>);

impl Level {
    /// Logs what passes `filter` from now on.
    pub fn set(&self, filter: Targets) {
        (self.0)(filter);
    }
}

/// A subscriber that writes the events that pass `filter` to `sink`, and what changes that filter.
pub fn subscriber<W>(
    format: Format,
    filter: Targets,
    sink: W,
) -> (Box<dyn Subscriber + Send + Sync>, Level)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer()
        // Otherwise an error of the sink would be printed with a macro that panics when it fails too.
        .log_internal_errors(false)
        .with_writer(sink);
    match format {
        Format::Human => filtered(filter, registry().with(lines.with_ansi(false))),
        Format::Json => filtered(filter, registry().with(lines.json().flatten_event(true))),
    }
}

fn filtered<S>(filter: Targets, lines: S) -> (Box<dyn Subscriber + Send + Sync>, Level)
where
    S: Subscriber + Send + Sync,
{
    let (filter, handle) = reload::Layer::new(filter);
    // Reloading fails only if the subscriber is gone, and then there is no log to change.
    let level = Level(Box::new(move |filter| _ = handle.reload(filter)));
    (Box::new(lines.with(filter)), level)
}
