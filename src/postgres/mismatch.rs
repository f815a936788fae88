//! Failures of a statement that say that the tables or the grants are not what the gate has read.
//!
//! In: the error of a statement. Out: what an operator does about it, for the log; `None` for any
//! other failure. Afterwards, the schema is read again (`schema.rs`), so that a grant or an upgrade
//! of Label Studio needs no restart of the gate.

use tokio_postgres::error::SqlState;

use super::MAY_SET_STAFF;

/// Names that tell the gate's own tables (`sql/gate_schema.sql`) in a message of Postgres.
const OWN_TABLES: [&str; 4] = [
    "label_studio_gate",
    "used_token",
    "revocation",
    "ended_session",
];

/// What an operator does if the role may not use the gate's own tables, or if there are none.
pub const MIGRATE: &str =
    "run label-studio-gate migrate --role ROLE as a role that may create a schema";

/// What to do about the failure of `statement`, if the tables or the grants are the cause.
pub(super) fn cure(statement: &str, error: &tokio_postgres::Error) -> Option<&'static str> {
    let error = error.as_db_error()?;
    cure_for(statement, error.code(), error.message())
}

fn cure_for(statement: &str, state: &SqlState, message: &str) -> Option<&'static str> {
    let may_not = *state == SqlState::INSUFFICIENT_PRIVILEGE;
    let has_changed = [
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_TABLE,
        SqlState::NOT_NULL_VIOLATION,
    ]
    .contains(state);
    if !may_not && !has_changed {
        return None;
    }
    let is_own = OWN_TABLES.iter().any(|name| message.contains(name));
    Some(match (is_own, statement) {
        (true, _) => MIGRATE,
        (false, "renew_unusable_password") if may_not => {
            "run sql/role.sql with -v revoke=on as the owner of Label Studio's tables"
        }
        (false, "create_user") if may_not => {
            "run sql/role.sql with -v create_users=on as the owner of Label Studio's tables"
        }
        (false, "set_staff") if may_not => MAY_SET_STAFF,
        (false, _) if may_not => "run sql/role.sql as the owner of Label Studio's tables",
        (false, _) => {
            "Label Studio's tables have changed: run sql/role.sql again as their owner; if that \
             does not help, upgrade the gate"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_a_grant_or_a_migration_mends_have_a_cure() {
        let denied = SqlState::INSUFFICIENT_PRIVILEGE;
        for (statement, state, message, cure) in [
            (
                "user_by_id",
                &denied,
                "permission denied for table htx_user",
                Some("run sql/role.sql as"),
            ),
            (
                "renew_unusable_password",
                &denied,
                "permission denied for table htx_user",
                Some("-v revoke=on"),
            ),
            (
                "create_user",
                &denied,
                "permission denied for table htx_user",
                Some("-v create_users=on"),
            ),
            (
                "user_by_id",
                &denied,
                "permission denied for schema label_studio_gate",
                Some("label-studio-gate migrate"),
            ),
            (
                "use_token",
                &SqlState::UNDEFINED_TABLE,
                "relation \"label_studio_gate.used_token\" does not exist",
                Some("label-studio-gate migrate"),
            ),
            (
                "create_user",
                &SqlState::NOT_NULL_VIOLATION,
                "null value in column \"shoe_size\" of relation \"htx_user\"",
                Some("have changed"),
            ),
            (
                "user_by_id",
                &SqlState::UNDEFINED_COLUMN,
                "column \"email\" does not exist",
                Some("have changed"),
            ),
            (
                "user_by_id",
                &SqlState::QUERY_CANCELED,
                "canceling statement due to statement timeout",
                None,
            ),
        ] {
            let found = cure_for(statement, state, message);
            assert_eq!(found.is_some(), cure.is_some(), "{message}");
            assert!(
                found.unwrap_or_default().contains(cure.unwrap_or_default()),
                "{statement}, {message}: {found:?}"
            );
        }
    }
}
