//! One connection to Postgres, and how a request is sent on it.
//!
//! In: a statement with its parameters and perhaps a lock. Out: its rows. There are two ways:
//! prepared statements, which the server plans once per connection, and, behind a connection pooler
//! in transaction mode, statements without a name in a transaction that brings its own options.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;
use tokio_postgres::error::Error;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::hosts::Hosts;
use super::lock_waits::LockWait;
use super::parameter::Parameter;
use super::statement::Statement;

/// A statement, and an optional lock to take before it, with its key.
pub(super) struct Request<'a> {
    pub(super) lock: Option<(Statement<'a>, &'a dyn Parameter)>,
    pub(super) statement: Statement<'a>,
    pub(super) parameters: &'a [&'a dyn Parameter],
    /// For which share of the pool it waits.
    pub(super) lock_wait: Option<LockWait>,
}

impl Request<'_> {
    /// How many statements it consists of that may have to wait.
    pub(super) const fn statements(&self) -> u32 {
        match self.lock {
            Some(_) => 2,
            None => 1,
        }
    }
}

/// The prepared statements of a connection, by their names. Each has its text, because some depend on
/// the tables, which may change.
#[derive(Default)]
struct Prepared {
    statements: HashMap<&'static str, (String, tokio_postgres::Statement)>,
    /// How often statements had become stale before these were prepared.
    stale: u64,
}

/// A connection.
pub(super) struct Link {
    client: Client,
    hosts: Hosts,
    /// The place of its host in the list of hosts, and how often that had failed before.
    host: usize,
    epoch: u64,
    opened: Instant,
    prepared: Mutex<Prepared>,
    driver: AbortHandle,
}

impl Link {
    pub(super) fn new(
        client: Client,
        hosts: Hosts,
        (host, epoch): (usize, u64),
        driver: AbortHandle,
    ) -> Self {
        Self {
            client,
            hosts,
            host,
            epoch,
            opened: Instant::now(),
            prepared: Mutex::default(),
            driver,
        }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) const fn host(&self) -> usize {
        self.host
    }

    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether it is open, and its host has not failed since.
    pub(super) fn is_usable(&self) -> bool {
        !self.client.is_closed() && self.hosts.epoch(self.host) == self.epoch
    }

    /// Asks in the background whether its host still answers.
    pub(super) fn probe(&self) {
        self.hosts.probe(self.host, self.epoch);
    }

    /// Ends all connections to its host.
    pub(super) fn distrust(&self) {
        self.hosts.distrust(self.host, self.epoch);
    }

    /// A pooler has switched the server connection.
    pub(super) fn meet_pooler(&self) {
        self.hosts
            .meet_pooler("the server does not know a prepared statement");
    }

    /// Sends a request.
    pub(super) async fn run(&self, request: &Request<'_>) -> Result<Vec<Row>, Error> {
        match self.hosts.begin() {
            None => self.run_prepared(request).await,
            // On the heap, so that the usual way does not pay for its size.
            Some(begin) => Box::pin(self.run_unprepared(request, begin)).await,
        }
    }

    async fn run_prepared(&self, request: &Request<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(request.statement, request.parameters).await?;
        let values = values(request.parameters);
        let query = pin!(self.client.query(&statement, &values));
        let Some((lock, key)) = request.lock else {
            return query.await;
        };
        let lock = self.prepared(lock, &[key]).await?;
        let keys = [key.value()];
        let lock = pin!(async { self.client.query(&lock, &keys).await.map(drop) });
        self.transaction("BEGIN", lock, query).await
    }

    /// `begin` opens a transaction and sets its options.
    async fn run_unprepared(&self, request: &Request<'_>, begin: &str) -> Result<Vec<Row>, Error> {
        let typed = typed(request.parameters);
        let lock = pin!(async {
            match request.lock {
                Some((lock, key)) => {
                    let key = [(key.value(), key.sql_type())];
                    self.client.query_typed(lock.text, &key).await.map(drop)
                }
                None => Ok(()),
            }
        });
        let query = pin!(self.client.query_typed(request.statement.text, &typed));
        // Between BEGIN and COMMIT, a pooler keeps the server connection.
        self.transaction(begin, lock, query).await
    }

    /// Sends `begin`, `lock`, `query` and COMMIT in one round trip. If one fails, COMMIT rolls back.
    async fn transaction(
        &self,
        begin: &str,
        lock: Pin<&mut impl Future<Output = Result<(), Error>>>,
        query: Pin<&mut impl Future<Output = Result<Vec<Row>, Error>>>,
    ) -> Result<Vec<Row>, Error> {
        // The first poll goes in this order, and sends.
        let (begun, locked, rows, committed) = tokio::join!(
            self.client.batch_execute(begin),
            lock,
            query,
            self.client.batch_execute("COMMIT"),
        );
        begun?;
        locked?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }

    /// Runs several statements in one transaction, without preparing them.
    pub(super) async fn run_all(&self, statements: &str) -> Result<(), Error> {
        match self.hosts.begin() {
            None => self.client.batch_execute(statements).await,
            Some(begin) => {
                let all = format!("{begin}; {statements}; COMMIT");
                self.client.batch_execute(&all).await
            }
        }
    }

    async fn prepared(
        &self,
        statement: Statement<'_>,
        parameters: &[&dyn Parameter],
    ) -> Result<tokio_postgres::Statement, Error> {
        if let Some((text, known)) = self.known().statements.get(statement.name)
            && text == statement.text
        {
            return Ok(known.clone());
        }
        let types: Vec<Type> = parameters.iter().map(|it| it.sql_type()).collect();
        let prepared = Box::pin(self.client.prepare_typed(statement.text, &types)).await?;
        let known = (statement.text.to_owned(), prepared.clone());
        self.known().statements.insert(statement.name, known);
        Ok(prepared)
    }

    fn known(&self) -> MutexGuard<'_, Prepared> {
        let mut known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = self.hosts.stale();
        if known.stale != stale {
            known.statements.clear();
            known.stale = stale;
        }
        known
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn values<'a>(parameters: &[&'a dyn Parameter]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|it| it.value()).collect()
}

fn typed<'a>(parameters: &[&'a dyn Parameter]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let typed = |it: &&'a dyn Parameter| (it.value(), it.sql_type());
    parameters.iter().map(typed).collect()
}
