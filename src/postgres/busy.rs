//! A connection whose request may be given up.

use std::time::Duration;

use deadpool_postgres::Object;

/// A connection with a request under way. If the request is given up, the connection returns to the
/// pool after the server has answered, or never if that takes longer than `limit`.
pub(super) struct Busy {
    connection: Option<Object>,
    limit: Duration,
}

impl Busy {
    pub(super) const fn new(connection: Object, limit: Duration) -> Self {
        Self {
            connection: Some(connection),
            limit,
        }
    }

    pub(super) fn connection(&self) -> &Object {
        self.connection.as_ref().expect("only `finish` takes it")
    }

    pub(super) fn finish(mut self) -> Object {
        self.connection.take().expect("only `finish` takes it")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let limit = self.limit;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(connection));
            return;
        };
        runtime.spawn(async move {
            // Answered after everything that was sent before (PostgreSQL 15, §55.2.4).
            let idle = tokio::time::timeout(limit, connection.batch_execute("")).await;
            if !matches!(idle, Ok(Ok(()))) {
                drop(Object::take(connection));
            }
        });
    }
}
