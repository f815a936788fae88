//! [`UserDirectory`] over `htx_user`.

mod look_up;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio_postgres::Row;

pub(super) use self::look_up::{ByEmail, ById};
use super::Postgres;
use super::parameter::Parameter;
use super::row::{column, only_row};
use super::statement::{Statements, sql};
use crate::gate::groups::Staff;
use crate::gate::identity::{Identity, Profile};
use crate::gate::reason::Outage;
use crate::gate::user::{Created, NewUser, StaffChange, UserDirectory, UserRow};

/// Label Studio's default for an organization without a policy: eight days
/// (`session_policy/models.py`).
const DEFAULT_POLICY: Duration = Duration::from_secs(11_520 * 60);

/// What an operator does if the role lacks the grant that staff groups need.
pub const MAY_SET_STAFF: &str =
    "run sql/role.sql with -v staff=on as the owner of Label Studio's tables";

#[async_trait]
impl UserDirectory for Postgres {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage> {
        let schema = self.schema().await?;
        let statements = &schema.statements;
        let rows = match identity {
            Identity::Id(id) => return self.ask(ById(*id)).await,
            Identity::Email(email) => return self.find_by_email(email, statements).await,
            Identity::Username(name) => {
                let statement = statements.user_by_username.statement();
                self.query(statement, &[name]).await?
            }
        };
        self.first(&rows).await
    }

    async fn create(&self, user: &NewUser) -> Result<Created, Outage> {
        self.create_account(user).await
    }

    async fn rename(
        &self,
        user: &UserRow,
        _identity: &Identity,
        profile: &Profile,
    ) -> Result<(), Outage> {
        let schema = self.schema().await?;
        let statement = schema.statements.update_names.statement();
        let (first, last) = (&profile.first_name, &profile.last_name);
        let parameters: [&dyn Parameter; 4] = [&user.id, first, last, &user.revoked_at];
        self.query(statement, &parameters).await?;
        Ok(())
    }

    async fn set_staff(&self, user: &UserRow, staff: Staff) -> Result<StaffChange, Outage> {
        let schema = self.schema_that(|schema| schema.may_set_staff).await?;
        if !schema.may_set_staff {
            let cure = MAY_SET_STAFF;
            tracing::error!(cure, "the role may not write htx_user.is_staff");
            return Ok(StaffChange::NotPossible);
        }
        let is_staff = staff.is_staff;
        let statement = schema.statements.set_staff.statement();
        let parameters: [&dyn Parameter; 4] =
            [&user.id, &is_staff, &staff.with_password, &user.revoked_at];
        let rows = self.query(statement, &parameters).await?;
        let Some(row) = rows.first() else {
            return Ok(StaffChange::UserChanged);
        };
        let user = Arc::new(user.as_staff(is_staff));
        Ok(match (column(row, "possible")?, column(row, "changed")?) {
            (true, true) => StaffChange::Now(user),
            (true, false) => StaffChange::Before(user),
            (false, _) => StaffChange::NotPossible,
        })
    }

    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage> {
        let statement = sql!("renew_unusable_password");
        let rows = self.query(statement, &[&user_id]).await?;
        Ok(!rows.is_empty())
    }

    async fn revoke(&self, user_id: i32) -> Result<Option<SystemTime>, Outage> {
        let schema = self.schema_that(|schema| schema.has_own_tables).await?;
        if !schema.has_own_tables {
            return Ok(None);
        }
        let rows = self.query(sql!("revoke"), &[&user_id]).await?;
        let row = only_row(&rows)?;
        column(row, "revoked_at").map(Some)
    }
}

impl Postgres {
    /// The user with exactly this address; otherwise the one whose address differs only in the case
    /// of ASCII letters, if there is only one.
    async fn find_by_email(
        &self,
        email: &str,
        statements: &Statements,
    ) -> Result<Option<Arc<UserRow>>, Outage> {
        let request = ByEmail::new(email);
        let folded = request.folded.clone();
        let stored = self.ask(request).await?;
        if stored.as_ref().is_some_and(|user| user.email == email) {
            return Ok(stored);
        }
        // Boxed, because the cache's future holds it several times. It is rare, and slower than that.
        let look_up = Box::pin(async {
            let statement = statements.user_by_folded_email.statement();
            let rows = self.query(statement, &[&folded]).await?;
            self.first(&rows).await
        });
        let lookup = &self.0.folded_lookup;
        lookup.find(&folded, stored.is_some(), look_up).await
    }

    /// The users in these rows.
    async fn all(&self, rows: &[Row]) -> Result<Vec<Arc<UserRow>>, Outage> {
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            users.push(Arc::new(self.user(row).await?));
        }
        Ok(users)
    }

    /// The user in the first row, if there is one.
    async fn first(&self, rows: &[Row]) -> Result<Option<Arc<UserRow>>, Outage> {
        match rows.first() {
            Some(row) => Ok(Some(Arc::new(self.user(row).await?))),
            None => Ok(None),
        }
    }

    /// The user in `row`, with the maximum session age of their organization.
    pub(super) async fn user(&self, row: &Row) -> Result<UserRow, Outage> {
        let mut user = user(row)?;
        if let Some(organization) = user.active_organization_id {
            user.max_session_age = self.max_session_age(organization).await?;
        }
        Ok(user)
    }

    /// How long after login Label Studio ends the sessions of this organization, if it has such
    /// policies.
    pub async fn max_session_age(&self, organization: i32) -> Result<Option<Duration>, Outage> {
        if !self.schema().await?.has_session_policy {
            return Ok(None);
        }
        if let Some(age) = self.0.session_policies.get(&organization) {
            return Ok(Some(age));
        }
        let before = self.0.session_policies.before_reading();
        let statement = sql!("session_policy");
        let rows = self.query(statement, &[&organization]).await?;
        let minutes = rows.first();
        let minutes = minutes.map(|row| column::<i32>(row, "max_session_age"));
        let minutes = minutes.transpose()?;
        let age = minutes.map_or(DEFAULT_POLICY, |minutes| {
            Duration::from_secs(60 * u64::from(minutes.unsigned_abs()))
        });
        self.0.session_policies.insert(organization, age, before);
        Ok(Some(age))
    }
}

fn user(row: &Row) -> Result<UserRow, Outage> {
    Ok(UserRow {
        id: column(row, "id")?,
        email: column(row, "email")?,
        password: column(row, "password")?,
        is_active: column(row, "is_active")?,
        is_privileged: column(row, "is_privileged")?,
        is_superuser: column(row, "is_superuser")?,
        first_name: column(row, "first_name")?,
        last_name: column(row, "last_name")?,
        active_organization_id: column(row, "active_organization_id")?,
        removed_from_organization: column(row, "removed")?,
        max_session_age: None,
        revoked_at: column(row, "revoked_at")?,
    })
}
