//! Records logins: several in one statement, or one that has to wait for a lock or replaces a
//! session.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio_postgres::Row;

use super::Postgres;
use super::batch::{Batches, Shared};
use super::link::Request;
use super::lock_waits::LockWait;
use super::parameter::Parameter;
use super::row::{column, only_row};
use super::sessions::{behind, place};
use super::statement::sql;
use crate::gate::reason::Outage;
use crate::gate::session::{LoginRecord, Recorded, SessionMark, SessionRow, StoredSession};

impl Postgres {
    pub(super) async fn record_row_login(
        &self,
        login: &LoginRecord<'_>,
        row: &SessionRow<'_>,
    ) -> Result<Recorded, Outage> {
        // Deleting a row may have to wait for somebody who has locked it.
        if login.replaces.is_none()
            && let Some(recorded) = self.ask(RowLogin::new(login, row)).await?
        {
            return Ok(recorded);
        }
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
        let schema = self.schema().await?;
        let statement = schema.statements.record_login_alone.statement();
        let request = Request {
            lock: Some((sql!("lock_place"), &row.place)),
            statement,
            parameters: &parameters,
            lock_wait: Some(match login.replaces {
                Some(_) => LockWait::Replacing(login.user_id),
                None => LockWait::LeftOver(login.user_id),
            }),
        };
        let (rows, _) = self.0.connections.answer(request).await?;
        let row = only_row(&rows)?;
        with_row(row)
    }

    pub(super) async fn record_cookie_login(
        &self,
        login: &LoginRecord<'_>,
        mark: &SessionMark,
    ) -> Result<Recorded, Outage> {
        let request = CookieLogin {
            account: Account::of(login),
            at: login.at,
            mark: *mark,
        };
        match self.ask(request).await? {
            Some(recorded) => Ok(recorded),
            None => self.record_cookie_login_alone(login, mark).await,
        }
    }

    /// Waits until whoever has locked the user's row is done.
    pub async fn record_cookie_login_alone(
        &self,
        login: &LoginRecord<'_>,
        mark: &SessionMark,
    ) -> Result<Recorded, Outage> {
        let mark = mark.as_slice();
        let parameters: [&dyn Parameter; 5] = [
            &login.user_id,
            &login.password,
            &login.at,
            &login.revoked_at,
            &mark,
        ];
        let schema = self.schema().await?;
        let alone = &schema.statements.record_login_signed_cookies_alone;
        let request = Request {
            lock: None,
            statement: alone.statement(),
            parameters: &parameters,
            lock_wait: Some(LockWait::LeftOver(login.user_id)),
        };
        let (rows, _) = self.0.connections.answer(request).await?;
        let row = only_row(&rows)?;
        with_cookie(row)
    }
}

/// The user's row that a login was made for.
#[derive(PartialEq, Eq)]
struct Account {
    user_id: i32,
    password: String,
    revoked_at: Option<SystemTime>,
}

impl Account {
    fn of(login: &LoginRecord<'_>) -> Self {
        Self {
            user_id: login.user_id,
            password: login.password.to_owned(),
            revoked_at: login.revoked_at,
        }
    }
}

/// A login whose session is a row.
pub(super) struct RowLogin {
    account: Account,
    at: SystemTime,
    place: String,
    behind: String,
    key: String,
    data: String,
    expires: SystemTime,
}

impl RowLogin {
    fn new(login: &LoginRecord<'_>, row: &SessionRow<'_>) -> Self {
        Self {
            account: Account::of(login),
            at: login.at,
            place: row.place.to_owned(),
            behind: behind(row.place),
            key: row.key.to_owned(),
            data: row.data.to_owned(),
            expires: row.expire_date,
        }
    }

    /// What another login with the same credential gets, after this one got `recorded`.
    fn share(&self, recorded: &Recorded) -> Recorded {
        match recorded {
            Recorded::Opened { .. } => Recorded::Met(StoredSession {
                key: self.key.clone(),
                data: self.data.clone(),
            }),
            Recorded::Met(_) | Recorded::UserChanged => recorded.clone(),
        }
    }
}

/// A login for each place, and for each of `logins` which of them is its own: with the same place,
/// one opens the session and the others meet it.
fn openers(logins: &[Arc<RowLogin>]) -> (Vec<&RowLogin>, Vec<usize>) {
    let mut openers: Vec<&RowLogin> = Vec::with_capacity(logins.len());
    let mut own = Vec::with_capacity(logins.len());
    for login in logins {
        let known = openers.iter().position(|it| it.place == login.place);
        own.push(known.unwrap_or(openers.len()));
        if known.is_none() {
            openers.push(login);
        }
    }
    (openers, own)
}

