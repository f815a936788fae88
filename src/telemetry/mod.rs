//! The log, one line per event, as text or JSON; and traces, on their way to a collector.

mod otlp;
mod output;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, reload};

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
pub struct Level(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    /// Logs what passes `filter` from now on.
    pub fn set(&self, filter: &str) {
        (self.0)(EnvFilter::new(filter));
    }

    fn of<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Self {
        // Fails only if the subscriber is gone, and then there is no log to change.
        Self(Box::new(move |filter| _ = handle.reload(filter)))
    }
}

/// A subscriber that writes the events that pass `filter` to `sink`, and what changes that filter.
pub fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    sink: W,
) -> (Box<dyn Subscriber + Send + Sync>, Level)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise an error of the sink would be printed with a macro that panics when it fails too.
        .log_internal_errors(false)
        .with_writer(sink);
    match format {
        Format::Human => {
            let builder = builder.with_ansi(false).with_filter_reloading();
            let level = Level::of(builder.reload_handle());
            (Box::new(builder.finish()), level)
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let level = Level::of(builder.reload_handle());
            (Box::new(builder.finish()), level)
        }
    }
}
