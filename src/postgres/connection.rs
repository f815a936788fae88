//! The pool: every wait has a limit, and what fails says why in the log, without its parameters.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::sync::Semaphore;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use super::statement::Statement;
use super::tls::{self, TlsError};
use crate::gate::reason::Outage;
use crate::settings::{Database, Tls};

/// How much longer than the server's own limit a statement may take, before the network counts as gone.
const NETWORK_MARGIN: Duration = Duration::from_secs(1);

/// Connections to Postgres.
pub(super) struct Connections {
    pool: Pool,
    places: Semaphore,
    deadline: Duration,
}

/// A statement, and the lock that it waits for.
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
        // All four are sent before the first answer is there. Where one fails, COMMIT rolls back.
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

/// What to do about a statement that failed.
enum Failure {
    /// The connection was gone: another one may do. Every statement may be sent twice.
    Disconnected,
    /// Two logins crossed; one of them is to be tried again.
    Crossed,
    /// The statement was prepared for tables that have changed, or through a pooler that knows nothing of it.
    Stale,
    /// Nothing.
    Final,
}

impl Connections {
    /// A pool without a connection yet.
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
            .expect("a runtime is named, and nothing else is asked for");
        Ok(Self {
            pool,
            places: Semaphore::new(settings.limits.pool_size + settings.limits.queue),
            deadline: *settings.limits.statement_timeout_ms + NETWORK_MARGIN,
        })
    }

    /// Sends a statement, which is prepared once a connection.
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

    /// Sends a statement behind another one that takes a lock for `key`, in one transaction and in one round trip.
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

    /// Sends a request, once more where the first attempt can't have been its own fault. That is safe, because each statement of
    /// `sql/` does the same done twice as done once.
    async fn send(&self, request: &Request<'_>) -> Result<Vec<Row>, Outage> {
        let _place = self.places.try_acquire().map_err(|_| Outage::Overloaded)?;
        let mut again = true;
        // A server that was restarted has closed every connection of the pool, and each tells so when it is used.
        for _ in 0..=self.pool.status().max_size {
            let connection = self.connection().await?;
            match self.attempt(connection, request).await {
                Ok(rows) => return Ok(rows),
                Err(Failure::Disconnected) => {}
                Err(Failure::Crossed | Failure::Stale) if again => again = false,
                Err(Failure::Crossed | Failure::Stale | Failure::Final) => break,
            }
        }
        Err(Outage::DatabaseUnavailable)
    }

    /// Runs statements that are not prepared, all or nothing.
    pub(super) async fn run(&self, statements: &str) -> Result<(), Outage> {
        let connection = self.connection().await?;
        let done = connection.batch_execute(statements).await;
        done.map_err(|error| {
            tracing::error!(error = %chain(&error), "the statements failed");
            Outage::DatabaseUnavailable
        })
    }

    async fn connection(&self) -> Result<Object, Outage> {
        self.pool.get().await.map_err(|error| {
            tracing::warn!(error = %chain(&error), "no connection to Postgres");
            Outage::DatabaseUnavailable
        })
    }

    async fn attempt(
        &self,
        connection: Object,
        request: &Request<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let statement = request.statement;
        let work = request.run(&connection);
        let error = match tokio::time::timeout(self.deadline, work).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => error,
            Err(_) => {
                tracing::warn!(statement = statement.name, "Postgres does not answer");
                // Whatever state the connection is in, nobody else shall have it.
                drop(Object::take(connection));
                return Err(Failure::Final);
            }
        };
        let failure = classify(&error);
        tracing::warn!(
            statement = statement.name,
            sqlstate = error.code().map_or("", SqlState::code),
            error = %chain(&error),
            "a statement failed"
        );
        match failure {
            Failure::Stale => connection.statement_cache.clear(),
            Failure::Disconnected => self.forget_dead_connections(),
            Failure::Crossed | Failure::Final => {}
        }
        Err(failure)
    }

    /// A server that was restarted has closed them all, and each would fail once.
    fn forget_dead_connections(&self) {
        self.pool.retain(|connection, _| !connection.is_closed());
    }
}

fn classify(error: &tokio_postgres::Error) -> Failure {
    if error.is_closed() {
        return Failure::Disconnected;
    }
    match error.code() {
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => Failure::Disconnected,
        Some(&SqlState::T_R_DEADLOCK_DETECTED) => Failure::Crossed,
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

/// An error with its causes. Of what Postgres says, the message alone: its details may hold values.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut causes = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(answer) => answer.message().to_owned(),
            None => error.to_string(),
        };
        // Some errors repeat their cause, which follows anyway.
        if let Some(text) = text.split(": ").next()
            && !causes.iter().any(|cause: &String| cause == text)
        {
            causes.push(text.to_owned());
        }
        next = error.source();
    }
    causes.join(": ")
}