#[async_trait]
impl Shared for RowLogin {
    /// `None` if it has to wait for a lock.
    type Answer = Option<Recorded>;

    const STATEMENT: &'static str = "record_login";

    fn batches(postgres: &Postgres) -> &Batches<Self> {
        &postgres.0.row_logins
    }

    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage> {
        let (openers, own) = openers(requests);
        let texts =
            |text: fn(&Self) -> &str| -> Vec<&str> { openers.iter().map(|it| text(it)).collect() };
        let times = |time: fn(&Self) -> SystemTime| -> Vec<SystemTime> {
            openers.iter().map(|it| time(it)).collect()
        };
        let ids: Vec<i32> = openers.iter().map(|it| it.account.user_id).collect();
        let revoked: Vec<Option<SystemTime>> =
            openers.iter().map(|it| it.account.revoked_at).collect();
        let places = texts(|it| &it.place);
        let parameters: [&dyn Parameter; 9] = [
            &ids,
            &texts(|it| &it.account.password),
            &times(|it| it.at),
            &places,
            &texts(|it| &it.behind),
            &texts(|it| &it.key),
            &texts(|it| &it.data),
            &times(|it| it.expires),
            &revoked,
        ];
        let schema = postgres.schema().await?;
        let request = Request {
            lock: Some((sql!("lock_places"), &places)),
            statement: schema.statements.record_login.statement(),
            parameters: &parameters,
            lock_wait: None,
        };
        let (rows, took) = postgres.0.connections.answer(request).await?;
        let found = answers(&rows, openers.len(), with_row)?;
        let answer = |(login, own): (&Arc<Self>, usize)| {
            let (opener, found) = (openers[own], found[own].as_ref()?);
            if std::ptr::eq(opener, &**login) {
                return Some(found.clone());
            }
            // One that was made for another state of the user's row is recorded by itself.
            (opener.account == login.account).then(|| opener.share(found))
        };
        let answers = requests.iter().zip(own).map(answer).collect();
        Ok((answers, took))
    }
}

/// A login whose session is the cookie.
pub(super) struct CookieLogin {
    account: Account,
    at: SystemTime,
    mark: SessionMark,
}

#[async_trait]
impl Shared for CookieLogin {
    /// `None` if it has to wait for a lock.
    type Answer = Option<Recorded>;

    const STATEMENT: &'static str = "record_login_signed_cookies";

    fn batches(postgres: &Postgres) -> &Batches<Self> {
        &postgres.0.cookie_logins
    }

    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage> {
        let accounts = || requests.iter().map(|it| &it.account);
        let ids: Vec<i32> = accounts().map(|it| it.user_id).collect();
        let passwords: Vec<&str> = accounts().map(|it| &*it.password).collect();
        let times: Vec<SystemTime> = requests.iter().map(|it| it.at).collect();
        let revoked: Vec<Option<SystemTime>> = accounts().map(|it| it.revoked_at).collect();
        let marks: Vec<&[u8]> = requests.iter().map(|it| it.mark.as_slice()).collect();
        let parameters: [&dyn Parameter; 5] = [&ids, &passwords, &times, &revoked, &marks];
        let schema = postgres.schema().await?;
        let statement = schema.statements.record_login_signed_cookies.statement();
        let connections = &postgres.0.connections;
        let (rows, took) = connections.query_timed(statement, &parameters).await?;
        Ok((answers(&rows, requests.len(), with_cookie)?, took))
    }
}

/// The answers to `count` logins, by the numbers in their rows.
fn answers(
    rows: &[Row],
    count: usize,
    recorded: fn(&Row) -> Result<Recorded, Outage>,
) -> Result<Vec<Option<Recorded>>, Outage> {
    let mut answers = vec![None; count];
    for row in rows {
        let is_done: bool = column(row, "is_done")?;
        let recorded = recorded(row)?;
        let answer = answers.get_mut(place(row)?);
        *answer.ok_or(Outage::DatabaseUnavailable)? = is_done.then_some(recorded);
    }
    Ok(answers)
}

/// What became of a login whose session is a row.
fn with_row(row: &Row) -> Result<Recorded, Outage> {
    if !column::<bool>(row, "unchanged")? {
        return Ok(Recorded::UserChanged);
    }
    Ok(match (column(row, "met_key")?, column(row, "met_data")?) {
        (Some(key), Some(data)) => Recorded::Met(StoredSession { key, data }),
        _ => Recorded::Opened { ended_at: None },
    })
}

/// What became of a login whose session is the cookie.
fn with_cookie(row: &Row) -> Result<Recorded, Outage> {
    if !column::<bool>(row, "unchanged")? {
        return Ok(Recorded::UserChanged);
    }
    let ended_at = column(row, "ended_at")?;
    Ok(Recorded::Opened { ended_at })
}
