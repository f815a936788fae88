//! The statements of `sql/`, each with the name of its file.

/// A statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement<'t> {
    /// Its file's name, for the log.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: &'t str,
}

/// The statement in `sql/NAME.sql`, read when the crate is compiled.
macro_rules! sql {
    ($name:literal) => {
        crate::postgres::statement::Statement {
            name: $name,
            text: include_str!(concat!("../../sql/", $name, ".sql")),
        }
    };
}

pub(super) use sql;
