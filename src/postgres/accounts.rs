//! Creates accounts, with every row that a sign-up creates in the installed version of Label
//! Studio.
//!
//! An account is created completely or not at all: if the tables require a column that this release
//! does not know, no account is created, and [`AccountsUnavailable`] says why.

#[cfg(test)]
mod tests;

use std::fmt;

use super::Postgres;
use super::connection::Connections;
use super::row::{column, only_row};
use super::statement::{Statement, sql};
use crate::gate::reason::Outage;
use crate::gate::user::{Created, NewUser};

/// Columns that every version has and `sql/create_user.sql` writes.
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

/// What an operator does if no account can be created.
pub const MAY_CREATE_ACCOUNTS: &str = "run sql/role.sql with -v create_users=on as the owner of Label Studio's tables; if Label Studio is \
     newer than this release supports, upgrade the gate";

/// Columns of `htx_user` that only some versions have, with the value that a sign-up stores.
const OPTIONAL: &[(&str, &str)] = &[
    // 1.9.1 to 1.10.0
    ("is_deleted", "false"),
    // since 1.21
    ("custom_hotkeys", "'{}'"),
];

/// The statement that creates an account: `sql/create_user.sql`, completed with the optional
/// columns of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    statement: String,
}

/// Why no account can be created: every mismatch between the tables and this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AccountsUnavailable(Vec<(Problem, String)>);

/// Why a column prevents the creation of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NotWritable,
    Unknown,
    Missing,
}

impl Problem {
    const ALL: [Self; 3] = [Self::NotWritable, Self::Unknown, Self::Missing];

    /// What is said before the names of the columns.
    const fn text(self) -> &'static str {
        match self {
            Self::NotWritable => "the role may not write",
            Self::Unknown => "this release does not know what is required:",
            Self::Missing => "there is no column",
        }
    }
}

/// Each problem once, with all its columns: without grants, every column has it.
impl fmt::Display for AccountsUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = Problem::ALL.into_iter().filter_map(|problem| {
            let columns = self.0.iter().filter(|(found, _)| *found == problem);
            let columns: Vec<&str> = columns.map(|(_, column)| column.as_str()).collect();
            (!columns.is_empty()).then(|| format!("{} {}", problem.text(), columns.join(", ")))
        });
        f.write_str(&said.collect::<Vec<_>>().join("; "))
    }
}

/// A row of `sql/columns.sql`.
struct Column {
    relation: String,
    name: String,
    may_be_left_out: bool,
    may_be_written: bool,
    may_be_filled: bool,
}

impl Column {
    fn is_written(&self) -> bool {
        WRITTEN.iter().any(|(relation, names)| {
            *relation == self.relation && names.contains(&self.name.as_str())
        })
    }

    /// The name and value of an optional column.
    fn optional(&self) -> Option<&'static (&'static str, &'static str)> {
        let mut optional = OPTIONAL.iter();
        optional.find(|(name, _)| self.relation == "htx_user" && *name == self.name)
    }

    fn problem(&self) -> Option<(Problem, String)> {
        let is_known = self.is_written() || self.optional().is_some();
        if is_known && !self.may_be_written || self.may_be_left_out && !self.may_be_filled {
            Some((Problem::NotWritable, self.place()))
        } else if !is_known && !self.may_be_left_out {
            Some((Problem::Unknown, self.place()))
        } else {
            None
        }
    }

    fn place(&self) -> String {
        format!("{}.{}", self.relation, self.name)
    }
}

impl NewAccount {
    /// Reads the columns of the tables. The inner error says why no account can be created.
    pub(super) async fn read(
        connections: &Connections,
    ) -> Result<Result<Self, AccountsUnavailable>, Outage> {
        let rows = connections.query(sql!("columns"), &[]).await?;
        let columns = rows.iter().map(|row| {
            Ok(Column {
                relation: column(row, "relation")?,
                name: column(row, "name")?,
                may_be_left_out: column(row, "may_be_left_out")?,
                may_be_written: column(row, "may_be_written")?,
                may_be_filled: column(row, "may_be_filled")?,
            })
        });
        let columns: Vec<Column> = columns.collect::<Result<_, Outage>>()?;
        Ok(Self::for_columns(&columns))
    }

    fn for_columns(columns: &[Column]) -> Result<Self, AccountsUnavailable> {
        let mut problems: Vec<_> = columns.iter().filter_map(Column::problem).collect();
        for (relation, names) in WRITTEN {
            for name in *names {
                let mut found = columns.iter();
                if !found.any(|column| column.relation == *relation && column.name == *name) {
                    problems.push((Problem::Missing, format!("{relation}.{name}")));
                }
            }
        }
        if !problems.is_empty() {
            return Err(AccountsUnavailable(problems));
        }
        let optional = columns.iter().filter_map(Column::optional);
        let (names, values): (String, String) = optional
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
    pub(super) async fn create_account(&self, user: &NewUser) -> Result<Created, Outage> {
        let schema = self.schema_that(|schema| schema.accounts.is_ok()).await?;
        let account = match &schema.accounts {
            Ok(account) => account,
            Err(error) => {
                tracing::error!(%error, cure = MAY_CREATE_ACCOUNTS, "cannot create an account");
                return Ok(Created::NotPossible);
            }
        };
        let statement = Statement {
            name: "create_user",
            text: &account.statement,
        };
        // The statement looks for the address in any case.
        let _turn = self.0.folded_lookup.turn().await?;
        // Label Studio's sign-up uses the local part of the address.
        let username = match user.profile.username.as_str() {
            "" => user.email.split('@').next().unwrap_or_default(),
            name => name,
        };
        let (first, last) = (&user.profile.first_name, &user.profile.last_name);
        let rows = self
            .query(
                statement,
                &[&user.email, &username, first, last, &user.organization],
            )
            .await?;
        let row = only_row(&rows)?;
        let has_organization: bool = column(row, "has_organization")?;
        if !has_organization {
            match user.organization {
                None => tracing::error!(
                    "cannot create an account: Label Studio has no organization yet; sign up to \
                     Label Studio once to create it"
                ),
                Some(organization) => tracing::error!(
                    organization,
                    "cannot create an account: Label Studio has no organization with this ID"
                ),
            }
            return Ok(Created::NotPossible);
        }
        let created = column(row, "created")?;
        Ok(match created {
            Some(user_id) => Created::Now { user_id },
            None => Created::Before,
        })
    }
}
