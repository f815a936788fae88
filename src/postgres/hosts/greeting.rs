//! Connects to one host, and asks whether it is what the gate needs.
//!
//! In: the place of a host in the list. Out: a [`Link`], or why this host is of no use. Afterwards,
//! the server accepts writes, if the gate needs that.

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Hosts, joined};
use crate::postgres::dial::{Address, Refused};
use crate::postgres::failure::chain;
use crate::postgres::link::Link;
use crate::postgres::race::first_success;

impl Hosts {
    /// Opens a connection to one host, at the first of its addresses that answers.
    pub(super) async fn open(self, host: usize) -> Result<Link, String> {
        let place = &self.0.hosts[host].place;
        let epoch = self.epoch(host);
        let named = |why: String| format!("{place}: {why}");
        let late = || named("does not answer in time".to_owned());
        let addresses = timeout(self.0.limit, Address::of(place)).await;
        let addresses = addresses
            .map_err(|_| late())?
            .map_err(|error| named(error.to_string()))?;
        let attempts = addresses.into_iter().map(|address| {
            let hosts = self.clone();
            let limit = self.0.limit;
            async move {
                let greeted = timeout(limit, hosts.greet(host, epoch, &address)).await;
                greeted.unwrap_or_else(|_| Err("does not answer in time".to_owned()))
            }
        });
        let attempts: Vec<_> = attempts.collect();
        first_success(attempts)
            .await
            .map_err(|refusals| named(joined(refusals)))
    }

    /// Connects, and asks whether this is what the gate needs.
    async fn greet(self, host: usize, epoch: u64, address: &Address) -> Result<Link, String> {
        let doomed = self.0.hosts[host].epoch.subscribe();
        let dialed = match self.dial(address, &doomed, epoch).await {
            Err(Refused::ByPooler) => {
                self.meet_pooler("it refuses options at the start");
                self.dial(address, &doomed, epoch).await
            }
            dialed => dialed,
        };
        let (client, driver) = dialed.map_err(|refused| refused.to_string())?;
        let link = Link::new(client, self.clone(), (host, epoch), driver);
        let answer = self.ask(link.client()).await?;
        if self.0.writable && !answer.is_writable {
            return Err("is a standby, or does not allow writes".to_owned());
        }
        if !answer.has_options {
            self.meet_pooler("the server did not get the options of the start");
        }
        Ok(link)
    }

    async fn dial(
        &self,
        address: &Address,
        doomed: &watch::Receiver<u64>,
        epoch: u64,
    ) -> Result<(Client, tokio::task::AbortHandle), Refused> {
        let mut doomed = doomed.clone();
        let end = async move {
            let _ = doomed.wait_for(|now| *now != epoch).await;
        };
        self.0.dialer.dial(address, self.is_pooled(), end).await
    }

    async fn ask(&self, client: &Client) -> Result<Answer, String> {
        let asked = client.simple_query(&self.0.question).await;
        let messages = asked.map_err(|error| chain(&error))?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let is_true = |name| row.and_then(|row| row.get(name)) == Some("t");
        Ok(Answer {
            is_writable: is_true("is_writable"),
            has_options: is_true("has_options"),
        })
    }
}

/// What a new connection is good for.
struct Answer {
    is_writable: bool,
    has_options: bool,
}
