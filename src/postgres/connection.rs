//! The connection pool.
//!
//! In: a statement with its parameters. Out: rows, or an outage. Every wait has a limit, and
//! failures are logged without the parameters. A request may be given up at any time: what it sent
//! is one transaction, and its connection returns to the pool once the server has answered.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Pool, QueueMode, Timeouts};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::cure;
use super::failure::{DatabaseFault, Failure, chain, classify};
use super::hosts::Hosts;
use super::lease::Lease;
use super::link::Request;
use super::lock_waits::{LockWait, LockWaits, Turn};
use super::measures::{Measures, StatementFailure};
use super::mismatch;
use super::parameter::Parameter;
use super::queue::{Queue, no_connection};
use super::statement::Statement;
use super::tls::TlsError;
use crate::deadline;
use crate::gate::reason::Outage;
use crate::metrics::{Page, Source};
use crate::settings::Database;
use crate::traces::Call;

/// How long to wait beyond the server's own statement timeout before the connection counts as dead.
const NETWORK_MARGIN: Duration = Duration::from_secs(1);

/// After how long without an answer to ask whether the host is still there.
const SUSPICION: Duration = Duration::from_millis(500);

/// If a connection younger than this is read-only, a new one would reach the same server, so the
/// statement is not retried.
const YOUNG: Duration = Duration::from_secs(1);

/// A pool of connections to Postgres.
pub(super) struct Connections {
    pool: Pool<Hosts>,
    queue: Queue,
    lock_waits: LockWaits,
    /// After how long the server cancels a statement.
    statement_timeout: Duration,
    measures: Measures,
    /// Whether a statement has failed because the tables or the grants are not what was read.
    doubtful: AtomicBool,
}

