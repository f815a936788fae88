//! Requests that arrive at the same time share a statement.
//!
//! In: one request of a kind ([`Shared`]). Out: its answer. A request that finds no statement of its
//! kind under way triggers one, which is sent once all currently runnable tasks have run: many become
//! ready at the same time, and one of them would otherwise go alone and have the others wait for it.
//! While a statement is under way, what arrives waits for it to come back, and the next one carries
//! all of it. A second one is under way only while more wait than fit into one. So no request is delayed
//! for batching, and under load many requests share one round trip and one commit.
//!
//! What holds for a request alone holds for each of a batch: its answer depends on its own values
//! only; a batch waits for no lock, so that no request holds up its neighbors; a statement that takes
//! long delays only the requests in it; and if a shared statement fails, each
//! of them asks by itself.

mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::timeout;

pub(super) use self::waiting::Batches;
use self::waiting::Ticket;
use super::Postgres;
use super::queue::on_behalf;
use crate::deadline;
use crate::gate::reason::Outage;
use crate::traces::Call;

/// How long the next statement waits for one that is under way.
const LATE: Duration = Duration::from_millis(100);

/// A kind of request.
#[async_trait]
pub(super) trait Shared: Sized + Send + Sync + 'static {
    /// What one request gets.
    type Answer: Send + 'static;

    /// The name of its statement.
    const STATEMENT: &'static str;

    /// The requests of this kind that wait.
    fn batches(postgres: &Postgres) -> &Batches<Self>;

    /// Asks for all of `requests` at once. Returns an answer for each, in their order, and how long
    /// the statement took.
    async fn ask(
        postgres: &Postgres,
        requests: &[Arc<Self>],
    ) -> Result<(Vec<Self::Answer>, Duration), Outage>;
}

impl Postgres {
    /// The answer to `request`, whose statement others may share.
    pub(super) async fn ask<R: Shared>(&self, request: R) -> Result<R::Answer, Outage> {
        let request = Arc::new(request);
        let (ticket, leads) = R::batches(self).begin(&request);
        if leads {
            tokio::spawn(Slot::<R>::of(self).carry());
        }
        let mut call = Call::statement(R::STATEMENT);
        let answered = Box::pin(self.wait(ticket)).await;
        let failed = |outage: &Outage| call.failed(outage.code());
        if let Some(answer) = answered.inspect_err(failed)? {
            return Ok(answer);
        }
        drop(call);
        let answers = self.send(&[request], None).await?;
        let answer = answers.into_iter().next();
        answer.ok_or(Outage::DatabaseUnavailable)
    }

    /// Waits for the answer of a batch. `None`: the request has to ask by itself.
    async fn wait<R: Shared>(
        &self,
        mut ticket: Ticket<'_, R>,
    ) -> Result<Option<R::Answer>, Outage> {
        let connections = &self.0.connections;
        let wait = connections
            .queue()
            .wait_for_a_batch(connections.measures())?;
        let answer = timeout(wait.limit(), ticket.answer());
        let answer = deadline::wait_for(Outage::DatabaseUnavailable, answer).await;
        if let Ok(Ok(answer)) = answer {
            return answer.transpose();
        }
        if ticket.withdraw() {
            return Err(wait.given_up());
        }
        // It is on its way, or its batch waits for a connection.
        let answer = deadline::wait_for(Outage::DatabaseUnavailable, ticket.answer()).await;
        answer.map_err(|_| wait.given_up())?.transpose()
    }

    /// Sends the statement for `requests`. Its slot is free once it has come back, or is late.
    async fn send<R: Shared>(
        &self,
        requests: &[Arc<R>],
        slot: Option<Slot<R>>,
    ) -> Result<Vec<R::Answer>, Outage> {
        let mut asked = R::ask(self, requests);
        let outcome = match timeout(LATE, &mut asked).await {
            Ok(outcome) => outcome,
            Err(_) => {
                drop(slot);
                asked.await
            }
        };
        let (answers, took) = outcome?;
        R::batches(self).learn(requests.len(), took);
        Ok(answers)
    }
}

/// One of the few statements of a kind that are under way. When it is dropped, the next one begins.
struct Slot<R: Shared> {
    postgres: Postgres,
    /// False for a task that has not run yet. If its runtime is shutting down, it never will.
    has_begun: bool,
    kind: std::marker::PhantomData<R>,
}

impl<R: Shared> Slot<R> {
    fn of(postgres: &Postgres) -> Self {
        Self {
            postgres: postgres.clone(),
            has_begun: false,
            kind: std::marker::PhantomData,
        }
    }

    /// Answers those who wait, as far as they fit into one statement. Always in a task of its own, which
    /// runs after those that can run now.
    async fn carry(mut self) {
        self.has_begun = true;
        let postgres = self.postgres.clone();
        let measures = postgres.0.connections.measures();
        let (mut requests, mut answers, mut continues) = (Vec::new(), Vec::new(), false);
        for waiting in R::batches(&postgres).take() {
            measures.observe_wait(waiting.since.elapsed());
            continues |= waiting.continues;
            requests.push(waiting.request);
            answers.push(waiting.answer);
        }
        if requests.is_empty() {
            return;
        }
        match on_behalf(continues, postgres.send(&requests, Some(self))).await {
            Ok(found) => {
                for (answer, found) in answers.into_iter().zip(found) {
                    let _ = answer.send(Ok(found));
                }
            }
            // Each of them would only queue once more. One alone has asked by itself.
            Err(outage) if outage == Outage::Overloaded || answers.len() == 1 => {
                for answer in answers {
                    let _ = answer.send(Err(outage));
                }
            }
            // The senders are dropped, which tells each to ask by itself.
            Err(_) => {}
        }
    }
}

impl<R: Shared> Drop for Slot<R> {
    fn drop(&mut self) {
        let batches = R::batches(&self.postgres);
        if !batches.end() {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) if self.has_begun => {
                runtime.spawn(Self::of(&self.postgres).carry());
            }
            // Each of them asks by itself.
            _ => batches.give_up(),
        }
    }
}
