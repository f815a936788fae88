//! `[log]`: what is logged, and in which format.

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::LogFilter;

/// What is logged, and in which format.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Log {
    /// Format of a line.
    #[schemars(extend("x-restart" = true, "default" = "human"))]
    pub format: LogFormat,
    /// A level, or directives as `info,label_studio_gate=debug`. Directives without a level before
    /// them switch off all other lines, also those of the audit trail.
    #[schemars(extend("default" = "info"))]
    pub level: LogFilter,
}

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for a terminal.
    Human,
    /// One JSON object per line.
    Json,
}
