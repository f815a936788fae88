//! [`SessionStore`] over `django_session`.

use std::time::SystemTime;

use super::{Postgres, unexpected};
use crate::gate::session::{LoginRecord, Recorded, SessionStore};
use crate::gate::verdict::Outage;

impl Postgres {
    /// `session_data` of some sessions that have not expired.
    pub async fn recent_sessions(&self, now: SystemTime) -> Result<Vec<String>, Outage> {
        let statement = include_str!("../../sql/recent_sessions.sql");
        let rows = self.query(statement, &[&now]).await?;
        rows.iter()
            .map(|row| row.try_get("session_data"))
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))
    }
}

impl SessionStore for Postgres {
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<String>, Outage> {
        let statement = include_str!("../../sql/load_session.sql");
        let rows = self.query(statement, &[&key, &now]).await?;
        rows.first()
            .map(|row| row.try_get("session_data"))
            .transpose()
            .map_err(|error| unexpected(&error))
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        let (id, password, at) = (&login.user_id, &login.password, &login.at);
        let rows = match &login.row {
            Some(row) => {
                let statement = include_str!("../../sql/record_login.sql");
                let session: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
                    id,
                    password,
                    at,
                    &row.key,
                    &row.data,
                    &row.expire_date,
                    &login.replaces,
                ];
                self.query(statement, &session).await?
            }
            None => {
                let statement = include_str!("../../sql/record_login_signed_cookies.sql");
                self.query(statement, &[id, password, at]).await?
            }
        };
        let row = rows.first().ok_or(Outage::Database)?;
        let unchanged = row
            .try_get("unchanged")
            .map_err(|error| unexpected(&error))?;
        Ok(if unchanged {
            Recorded::Done
        } else {
            Recorded::UserChanged
        })
    }
}
