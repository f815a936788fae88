//! The log, one line per event, as text or JSON; and traces, on their way to a collector.

mod otlp;
mod output;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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

/// A subscriber that writes the events that pass `filter` to `sink`.
pub fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    sink: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise an error of the sink would be printed with a macro that panics when it fails too.
        .log_internal_errors(false)
        .with_writer(sink);
    match format {
        Format::Human => Box::new(builder.with_ansi(false).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}
