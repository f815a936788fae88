//! New accounts, with all that a sign-up makes in the version of Label Studio whose tables these are.

use super::connection::Connections;
use super::statement::{Statement, sql};
use super::{Postgres, unexpected};
use crate::gate::reason::Outage;
use crate::gate::user::{Created, NewUser};

/// What every version has, and `sql/create_user.sql` writes.
const WRITTEN: &[(&str, &[&str])] = &[
    (
        "htx_user",
        &[
            "password",
            "is_superuser",
            "username",
            "email",
            "first_name",
            "last_name",
            "is_staff",
            "is_active",
            "date_joined",
            "last_activity",
            "activity_at",
            "phone",
            "avatar",
            "active_organization_id",
        ],
    ),
    (
        "organizations_organizationmember",
        &["user_id", "organization_id", "created_at", "updated_at"],
    ),
    ("authtoken_token", &["key", "created", "user_id"]),
];

/// Columns of `htx_user` that only some versions have, and what a sign-up leaves in them.
const FURTHER: &[(&str, &str)] = &[
    // 1.9.1 to 1.10.0
    ("is_deleted", "false"),
    // since 1.21
    ("custom_hotkeys", "'{}'"),
];

/// How an account is created in this version: `sql/create_user.sql`, with its further columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    statement: String,
}

/// A column of one of the tables.
struct Column {
    relation: String,
    name: String,
    may_be_left_out: bool,
    may_be_written: bool,
    may_be_filled: bool,
}

impl NewAccount {
    /// Reads the columns. The inner error says why no account can be created.
    pub(super) async fn read(connections: &Connections) -> Result<Result<Self, String>, Outage> {
        let rows = connections.query(sql!("columns"), &[]).await?;
        let column = |row: &tokio_postgres::Row| {
            Ok(Column {
                relation: row.try_get("relation")?,
                name: row.try_get("name")?,
                may_be_left_out: row.try_get("may_be_left_out")?,
                may_be_written: row.try_get("may_be_written")?,
                may_be_filled: row.try_get("may_be_filled")?,
            })
        };
        let columns: Vec<Column> = rows
            .iter()
            .map(column)
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))?;
        Ok(Self::for_columns(&columns))
    }

    /// An account is created whole or not at all: what the tables ask for and the gate doesn't know, it doesn't guess.
    fn for_columns(columns: &[Column]) -> Result<Self, String> {
        let mut problems = Vec::new();
        let mut further = Vec::new();
        for column in columns {
            let place = format!("{}.{}", column.relation, column.name);
            let optional = FURTHER
                .iter()
                .find(|(name, _)| column.relation == "htx_user" && *name == column.name);
            let is_written = WRITTEN.iter().any(|(relation, names)| {
                *relation == column.relation && names.contains(&column.name.as_str())
            });
            further.extend(optional);
            if (is_written || optional.is_some()) && !column.may_be_written
                || column.may_be_left_out && !column.may_be_filled
            {
                problems.push(format!("the role may not write {place}"));
            } else if !is_written && optional.is_none() && !column.may_be_left_out {
                problems.push(format!("{place} must be given and is not known"));
            }
        }
        for (relation, names) in WRITTEN {
            let is_there = |name: &&&str| {
                columns
                    .iter()
                    .any(|column| column.relation == *relation && column.name == **name)
            };
            for name in names.iter().filter(|name| !is_there(name)) {
                problems.push(format!("{relation}.{name} is not there"));
            }
        }
        if !problems.is_empty() {
            return Err(problems.join(", "));
        }
        let further = further.into_iter();
        let (names, values): (String, String) = further
            .map(|(name, value)| (format!(", {name}"), format!(", {value}")))
            .unzip();
        let statement = sql!("create_user")
            .text
            .replace("/* further columns */", &names)
            .replace("/* further values */", &values);
        Ok(Self { statement })
    }
}

impl Postgres {
    pub(super) async fn create_account(&self, person: &NewUser) -> Result<Created, Outage> {
        let schema = self.schema().await?;
        let account = match &schema.accounts {
            Ok(account) => account,
            Err(why) => {
                tracing::error!(why, "no account can be created");
                return Ok(Created::NotPossible);
            }
        };
        let statement = Statement {
            name: "create_user",
            text: &account.statement,
        };
        // Label Studio's sign-up takes what stands before the @.
        let username = match person.profile.username.as_str() {
            "" => person.email.split('@').next().unwrap_or_default(),
            name => name,
        };
        let (first, last) = (&person.profile.first_name, &person.profile.last_name);
        let rows = self
            .query(statement, &[&person.email, &username, first, last])
            .await?;
        let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
        let flag = |name| row.try_get(name).map_err(|error| unexpected(&error));
        if !flag("has_organization")? {
            tracing::error!(
                "no account can be created: Label Studio has no organization yet; somebody must sign up to it first"
            );
            return Ok(Created::NotPossible);
        }
        if flag("created")? {
            tracing::info!("created an account");
        }
        Ok(Created::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let written = WRITTEN
            .iter()
            .flat_map(|(relation, names)| names.iter().map(|name| (*relation, *name)));
        let written = written.map(|(relation, name)| column(relation, name, false, true));
        written
            .chain([column("htx_user", "id", true, false)])
            .collect()
    }

    fn column(relation: &str, name: &str, may_be_left_out: bool, may_be_written: bool) -> Column {
        Column {
            relation: relation.to_owned(),
            name: name.to_owned(),
            may_be_left_out,
            may_be_written,
            may_be_filled: true,
        }
    }

    #[test]
    fn further_columns_are_put_in_where_they_are() {
        let plain = NewAccount::for_columns(&columns()).expect("all is known");
        assert!(!plain.statement.contains("is_deleted"));
        assert!(!plain.statement.contains("/*"));
        let mut with_more = columns();
        with_more.push(column("htx_user", "is_deleted", false, true));
        with_more.push(column("htx_user", "custom_hotkeys", true, true));
        let account = NewAccount::for_columns(&with_more).expect("all is known");
        assert!(
            account
                .statement
                .contains("active_organization_id , is_deleted, custom_hotkeys)"),
            "{}",
            account.statement
        );
        assert!(account.statement.contains("home.id , false, '{}'"));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let problem = |columns: &[Column]| NewAccount::for_columns(columns).expect_err("a problem");
        let mut more = columns();
        more.push(column("htx_user", "shoe_size", false, true));
        assert_eq!(
            problem(&more),
            "htx_user.shoe_size must be given and is not known"
        );
        let mut fewer = columns();
        fewer.retain(|column| column.name != "avatar");
        assert_eq!(problem(&fewer), "htx_user.avatar is not there");
        let mut forbidden = columns();
        forbidden[0].may_be_written = false;
        assert_eq!(
            problem(&forbidden),
            "the role may not write htx_user.password"
        );
        // What may be left out may be new.
        let mut nullable = columns();
        nullable.push(column("htx_user", "nickname", true, false));
        assert!(NewAccount::for_columns(&nullable).is_ok());
    }
}