impl Connections {
    /// Creates the pool without connecting.
    pub(super) fn new(settings: &Database) -> Result<Self, TlsError> {
        let statement_timeout = *settings.limits.statement_timeout_ms;
        let pool = Pool::builder(Hosts::new(settings, statement_timeout + NETWORK_MARGIN)?)
            .max_size(settings.limits.pool_size)
            // The server process that was used last has its caches warm, and TCP keepalives tell of idle
            // connections that break.
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts {
                wait: Some(*settings.limits.wait_timeout_ms),
                // `Hosts` has a limit for each host, and recycling does not wait.
                create: None,
                recycle: None,
            })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("timeouts need a runtime, which is set");
        Ok(Self {
            pool,
            queue: Queue::new(&settings.limits),
            lock_waits: LockWaits::new(settings.limits.pool_size),
            statement_timeout,
            measures: Measures::default(),
            doubtful: AtomicBool::new(false),
        })
    }

    /// Sends a statement. It is prepared once per connection, if statements are prepared.
    pub(super) async fn query(
        &self,
        statement: Statement<'_>,
        parameters: &[&dyn Parameter],
    ) -> Result<Vec<Row>, Outage> {
        let timed = self.query_timed(statement, parameters);
        timed.await.map(|(rows, _)| rows)
    }

    /// The same, and how long the statement took.
    pub(super) async fn query_timed(
        &self,
        statement: Statement<'_>,
        parameters: &[&dyn Parameter],
    ) -> Result<(Vec<Row>, Duration), Outage> {
        let request = Request {
            lock: None,
            statement,
            parameters,
            lock_wait: None,
        };
        self.answer(request).await
    }

    /// The answer to a request, and how long that took. A lock and what follows are one transaction and
    /// one round trip.
    pub(super) async fn answer(
        &self,
        request: Request<'_>,
    ) -> Result<(Vec<Row>, Duration), Outage> {
        // On the heap: most of those who may ask wait for a batch, and don't pay for its size.
        Box::pin(self.send(&request)).await
    }

    /// The queue in front of the pool.
    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What is counted and timed.
    pub(super) const fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Whether a connection pooler is between the gate and Postgres.
    pub(super) fn is_pooled(&self) -> bool {
        self.pool.manager().is_pooled()
    }

    /// Sends a request, and retries it if the failure was not caused by the statement itself. A
    /// retry is safe because every statement in `sql/` leaves the same behind when it runs twice. Its
    /// answer may differ: an account that the lost attempt created was there before.
    async fn send(&self, request: &Request<'_>) -> Result<(Vec<Row>, Duration), Outage> {
        let mut begun = Instant::now();
        let turn = self.turn(request.lock_wait).await;
        let turn = turn.inspect_err(|_| self.measures.observe_wait(begun.elapsed()))?;
        let place = self.queue.enter(&self.measures).await;
        let _place = place.inspect_err(|_| self.measures.observe_wait(begun.elapsed()))?;
        let mut again = true;
        // After a restart of the server, every pooled connection may fail once.
        for _ in 0..=self.pool.status().max_size {
            let lease = self.lease(request.statements(), turn.clone()).await;
            self.measures.observe_wait(begun.elapsed());
            // Pinned here: each async function that takes a future by value doubles its size.
            let attempt = pin!(self.attempt(lease?, request));
            let attempt = deadline::wait_for(Outage::DatabaseUnavailable, attempt).await;
            let failure = StatementFailure::Timeout;
            match attempt.inspect_err(|_| self.measures.count_statement_failure(failure))? {
                Ok(answer) => {
                    self.queue.answered();
                    return Ok(answer);
                }
                Err(Failure::Disconnected) => {}
                Err(Failure::Canceled | Failure::Final) => break,
                Err(_) if again => again = false,
                Err(_) => break,
            }
            begun = Instant::now();
        }
        Err(Outage::DatabaseUnavailable)
    }

    /// Runs the statements of `migrate` in one transaction, without preparing them.
    pub(super) async fn migrate(&self, statements: &str) -> Result<(), Outage> {
        let mut lease = self.lease(1, None).await?;
        match lease.run_all(statements).await {
            Ok(()) => {
                lease.settled();
                Ok(())
            }
            Err(error) => {
                let fault = fault(&error, cure::of_migration(&error));
                tracing::error!(error = %fault, cure = fault.cure, "statements failed");
                self.measures.blame(fault);
                // The transaction may be open.
                lease.discard();
                Err(Outage::DatabaseUnavailable)
            }
        }
    }

    /// Opens a connection, unless one is open.
    pub(super) async fn reach(&self) -> Result<(), DatabaseFault> {
        let connection = self.pool.get().await;
        connection.map(drop).map_err(|error| no_connection(&error))
    }

    /// Whether a statement has failed since the schema was read because the tables or the grants
    /// are not what was read.
    pub(super) fn doubts_schema(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// The schema is read again now.
    pub(super) fn trust_schema(&self) {
        self.doubtful.store(false, Ordering::Relaxed);
    }

    /// A connection for so many statements, sent together. Each of them has the server's time limit for
    /// itself: a healthy server may take all of it for a lock, and once more for what follows.
    async fn lease(&self, statements: u32, turn: Option<Arc<Turn>>) -> Result<Lease, Outage> {
        let link = self.queue.connection(&self.pool, &self.measures).await?;
        let answer_limit = self.statement_timeout * statements + NETWORK_MARGIN;
        Ok(Lease::new(link, answer_limit, turn))
    }

    /// A turn for a request that may have to wait for a lock. It has no place in the queue yet, which
    /// is for those who wait for a connection.
    async fn turn(&self, wait: Option<LockWait>) -> Result<Option<Arc<Turn>>, Outage> {
        let Some(wait) = wait else { return Ok(None) };
        let turn = self.lock_waits.turn(wait);
        let turn = self.queue.wait_for(turn, &self.measures).await?;
        Ok(Some(Arc::new(turn)))
    }

    async fn attempt(
        &self,
        mut lease: Lease,
        request: &Request<'_>,
    ) -> Result<(Vec<Row>, Duration), Failure> {
        let statement = request.statement.name;
        let mut call = Call::statement(statement);
        let begun = Instant::now();
        let outcome = {
            let mut work = pin!(lease.run(request));
            match timeout(SUSPICION, &mut work).await {
                Ok(outcome) => Some(outcome),
                Err(_) => {
                    lease.probe();
                    let rest = lease.answer_limit() - SUSPICION;
                    timeout(rest, work).await.ok()
                }
            }
        };
        let took = begun.elapsed();
        self.measures.observe_statement(statement, took);
        let Some(outcome) = outcome else {
            call.failed("timeout");
            let failure = StatementFailure::Timeout;
            self.measures.count_statement_failure(failure);
            let what = "Postgres does not answer";
            tracing::warn!(statement, "{what}");
            self.measures.blame(DatabaseFault {
                what: what.to_owned(),
                cure: None,
            });
            lease.distrust();
            // The state of the connection is unknown, so it must not return to the pool.
            lease.discard();
            return Err(Failure::Final);
        };
        lease.settled();
        let error = match outcome {
            Ok(rows) => return Ok((rows, took)),
            Err(error) => error,
        };
        let mismatch = mismatch::cure(statement, &error);
        if mismatch.is_some() {
            self.doubtful.store(true, Ordering::Relaxed);
        }
        let fault = fault(&error, mismatch.or_else(|| cure::of(&error)));
        tracing::warn!(
            statement,
            sqlstate = error.code().map_or("", SqlState::code),
            error = %fault,
            cure = fault.cure,
            "statement failed"
        );
        self.measures.blame(fault);
        let failure = classify(&error);
        call.failed(failure.kind().name());
        self.measures.count_statement_failure(failure.kind());
        Err(self.consequences(failure, lease))
    }

    fn consequences(&self, failure: Failure, lease: Lease) -> Failure {
        match failure {
            // The statement is stale on every connection, and the next attempt may use any.
            Failure::Stale => self.pool.manager().forget_statements(),
            Failure::Pooled => lease.meet_pooler(),
            Failure::ReadOnly if lease.opened().elapsed() < YOUNG => return Failure::Final,
            Failure::ReadOnly => lease.distrust(),
            Failure::Disconnected => {
                drop(lease);
                self.forget_dead_connections();
            }
            Failure::Deadlock | Failure::Canceled | Failure::Final => {}
        }
        failure
    }

    /// A restarted server has closed all connections; each would fail once.
    fn forget_dead_connections(&self) {
        self.pool.retain(|link, _| link.is_usable());
    }
}

fn fault(error: &tokio_postgres::Error, cure: Option<&'static str>) -> DatabaseFault {
    let what = chain(error);
    DatabaseFault { what, cure }
}

impl Source for Connections {
    fn report(&self, page: &mut Page) {
        let pool = self.pool.status();
        let waiting = self.queue.waiting(&pool);
        self.measures.report(page, &pool, waiting);
    }
}
