//! Checks whether a connection pooler is in between that the settings do not know of.

use super::super::{Check, Report};
use crate::postgres::Postgres;
use crate::settings::Settings;

/// Names the setting for a pooler, if a connection has shown one.
pub(super) fn check(report: &mut Report, settings: &Settings, backend: &Postgres) {
    if settings.database.prepared_statements && backend.is_pooled() {
        report.warn(
            Check::DatabaseConnection,
            "a connection pooler is between the gate and Postgres",
            "set database.prepared_statements to false (GATE_DATABASE_PREPARED_STATEMENTS=false), \
             so that no connection has to find out",
        );
    }
}
