//! [`SessionStore`] over `django_session`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::Postgres;
use super::batch::{Batches, Shared};
use super::parameter::Parameter;
use super::row::{column, columns, only_row};
use super::statement::sql;
use crate::gate::reason::Outage;
use crate::gate::session::{
    LoginRecord, NewSession, ProviderPlace, Recorded, SessionEnd, SessionMark, SessionStore,
    StoredData, StoredSession, TokenUse,
};
use crate::gate::user::UserRow;

/// How often to check whether logins are still under way.
const PAUSE: Duration = Duration::from_millis(20);

impl Postgres {
    /// The `session_data` of some sessions that have not expired.
    pub async fn recent_sessions(&self, now: SystemTime) -> Result<Vec<String>, Outage> {
        let statement = sql!("recent_sessions");
        let rows = self.query(statement, &[&now]).await?;
        columns(&rows, "session_data")
    }

    /// Reads the session `key`, and the user `owner` if one is named, in one round trip.
    pub async fn load_with_owner(
        &self,
        key: &str,
        now: SystemTime,
        owner: Option<i32>,
    ) -> Result<Option<LoadedSession>, Outage> {
        let key = key.to_owned();
        self.ask(Load { key, now, owner }).await
    }
}

/// The `session_data` of a session, and the user who was expected to be its owner.
pub type LoadedSession = (Arc<StoredData>, Option<Arc<UserRow>>);

/// Reads a session.
pub(super) struct Load {
    key: String,
    now: SystemTime,
    owner: Option<i32>,
}

#[async_trait]
impl Shared for Load {
    type Answer = Option<LoadedSession>;

    const STATEMENT: &'static str = "load_session";

    fn batches(postgres: &Postgres) -> &Batches<Self> {
        &postgres.0.sessions
    }

    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage> {
        let keys: Vec<&str> = requests.iter().map(|it| &*it.key).collect();
        let nows: Vec<SystemTime> = requests.iter().map(|it| it.now).collect();
        let owners: Vec<Option<i32>> = requests.iter().map(|it| it.owner).collect();
        let schema = postgres.schema().await?;
        let statement = schema.statements.load_session.statement();
        let connections = &postgres.0.connections;
        let parameters: [&dyn Parameter; 3] = [&keys, &nows, &owners];
        let (rows, took) = connections.query_timed(statement, &parameters).await?;
        let mut answers: Vec<Self::Answer> = vec![None; requests.len()];
        for row in &rows {
            let answer = answers.get_mut(place(row)?);
            let id: Option<i32> = column(row, "id")?;
            let owner = match id {
                Some(_) => Some(Arc::new(postgres.user(row).await?)),
                None => None,
            };
            *answer.ok_or(Outage::DatabaseUnavailable)? = Some((data(row)?, owner));
        }
        Ok((answers, took))
    }
}

impl Postgres {
    /// The sessions in whose keys `half` is the second half of the place.
    async fn keys_of_provider_user(&self, half: &str) -> Result<Vec<String>, Outage> {
        let (mut keys, mut after) = (Vec::new(), String::new());
        loop {
            let parameters: [&dyn Parameter; 2] = [&half, &after];
            let rows = self
                .query(sql!("keys_of_provider_user"), &parameters)
                .await?;
            let row = only_row(&rows)?;
            let found: Vec<String> = column(row, "found")?;
            let last: Option<String> = column(row, "last")?;
            keys.extend(found);
            match last {
                Some(last) => after = last,
                None => return Ok(keys),
            }
        }
    }
}

/// A text that sorts after every key with the prefix `place`: the highest code point follows it.
pub(super) fn behind(place: &str) -> String {
    format!("{place}\u{10ffff}")
}

/// The place of the request that a row answers: its number, which counts from 1.
pub(super) fn place(row: &Row) -> Result<usize, Outage> {
    let number: i32 = column(row, "n")?;
    let place = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
    place.ok_or(Outage::DatabaseUnavailable)
}

fn data(row: &Row) -> Result<Arc<StoredData>, Outage> {
    let data: &str = column(row, "session_data")?;
    Ok(Arc::new(StoredData::new(data)))
}

#[async_trait]
impl SessionStore for Postgres {
    async fn load(&self, key: &str, now: SystemTime) -> Result<Option<Arc<StoredData>>, Outage> {
        let found = self.load_with_owner(key, now, None).await?;
        Ok(found.map(|(data, _)| data))
    }

    async fn await_logins(&self) -> Result<(), Outage> {
        let mut before: Option<SystemTime> = None;
        let until = Instant::now() + self.0.longest_login;
        loop {
            let rows = self.query(sql!("earlier_logins"), &[&before]).await?;
            let row = only_row(&rows)?;
            let is_under_way: bool = column(row, "is_under_way")?;
            // A transaction that takes longer is not a login.
            if !is_under_way || Instant::now() > until {
                return Ok(());
            }
            if before.is_none() {
                before = column(row, "now")?;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn page(&self, after: &str, now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let rows = self
            .query(sql!("page_of_sessions"), &[&after, &now])
            .await?;
        let sessions = rows.iter().map(|row| {
            Ok(StoredSession {
                key: column(row, "session_key")?,
                data: column(row, "session_data")?,
            })
        });
        sessions.collect()
    }

    async fn end(&self, keys: &[String]) -> Result<Vec<String>, Outage> {
        let rows = self.query(sql!("end_sessions"), &[&keys]).await?;
        columns(&rows, "session_data")
    }

    async fn keys_at_provider(&self, place: &ProviderPlace) -> Result<Vec<String>, Outage> {
        let prefix = match place {
            ProviderPlace::Session(prefix) => prefix,
            ProviderPlace::Subject(half) => return self.keys_of_provider_user(half).await,
        };
        let statement = sql!("keys_of_provider_session");
        let rows = self.query(statement, &[prefix, &behind(prefix)]).await?;
        columns(&rows, "session_key")
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let (fingerprint, peer) = (token.fingerprint.as_slice(), token.peer.as_slice());
        let seconds = token.window.as_secs_f64();
        let statement = sql!("use_token");
        let rows = self
            .query(statement, &[&fingerprint, &peer, &seconds, &token.expires])
            .await?;
        let row = only_row(&rows)?;
        column(row, "accepted")
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        match &login.session {
            NewSession::Row(row) => self.record_row_login(login, row).await,
            NewSession::Cookie(mark) => self.record_cookie_login(login, mark).await,
        }
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
        let ended_at = rows.first().map(|row| column(row, "ended_at"));
        ended_at.transpose()
    }
}
