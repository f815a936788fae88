//! Counts events per network and minute in bounded memory.
//!
//! In: a network and the time. Out: the number of its events in its current minute. At most
//! [`MAX_NETWORKS`] networks are tracked. A network is never evicted within its minute; if there is
//! no room, further networks share one count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

const MINUTE: Duration = Duration::from_secs(60);
/// Takes about a megabyte of memory.
const MAX_NETWORKS: usize = 10_000;
/// Minimum time between two sweeps, which visit every network.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Counts per network.
#[derive(Default)]
pub(super) struct PerNetwork(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    known: HashMap<IpNet, Minute>,
    /// The networks for which there is no room.
    others: Option<Minute>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Minute {
    began: Instant,
    events: u32,
}

/// The count of a network after one more event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Events in this minute, including this one.
    pub(super) events: u32,
    /// Time left in the minute.
    pub(super) left: Duration,
    /// Events in the previous minute, if this event starts a new one.
    pub(super) ended: Option<u32>,
}

impl PerNetwork {
    /// Counts an event of `network`.
    pub(super) fn count(&self, network: IpNet, now: Instant) -> Count {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.minute_of(network, now).count(now)
    }
}

impl Counts {
    fn minute_of(&mut self, network: IpNet, now: Instant) -> &mut Minute {
        if !self.known.contains_key(&network) && !self.has_room(now) {
            return self.others.get_or_insert(Minute::at(now));
        }
        self.known.entry(network).or_insert(Minute::at(now))
    }

    fn has_room(&mut self, now: Instant) -> bool {
        let may_sweep = self
            .swept
            .is_none_or(|swept| now.duration_since(swept) >= SWEEP_PAUSE);
        if self.known.len() >= MAX_NETWORKS && may_sweep {
            self.swept = Some(now);
            self.known.retain(|_, minute| !minute.is_over(now));
        }
        self.known.len() < MAX_NETWORKS
    }
}

impl Minute {
    const fn at(began: Instant) -> Self {
        Self { began, events: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= MINUTE
    }

    fn count(&mut self, now: Instant) -> Count {
        let ended = self.is_over(now).then_some(self.events);
        if ended.is_some() {
            *self = Self::at(now);
        }
        self.events = self.events.saturating_add(1);
        Count {
            events: self.events,
            left: MINUTE.saturating_sub(now.duration_since(self.began)),
            ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: usize) -> IpNet {
        let n = u32::try_from(n).expect("a small number");
        IpNet::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(n)))
    }

    #[test]
    fn each_network_has_its_own_minute() {
        let (counts, start) = (PerNetwork::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for events in 1..=3 {
            let left = MINUTE;
            let ended = None;
            let expected = Count {
                events,
                left,
                ended,
            };
            assert_eq!(counts.count(network(1), at(0)), expected);
        }
        assert_eq!(counts.count(network(2), at(30)).events, 1);
        let fourth = counts.count(network(1), at(59));
        assert_eq!((fourth.events, fourth.left.as_secs()), (4, 1));
        let next = counts.count(network(1), at(60));
        assert_eq!((next.events, next.ended), (1, Some(4)));
    }

    #[test]
    fn many_networks_neither_fill_the_memory_nor_evict_others() {
        let (counts, start) = (PerNetwork::default(), Instant::now());
        for _ in 0..5 {
            counts.count(network(0), start);
        }
        for n in 1..3 * MAX_NETWORKS {
            counts.count(network(n), start);
        }
        assert_eq!(counts.count(network(0), start).events, 6, "still tracked");
        let others = counts.count(network(3 * MAX_NETWORKS), start);
        assert!(
            others.events > 1,
            "further networks share a count: {others:?}"
        );
        let size = counts.0.lock().expect("no panic").known.len();
        assert_eq!(size, MAX_NETWORKS);

        let later = start + MINUTE;
        assert_eq!(counts.count(network(3 * MAX_NETWORKS), later).events, 1);
        let size = counts.0.lock().expect("no panic").known.len();
        assert_eq!(size, 1, "the others' minutes are over");
    }
}
