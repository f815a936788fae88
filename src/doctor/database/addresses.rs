//! Checks how long it takes to look up an email address that no account has.

use super::super::{Check, Report};
use crate::postgres::Postgres;

/// With fewer users, the scan of their table takes some milliseconds at most.
const MANY_USERS: i64 = 10_000;

/// Recommends the optional index if there are many users, with the time that the look-up takes
/// without it.
pub(super) async fn check(report: &mut Report, backend: &Postgres) {
    let Ok(lookup) = backend.address_lookup().await else {
        return;
    };
    if lookup.users < MANY_USERS {
        return;
    }
    let measured = format!(
        "looking up an unknown email address among {} users takes {:.1} ms",
        lookup.users,
        lookup.duration.as_secs_f64() * 1000.0
    );
    if lookup.has_index {
        report.ok(Check::DatabaseAddresses, measured);
    } else {
        report.warn(
            Check::DatabaseAddresses,
            measured,
            "run sql/indexes.sql as the owner of Label Studio's tables, which creates an index for it",
        );
    }
}
