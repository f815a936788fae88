//! Checks the audit table, if the settings ask for it.

use std::time::SystemTime;

use super::super::{Check, Report};
use super::fail;
use crate::audit::AuditTable as _;
use crate::postgres::Postgres;
use crate::settings::Settings;

const CURE: &str = "run label-studio-gate migrate --role ROLE again, with the settings of \
                    the service";

/// Whether the role may append events, and delete old ones. Changes nothing.
pub(super) async fn check(report: &mut Report, settings: &Settings, backend: &Postgres) {
    let check = Check::DatabaseAudit;
    if !settings.audit.table {
        return;
    }
    match backend.append(&[]).await {
        Ok(()) => {
            report.ok(check, "the role may write the audit table");
            columns(report, backend).await;
        }
        Err(_) => {
            let (what, fault) = (
                "the role cannot write the audit table",
                backend.take_fault(),
            );
            fail(report, check, what, fault, CURE);
        }
    }
    if settings.audit.kept_days().is_some() {
        match backend.purge_audit(SystemTime::UNIX_EPOCH).await {
            Ok(_) => report.ok(check, "the role may delete old audit events"),
            Err(_) => {
                let (what, fault) = (
                    "the role cannot delete old audit events",
                    backend.take_fault(),
                );
                fail(report, check, what, fault, CURE);
            }
        }
    }
}

/// Whether the table has every column. Events are written without those that it lacks.
async fn columns(report: &mut Report, backend: &Postgres) {
    let missing = backend.missing_audit_columns().await.unwrap_or_default();
    if !missing.is_empty() {
        let names = missing.join(", ");
        let what = format!("the audit table has no column {names}: events are written without it");
        report.warn(Check::DatabaseAudit, what, CURE);
    }
}
