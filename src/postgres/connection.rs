//! The connection pool.
//!
//! In: a statement with its parameters. Out: rows, or an outage. Every wait has a limit, and
//! failures are logged without the parameters. A request may be given up at any time: what it sent
//! is one transaction, and its connection returns to the pool once the server has answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use super::busy::Busy;
use super::measures::{Measures, StatementFailure};
use super::mismatch;
use super::queue::Queue;
use super::statement::Statement;
use super::tls::{self, TlsError};
use crate::deadline;
use crate::gate::reason::Outage;
use crate::metrics::{Page, Source};
use crate::settings::{Database, Tls};
use crate::traces::Call;

/// How long to wait beyond the server's own statement timeout before the connection counts as dead.
const NETWORK_MARGIN: Duration = Duration::from_secs(1);

/// A pool of connections to Postgres.
pub(super) struct Connections {
    pool: Pool,
    queue: Queue,
    deadline: Duration,
    measures: Measures,
    /// Whether a statement has failed because the tables or the grants are not what was read.
    doubtful: AtomicBool,
}

/// A statement, and an optional lock to take before it.
struct Request<'a> {
    lock: Option<(Statement<'a>, &'a (dyn ToSql + Sync))>,
    statement: Statement<'a>,
    parameters: &'a [&'a (dyn ToSql + Sync)],
}

impl Request<'_> {
    async fn run(&self, connection: &Object) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = connection.prepare_cached(self.statement.text).await?;
        let Some((lock, key)) = self.lock else {
            return connection.query(&statement, self.parameters).await;
        };
        let lock = connection.prepare_cached(lock.text).await?;
        // All four are pipelined in one round trip. If one fails, COMMIT rolls back.
        let keys = [key];
        let (begun, locked, rows, committed) = tokio::join!(
            connection.batch_execute("BEGIN"),
            connection.query(&lock, &keys),
            connection.query(&statement, self.parameters),
            connection.batch_execute("COMMIT"),
        );
        begun?;
        locked?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }
}

/// How a statement failed, which decides whether to retry it.
enum Failure {
    /// The connection is closed. Retry on another one.
    Disconnected,
    /// A deadlock between two logins. Retry once.
    Deadlock,
    /// The prepared statement is invalid, because a table has changed or an external pooler
    /// switched the connection. Prepare it again and retry once.
    Stale,
    /// Do not retry.
    Final,
}

impl Failure {
    /// What it is counted as.
    const fn kind(&self) -> StatementFailure {
        match self {
            Self::Disconnected => StatementFailure::Disconnected,
            Self::Deadlock => StatementFailure::Deadlock,
            Self::Stale => StatementFailure::Stale,
            Self::Final => StatementFailure::Rejected,
        }
    }
}

