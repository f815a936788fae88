//! Counts events per network and minute in bounded memory.
//!
//! In: a network and the time. Out: the number of its events in its current minute. At most
//! [`MAX_NETWORKS`] networks are tracked. A network is never evicted within its minute; if there is
//! no room, further networks share one count. With [`PerNetwork::widening`], they first share one with
//! their wider network, so that an attacker who fills the table affects only neighbors.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

const MINUTE: Duration = Duration::from_secs(60);
/// In each table, which takes about a megabyte of memory.
const MAX_NETWORKS: usize = 10_000;
/// Prefix lengths in IPv4 and in IPv6 of wider networks, as of a site (RFC 6177 §2) and of its provider.
const WIDER: [(u8, u8); 2] = [(24, 48), (16, 32)];
/// Minimum time between two sweeps, which visit every network.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Counts per network.
#[derive(Default)]
pub(super) struct PerNetwork(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    networks: Table,
    /// The networks around those for which there is no room, from narrow to wide.
    wider: Vec<((u8, u8), Table)>,
    /// The networks for which there is no room.
    others: Option<Minute>,
}

/// At most [`MAX_NETWORKS`] networks.
#[derive(Default)]
struct Table {
    known: HashMap<IpNet, Minute>,
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
    /// Counts that networks without room share with their neighbors before they share them with all.
    pub(super) fn widening() -> Self {
        Self(Mutex::new(Counts {
            wider: WIDER.map(|prefix| (prefix, Table::default())).into(),
            ..Counts::default()
        }))
    }

    /// Counts an event of `network`.
    pub(super) fn count(&self, network: IpNet, now: Instant) -> Count {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.minute_of(network, now).count(now)
    }
}

impl Counts {
    fn minute_of(&mut self, network: IpNet, now: Instant) -> &mut Minute {
        let mut wider = self.wider.iter_mut();
        (self.networks.minute_of(network, now))
            .or_else(|| {
                wider.find_map(|(prefix, table)| table.minute_of(around(network, *prefix), now))
            })
            .unwrap_or_else(|| self.others.get_or_insert(Minute::at(now)))
    }
}

/// The network of this prefix length around `network`.
fn around(network: IpNet, (ipv4, ipv6): (u8, u8)) -> IpNet {
    let length = if network.addr().is_ipv4() { ipv4 } else { ipv6 };
    IpNet::new_assert(network.addr(), length).trunc()
}

impl Table {
    /// The minute of a network; `None`: there is no room for it.
    fn minute_of(&mut self, network: IpNet, now: Instant) -> Option<&mut Minute> {
        if !self.known.contains_key(&network) && !self.has_room(now) {
            return None;
        }
        Some(self.known.entry(network).or_insert(Minute::at(now)))
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

    fn sizes(counts: &PerNetwork) -> Vec<usize> {
        let counts = counts.0.lock().expect("no panic");
        let wider = counts.wider.iter().map(|(_, table)| table);
        let tables = std::iter::once(&counts.networks).chain(wider);
        tables.map(|table| table.known.len()).collect()
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
        assert_eq!(sizes(&counts), [MAX_NETWORKS]);

        let later = start + MINUTE;
        assert_eq!(counts.count(network(3 * MAX_NETWORKS), later).events, 1);
        assert_eq!(sizes(&counts), [1], "the others' minutes are over");
    }

    #[test]
    fn networks_without_room_share_a_count_with_their_neighbors_first() {
        let (counts, now) = (PerNetwork::widening(), Instant::now());
        let count = |network: &str| {
            counts
                .count(network.parse().expect("a network"), now)
                .events
        };
        for n in 0..MAX_NETWORKS {
            counts.count(network(n), now);
        }
        for (network, expected) in [
            ("2001:db8:1:1::/64", 1),
            ("2001:db8:1:2::/64", 2),
            ("2001:db8:2:1::/64", 1),
            ("192.0.2.1/32", 1),
            ("192.0.2.2/32", 2),
            ("192.0.3.1/32", 1),
        ] {
            assert_eq!(count(network), expected, "{network}");
        }
        // A /24 for each of them, until there is no room for these either; then a /16.
        for n in 0..2 * MAX_NETWORKS {
            counts.count(network(0x0a00_0000 + 256 * n), now);
        }
        assert_eq!(count("198.51.100.1/32"), 1);
        assert_eq!(count("198.51.200.1/32"), 2);
        assert_eq!(count("203.0.113.1/32"), 1);
        let sizes = sizes(&counts);
        assert!(sizes.iter().all(|size| *size <= MAX_NETWORKS), "{sizes:?}");
    }
}
