//! [`SessionStore`] over `django_session`.

use std::time::SystemTime;

use super::statement::sql;
use super::{Postgres, unexpected};
use crate::gate::reason::Outage;
use crate::gate::session::{LoginRecord, Recorded, SessionStore};

impl Postgres {
    /// `session_data` of some sessions that have not expired.
    pub async fn recent_sessions(&self, now: SystemTime) -> Result<Vec<String>, Outage> {
        let statement = sql!("recent_sessions");
        let rows = self.query(statement, &[&now]).await?;
        rows.iter()
            .map(|row| row.try_get("session_data"))
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))
    }
}

impl SessionStore for Postgres {
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<String>, Outage> {
        let statement = sql!("load_session");
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
                let statement = sql!("record_login");
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
                let statement = sql!("record_login_signed_cookies");
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