impl Connections {
    /// Creates the pool without connecting.
    pub(super) fn new(settings: &Database) -> Result<Self, TlsError> {
        let mut config = settings.config.clone();
        config.connect_timeout(*settings.limits.connect_timeout_ms);
        config.keepalives(true);
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(*settings.limits.statement_timeout_ms + NETWORK_MARGIN);
        let limit = format!(
            "-c statement_timeout={}",
            settings.limits.statement_timeout_ms.as_millis()
        );
        let options = config
            .get_options()
            .map_or_else(|| limit.clone(), |own| format!("{own} {limit}"));
        config.options(options);
        let behaviour = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match settings.tls {
            Tls::Disable => {
                config.ssl_mode(tokio_postgres::config::SslMode::Disable);
                Manager::from_config(config, NoTls, behaviour)
            }
            Tls::Require | Tls::VerifyFull => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let tls = tls::connector(settings.tls, settings.tls_ca_file.as_deref())?;
                Manager::from_config(config, tls, behaviour)
            }
        };
        let pool = Pool::builder(manager)
            .max_size(settings.limits.pool_size)
            .timeouts(Timeouts {
                wait: Some(*settings.limits.wait_timeout_ms),
                create: Some(*settings.limits.connect_timeout_ms),
                recycle: Some(*settings.limits.connect_timeout_ms),
            })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("timeouts need a runtime, which is set");
        Ok(Self {
            pool,
            queue: Queue::new(&settings.limits),
            deadline: *settings.limits.statement_timeout_ms + NETWORK_MARGIN,
            measures: Measures::default(),
            doubtful: AtomicBool::new(false),
        })
    }

    /// Sends a statement. It is prepared once per connection.
    pub(super) async fn query(
        &self,
        statement: Statement<'_>,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Outage> {
        self.send(&Request {
            lock: None,
            statement,
            parameters,
        })
        .await
    }

    /// Takes a lock for `key` and then runs a statement, in one transaction and one round trip.
    pub(super) async fn query_behind_lock(
        &self,
        lock: Statement<'_>,
        key: &(dyn ToSql + Sync),
        statement: Statement<'_>,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Outage> {
        self.send(&Request {
            lock: Some((lock, key)),
            statement,
            parameters,
        })
        .await
    }

    /// Sends a request, and retries it if the failure was not caused by the statement itself. A
    /// retry is safe because every statement in `sql/` is idempotent.
    async fn send(&self, request: &Request<'_>) -> Result<Vec<Row>, Outage> {
        let mut begun = Instant::now();
        let place = self.queue.enter(&self.measures).await;
        let _place = place.inspect_err(|_| self.measures.observe_wait(begun.elapsed()))?;
        let mut again = true;
        // After a restart of the server, every pooled connection may fail once.
        for _ in 0..=self.pool.status().max_size {
            let connection = self.connection().await;
            self.measures.observe_wait(begun.elapsed());
            let connection = connection?;
            let attempt = self.attempt(connection, request);
            let attempt = deadline::wait_for(Outage::DatabaseUnavailable, attempt).await;
            let failure = StatementFailure::Timeout;
            match attempt.inspect_err(|_| self.measures.count_statement_failure(failure))? {
                Ok(rows) => {
                    self.queue.answered();
                    return Ok(rows);
                }
                Err(Failure::Disconnected) => {}
                Err(Failure::Deadlock | Failure::Stale) if again => again = false,
                Err(Failure::Deadlock | Failure::Stale | Failure::Final) => break,
            }
            begun = Instant::now();
        }
        Err(Outage::DatabaseUnavailable)
    }

    /// Runs several statements in one implicit transaction, without preparing them.
    pub(super) async fn run(&self, statements: &str) -> Result<(), Outage> {
        let connection = self.connection().await?;
        let done = connection.batch_execute(statements).await;
        done.map_err(|error| {
            tracing::error!(error = %chain(&error), "statements failed");
            Outage::DatabaseUnavailable
        })
    }

    /// Opens a connection, unless one is open.
    pub(super) async fn reach(&self) -> Result<(), String> {
        let connection = self.pool.get().await;
        connection.map(drop).map_err(|error| chain(&error))
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

    async fn connection(&self) -> Result<Object, Outage> {
        self.queue.connection(&self.pool, &self.measures).await
    }

    async fn attempt(
        &self,
        connection: Object,
        request: &Request<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let statement = request.statement;
        let busy = Busy::new(connection, self.deadline);
        let mut call = Call::statement(statement.name);
        let begun = Instant::now();
        let work = request.run(busy.connection());
        let done = tokio::time::timeout(self.deadline, work).await;
        self.measures
            .observe_statement(statement.name, begun.elapsed());
        let connection = busy.finish();
        let error = match done {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => error,
            Err(_) => {
                call.failed("timeout");
                let failure = StatementFailure::Timeout;
                self.measures.count_statement_failure(failure);
                tracing::warn!(statement = statement.name, "Postgres does not answer");
                // The state of the connection is unknown, so it must not return to the pool.
                drop(Object::take(connection));
                return Err(Failure::Final);
            }
        };
        let failure = classify(&error);
        let cure = mismatch::cure(statement.name, &error);
        if cure.is_some() {
            self.doubtful.store(true, Ordering::Relaxed);
        }
        tracing::warn!(
            statement = statement.name,
            sqlstate = error.code().map_or("", SqlState::code),
            error = %chain(&error),
            cure,
            "statement failed"
        );
        call.failed(failure.kind().name());
        self.measures.count_statement_failure(failure.kind());
        match failure {
            // The statement is stale on every connection, and the next attempt may use any.
            Failure::Stale => self.pool.manager().statement_caches.clear(),
            Failure::Disconnected => self.forget_dead_connections(),
            Failure::Deadlock | Failure::Final => {}
        }
        Err(failure)
    }

    /// A restarted server has closed all connections; each would fail once.
    fn forget_dead_connections(&self) {
        self.pool.retain(|connection, _| !connection.is_closed());
    }
}

impl Source for Connections {
    fn report(&self, page: &mut Page) {
        let pool = self.pool.status();
        let waiting = self.queue.waiting(&pool);
        self.measures.report(page, &pool, waiting);
    }
}

fn classify(error: &tokio_postgres::Error) -> Failure {
    if error.is_closed() {
        return Failure::Disconnected;
    }
    match error.code() {
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => Failure::Disconnected,
        Some(&SqlState::T_R_DEADLOCK_DETECTED) => Failure::Deadlock,
        Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::FEATURE_NOT_SUPPORTED) => {
            Failure::Stale
        }
        None if std::error::Error::source(error)
            .is_some_and(|source| source.is::<std::io::Error>()) =>
        {
            Failure::Disconnected
        }
        _ => Failure::Final,
    }
}

/// An error with its causes. Of a Postgres error only the message, because its details may contain
/// values of rows.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(answer) => answer.message().to_owned(),
            None => error.to_string(),
        };
        // Some errors repeat the text of their cause, which follows anyway.
        if let Some(text) = text.split(": ").next()
            && !causes.iter().any(|cause: &String| cause == text)
        {
            causes.push(text.to_owned());
        }
        next = error.source();
    }
    causes.join(": ")
}
