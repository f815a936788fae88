//! Connects to one host, and asks whether it is what the gate needs.
//!
//! In: the place of a host in the list. Out: a [`Link`], or why this host is of no use. Afterwards,
//! the server accepts writes, if the gate needs that.

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Hosts;
use crate::postgres::cure;
use crate::postgres::dial::{Address, Refused};
use crate::postgres::failure::Unusable;
use crate::postgres::link::Link;
use crate::postgres::race::first_success;

/// Why there is no answer.
const LATE: &str = "does not answer in time";

impl Hosts {
    /// Opens a connection to one host, at the first of its addresses that answers.
    pub(super) async fn open(self, host: usize) -> Result<Link, Unusable> {
        let place = &self.0.hosts[host].place;
        let epoch = self.epoch(host);
        // A name service that fails says nothing about the host.
        let unknown = |why: &str| Unusable::refused(why, Some(cure::REACH)).at(place);
        let addresses = timeout(self.0.limit, Address::of(place)).await;
        let addresses = addresses
            .map_err(|_| unknown(LATE))?
            .map_err(|error| unknown(&error.to_string()))?;
        let attempts = addresses.into_iter().map(|address| {
            let hosts = self.clone();
            let limit = self.0.limit;
            async move {
                let greeted = timeout(limit, hosts.greet(host, epoch, &address)).await;
                greeted.unwrap_or_else(|_| Err(Unusable::gone(LATE, cure::REACH)))
            }
        });
        let attempts: Vec<_> = attempts.collect();
        let opened = first_success(attempts).await;
        opened.map_err(|each| Unusable::all(&each).at(place))
    }

    /// Connects, and asks whether this is what the gate needs.
    async fn greet(self, host: usize, epoch: u64, address: &Address) -> Result<Link, Unusable> {
        let doomed = self.0.hosts[host].epoch.subscribe();
        let dialed = match self.dial(address, &doomed, epoch).await {
            Err(Refused::ByPooler) => {
                self.meet_pooler("it refuses options at the start");
                self.dial(address, &doomed, epoch).await
            }
            dialed => dialed,
        };
        let (client, driver) = dialed.map_err(|refused| match refused {
            Refused::Otherwise(why) => why,
            Refused::ByPooler => Unusable::refused(refused.to_string(), None),
        })?;
        let link = Link::new(client, self.clone(), (host, epoch), driver);
        let answer = self.ask(link.client()).await?;
        if self.0.writable && !answer.is_writable {
            return Err(Unusable::gone(
                "is a standby, or does not allow writes",
                cure::PRIMARY,
            ));
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

    async fn ask(&self, client: &Client) -> Result<Answer, Unusable> {
        let messages = client.simple_query(&self.0.question).await?;
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
