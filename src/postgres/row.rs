//! Reads the rows that statements return.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::gate::reason::Outage;

/// The row of a statement that always returns one.
pub(super) fn only_row(rows: &[Row]) -> Result<&Row, Outage> {
    rows.first().ok_or(Outage::DatabaseUnavailable)
}

/// The value of a column. One of an unexpected type is reported: the statement does not match the code,
/// or the schema has changed.
pub(super) fn column<'r, T: FromSql<'r>>(row: &'r Row, name: &str) -> Result<T, Outage> {
    row.try_get(name).map_err(|error| {
        tracing::error!(%error, "unexpected row");
        Outage::DatabaseUnavailable
    })
}

/// The values of a column in all rows.
pub(super) fn columns<'r, T: FromSql<'r>>(rows: &'r [Row], name: &str) -> Result<Vec<T>, Outage> {
    rows.iter().map(|row| column(row, name)).collect()
}
