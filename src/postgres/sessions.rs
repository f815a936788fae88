//! [`SessionStore`] over `django_session`.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::parameter::Parameter;
use super::statement::sql;
use super::{Postgres, unexpected};
use crate::gate::reason::Outage;
use crate::gate::session::{
    LoginRecord, NewSession, ProviderPlace, Recorded, SessionEnd, SessionMark, SessionStore,
    StoredData, StoredSession, TokenUse,
};
use crate::gate::user::UserRow;

impl Postgres {
    /// The `session_data` of some sessions that have not expired.
    pub async fn recent_sessions(&self, now: SystemTime) -> Result<Vec<String>, Outage> {
        let statement = sql!("recent_sessions");
        let rows = self.query(statement, &[&now]).await?;
        rows.iter()
            .map(|row| row.try_get("session_data"))
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))
    }

    /// Reads the session `key` and the user `owner` in one round trip.
    pub async fn load_with_owner(
        &self,
        key: &str,
        now: SystemTime,
        owner: i32,
    ) -> Result<Option<(Arc<StoredData>, Option<Arc<UserRow>>)>, Outage> {
        let schema = self.schema().await?;
        let statement = schema.statements.session_with_owner.statement();
        let rows = self.query(statement, &[&key, &now, &owner]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let id: Option<i32> = row.try_get("id").map_err(|error| unexpected(&error))?;
        let owner = match id {
            Some(_) => Some(Arc::new(self.user(row).await?)),
            None => None,
        };
        Ok(Some((data(row)?, owner)))
    }
}

fn data(row: &Row) -> Result<Arc<StoredData>, Outage> {
    let data: &str = row
        .try_get("session_data")
        .map_err(|error| unexpected(&error))?;
    Ok(Arc::new(StoredData::new(data)))
}

/// A text that sorts after every key with the prefix `place`: the highest code point follows it.
fn behind(place: &str) -> String {
    format!("{place}\u{10ffff}")
}

#[async_trait]
impl SessionStore for Postgres {
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<Arc<StoredData>>, Outage> {
        let rows = self.query(sql!("load_session"), &[&key, &now]).await?;
        rows.first().map(data).transpose()
    }

    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let rows = self
            .query(sql!("page_of_sessions"), &[&after, &now])
            .await?;
        let session = |row: &Row| {
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
        Ok(())
    }

    async fn end_at_provider(&self, place: &ProviderPlace) -> Result<Vec<String>, Outage> {
        let rows = match place {
            ProviderPlace::Session(prefix) => {
                let statement = sql!("end_sessions_of_provider_session");
                self.query(statement, &[prefix, &behind(prefix)]).await?
            }
            ProviderPlace::Subject(half) => {
                let statement = sql!("end_sessions_of_provider_user");
                self.query(statement, &[half]).await?
            }
        };
        rows.iter()
            .map(|row| row.try_get("session_key"))
            .collect::<Result<_, _>>()
            .map_err(|error| unexpected(&error))
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let (fingerprint, peer) = (token.fingerprint.as_slice(), token.peer.as_slice());
        let seconds = token.window.as_secs_f64();
        let statement = sql!("use_token");
        let rows = self
            .query(statement, &[&fingerprint, &peer, &seconds, &token.expires])
            .await?;
        let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
        row.try_get("accepted").map_err(|error| unexpected(&error))
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        let schema = self.schema().await?;
        let statements = &schema.statements;
        let rows = match &login.session {
            NewSession::Row(row) => {
                let behind = behind(row.place);
                let parameters: [&dyn Parameter; 10] = [
                    &login.user_id,
                    &login.password,
                    &login.at,
                    &row.place,
                    &behind,
                    &row.key,
                    &row.data,
                    &row.expire_date,
                    &login.replaces,
                    &login.revoked_at,
                ];
                let lock = sql!("lock_place");
                let statement = statements.record_login.statement();
                self.0
                    .connections
                    .query_behind_lock(lock, &row.place, statement, &parameters)
                    .await?
            }
            NewSession::Cookie(mark) => {
                let statement = statements.record_login_signed_cookies.statement();
                let mark = mark.as_slice();
                let parameters: [&dyn Parameter; 5] = [
                    &login.user_id,
                    &login.password,
                    &login.at,
                    &login.revoked_at,
                    &mark,
                ];
                self.query(statement, &parameters).await?
            }
        };
        let row = rows.first().ok_or(Outage::DatabaseUnavailable)?;
        recorded(row, &login.session).map_err(|error| unexpected(&error))
    }

    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage> {
        if self.schema().await?.has_own_tables {
            let (mark, statement) = (end.mark.as_slice(), sql!("note_end"));
            self.query(statement, &[&mark, &end.not_before, &end.forget_at])
                .await?;
        }
        Ok(())
    }

    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage> {
        if !self.schema().await?.has_own_tables {
            return Ok(None);
        }
        let rows = self.query(sql!("ended_at"), &[&mark.as_slice()]).await?;
        rows.first()
            .map(|row| row.try_get("ended_at"))
            .transpose()
            .map_err(|error| unexpected(&error))
    }
}

fn recorded(row: &Row, session: &NewSession<'_>) -> Result<Recorded, tokio_postgres::Error> {
    if !row.try_get::<_, bool>("unchanged")? {
        return Ok(Recorded::UserChanged);
    }
    if let NewSession::Cookie(_) = session {
        let ended_at = row.try_get("ended_at")?;
        return Ok(Recorded::Opened { ended_at });
    }
    Ok(match (row.try_get("met_key")?, row.try_get("met_data")?) {
        (Some(key), Some(data)) => Recorded::Met(StoredSession { key, data }),
        _ => Recorded::Opened { ended_at: None },
    })
}
