//! `[log]`: how much is written, and how a line looks.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::reader::Reader;

/// The log.
#[derive(Debug)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// Directives of `EnvFilter`, which were parsed once already.
    pub level: String,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Log {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let level = reader.text("log.level");
        if is_misspelt(&level) || EnvFilter::builder().parse(&level).is_err() {
            reader.refuse(
                "log.level",
                format!(
                    "must be off, error, warn, info, debug or trace, or directives as info,label_studio_gate=debug, and is {level:?}"
                ),
            );
        }
        Self {
            format: reader.choice(
                "log.format",
                &[("human", LogFormat::Human), ("json", LogFormat::Json)],
            ),
            level,
        }
    }
}

/// `EnvFilter` takes a word that is no level for the name of a module, so that a misspelt level would end the whole log.
fn is_misspelt(level: &str) -> bool {
    level.split(',').any(|word| {
        // An empty word would be the level `error`.
        word.is_empty() || (!word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err())
    })
}
