//! The statements in `sql/`, compiled into the program.

/// A statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement<'t> {
    /// Name of its file, for the log.
    pub(super) name: &'static str,
    pub(super) text: &'t str,
}

/// The statement in `sql/NAME.sql`, read at compile time.
macro_rules! sql {
    ($name:literal) => {
        crate::postgres::statement::Statement {
            name: $name,
            text: include_str!(concat!("../../sql/", $name, ".sql")),
        }
    };
}

pub(super) use sql;

/// A statement without its comments. pg_stat_activity cuts long statements off.
pub(super) fn code(text: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("--");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// A statement assembled from `sql/parts`, for the tables that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Composed {
    name: &'static str,
    text: String,
}

impl Composed {
    fn of(statement: Statement<'_>, has_own_tables: bool) -> Self {
        let of_own_table = |part: Statement<'static>| match has_own_tables {
            true => part.text,
            false => "NULL::timestamptz",
        };
        let text = statement
            .text
            .replace("/* the user found */", sql!("parts/user").text)
            .replace("/* the user of the login */", sql!("parts/login_user").text)
            .replace("/* last_login is due */", sql!("parts/last_login_due").text)
            .replace("/* revoked at */", of_own_table(sql!("parts/revoked_at")))
            .replace("/* ended at */", of_own_table(sql!("parts/ended_at")));
        Self {
            name: statement.name,
            text: code(&text),
        }
    }

    pub(super) fn statement(&self) -> Statement<'_> {
        Statement {
            name: self.name,
            text: &self.text,
        }
    }
}

/// The statements that depend on whether the gate's own tables exist, because they check
/// revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statements {
    pub(super) user_by_id: Composed,
    pub(super) user_by_email: Composed,
    pub(super) user_by_folded_email: Composed,
    pub(super) user_by_username: Composed,
    pub(super) load_session: Composed,
    pub(super) record_login: Composed,
    pub(super) record_login_alone: Composed,
    pub(super) record_login_signed_cookies: Composed,
    pub(super) record_login_signed_cookies_alone: Composed,
    pub(super) update_names: Composed,
    pub(super) set_staff: Composed,
}

impl Statements {
    pub(super) fn new(has_own_tables: bool) -> Self {
        let of = |statement| Composed::of(statement, has_own_tables);
        Self {
            user_by_id: of(sql!("user_by_id")),
            user_by_email: of(sql!("user_by_email")),
            user_by_folded_email: of(sql!("user_by_folded_email")),
            user_by_username: of(sql!("user_by_username")),
            load_session: of(sql!("load_session")),
            record_login: of(sql!("record_login")),
            record_login_alone: of(sql!("record_login_alone")),
            record_login_signed_cookies: of(sql!("record_login_signed_cookies")),
            record_login_signed_cookies_alone: of(sql!("record_login_signed_cookies_alone")),
            update_names: of(sql!("update_names")),
            set_staff: of(sql!("set_staff")),
        }
    }
}
