//! Look-ups of users that arrive at the same time share a statement.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::gate::reason::Outage;
use crate::gate::user::UserRow;
use crate::postgres::Postgres;
use crate::postgres::batch::{Batches, Shared};

/// Finds a user by primary key.
pub(in crate::postgres) struct ById(pub(super) i32);

#[async_trait]
impl Shared for ById {
    type Answer = Option<Arc<UserRow>>;

    const STATEMENT: &'static str = "user_by_id";

    fn batches(postgres: &Postgres) -> &Batches<Self> {
        &postgres.0.users_by_id
    }

    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage> {
        let mut ids: Vec<i32> = requests.iter().map(|request| request.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let schema = postgres.schema().await?;
        let statement = schema.statements.user_by_id.statement();
        let connections = &postgres.0.connections;
        let (rows, took) = connections.query_timed(statement, &[&ids]).await?;
        let users = postgres.all(&rows).await?;
        let find = |request: &Arc<Self>| users.iter().find(|user| user.id == request.0).cloned();
        Ok((requests.iter().map(find).collect(), took))
    }
}

/// Finds the user with exactly this address, or else with its ASCII letters in lower case.
pub(in crate::postgres) struct ByEmail {
    email: String,
    pub(super) folded: String,
}

impl ByEmail {
    pub(super) fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            folded: email.to_ascii_lowercase(),
        }
    }
}

#[async_trait]
impl Shared for ByEmail {
    type Answer = Option<Arc<UserRow>>;

    const STATEMENT: &'static str = "user_by_email";

    fn batches(postgres: &Postgres) -> &Batches<Self> {
        &postgres.0.users_by_email
    }

    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage> {
        let spellings = requests.iter().flat_map(|it| [&*it.email, &*it.folded]);
        let mut emails: Vec<&str> = spellings.collect();
        emails.sort_unstable();
        emails.dedup();
        let schema = postgres.schema().await?;
        let statement = schema.statements.user_by_email.statement();
        let connections = &postgres.0.connections;
        let (rows, took) = connections.query_timed(statement, &[&emails]).await?;
        let users = postgres.all(&rows).await?;
        let with = |email: &str| users.iter().find(|user| user.email == email).cloned();
        let find = |request: &Arc<Self>| with(&request.email).or_else(|| with(&request.folded));
        Ok((requests.iter().map(find).collect(), took))
    }
}
