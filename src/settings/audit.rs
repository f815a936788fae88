//! `[audit]`: who did what, in a table of the gate's own.

use schemars::JsonSchema;
use serde::Deserialize;

/// Who did what, in a table of the gate's own.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Audit {
    /// Whether the audit events of the log are also written to the table `label_studio_gate.audit`,
    /// which `label-studio-gate migrate --role` creates.
    #[schemars(extend("default" = false))]
    pub table: bool,
    /// How many days events are kept; `purge.every_seconds` or `label-studio-gate purge` deletes
    /// older ones. 0: forever, and `migrate` gives the service no right to delete any.
    #[schemars(range(max = 36_500), extend("default" = 365))]
    pub retention_days: u32,
}

impl Audit {
    /// How many days events are kept in the table; `None`: there is no table, or they are kept
    /// forever.
    pub const fn kept_days(&self) -> Option<u32> {
        match (self.table, self.retention_days) {
            (false, _) | (true, 0) => None,
            (true, days) => Some(days),
        }
    }
}
