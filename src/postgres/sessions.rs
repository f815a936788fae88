//! [`SessionStore`] over `django_session`.

use std::sync::Arc;
use std::time::SystemTime;

use super::statement::sql;
use super::{Postgres, digest, unexpected};
use crate::gate::reason::Outage;
use crate::gate::session::{LoginRecord, Recorded, SessionStore, StoredSession, TokenUse};
use crate::gate::user::Freshness;

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

    /// Notes for some seconds what a session holds, or forgets it.
    fn remember(&self, digest: [u8; 32], data: Option<Arc<str>>) {
        match data {
            Some(data) if self.0.caching => self.0.sessions.insert(digest, data),
            Some(_) => {}
            None => self.0.sessions.invalidate(&digest),
        }
    }
}

impl SessionStore for Postgres {
    async fn load(
        &self,
        key: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Option<Arc<str>>, Outage> {
        let digest = digest(key);
        if freshness == Freshness::Cached
            && let Some(data) = self.0.sessions.get(&digest)
        {
            return Ok(Some(data));
        }
        let rows = match self.0.owners.get(&digest) {
            Some(owner) => {
                let statement = sql!("session_with_owner");
                let rows = self.query(statement, &[&key, &now, &owner]).await?;
                if let Some(row) = rows.first() {
                    self.remember_owner(row).await?;
                }
                rows
            }
            None => self.query(sql!("load_session"), &[&key, &now]).await?,
        };
        let data: Option<&str> = rows
            .first()
            .map(|row| row.try_get("session_data"))
            .transpose()
            .map_err(|error| unexpected(&error))?;
        let data = data.map(Arc::from);
        self.remember(digest, data.clone());
        Ok(data)
    }

    fn belongs_to(&self, key: &str, user_id: i32) {
        let key = digest(key);
        if self.0.caching && self.0.owners.get(&key) != Some(user_id) {
            self.0.owners.insert(key, user_id);
        }
    }

    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let rows = self
            .query(sql!("page_of_sessions"), &[&after, &now])
            .await?;
        let session = |row: &tokio_postgres::Row| {
            Ok(StoredSession {
                key: row.try_get("session_key")?,
                data: row.try_get("session_data")?,
            })
        };
        rows.iter()
            .map(session)
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))
    }

    async fn end(&self, keys: &[String]) -> Result<(), Outage> {
        self.query(sql!("end_sessions"), &[&keys]).await?;
        for key in keys {
            self.remember(digest(key), None);
        }
        Ok(())
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let client = digest(token.client);
        let seconds = token.window.as_secs_f64();
        let rows = self
            .query(
                sql!("use_token"),
                &[
                    &token.fingerprint.as_slice(),
                    &client.as_slice(),
                    &seconds,
                    &token.expires,
                ],
            )
            .await?;
        let row = rows.first().ok_or(Outage::Database)?;
        row.try_get("accepted").map_err(|error| unexpected(&error))
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
        if let Some(ended) = login.replaces {
            self.remember(digest(ended), None);
        }
        Ok(if unchanged {
            Recorded::Done
        } else {
            Recorded::UserChanged
        })
    }
}
