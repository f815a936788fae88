//! The hosts of the database, in libpq's spelling: `h1:p1,h2:p2`, or hosts and ports as two lists
//! (PostgreSQL 15, §34.1.1.3).

use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Port of Postgres (PostgreSQL 15, §20.3.1).
const DEFAULT_PORT: u16 = 5432;

/// One host of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseHost {
    /// Its name, or the directory of its socket.
    pub host: Host,
    /// Its address, if it is not to be looked up (`hostaddr`).
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for DatabaseHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            #[cfg(unix)]
            Host::Unix(directory) => write!(f, "{}:{}", directory.display(), self.port),
        }
    }
}

impl DatabaseHost {
    /// The hosts of a configuration. As in libpq, one port counts for all hosts.
    pub(super) fn all(config: &Config) -> Result<Vec<Self>, &'static str> {
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        let ports = config.get_ports();
        if !addresses.is_empty() && !hosts.is_empty() && addresses.len() != hosts.len() {
            return Err("must have as many addresses as hosts");
        }
        let count = hosts.len().max(addresses.len());
        if ports.len() > 1 && ports.len() != count {
            return Err("must have one port, or as many ports as hosts");
        }
        let host = |n: usize| {
            let address = addresses.get(n).copied();
            let named = hosts.get(n).cloned();
            let by_address = || address.map(|address| Host::Tcp(address.to_string()));
            Some(Self {
                host: named.or_else(by_address)?,
                address,
                port: *ports.get(n).or(ports.first()).unwrap_or(&DEFAULT_PORT),
            })
        };
        Ok((0..count).filter_map(host).collect())
    }
}

/// One port for all hosts, or one for each, separated by commas. An empty one means the default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(super) struct Ports(Vec<u16>);

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

#[derive(Debug, thiserror::Error)]
#[error("must be a port from 1 to 65535, or a list of them separated by commas, not {0:?}")]
struct NotPorts(String);

impl TryFrom<NumberOrText> for Ports {
    type Error = NotPorts;

    fn try_from(given: NumberOrText) -> Result<Self, NotPorts> {
        let text = match given {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        let port = |item: &str| match item.trim() {
            "" => Some(DEFAULT_PORT),
            item => item.parse().ok().filter(|port| *port > 0),
        };
        let ports = text.split(',').map(port).collect::<Option<_>>();
        match ports {
            Some(ports) if !text.trim().is_empty() => Ok(Self(ports)),
            _ => Err(NotPorts(text)),
        }
    }
}

impl JsonSchema for Ports {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&ports.join(","))
    }
}

impl Ports {
    /// Adds the ports to a configuration.
    pub(super) fn add_to(&self, config: &mut Config) {
        for port in &self.0 {
            config.port(*port);
        }
    }
}

/// Adds the hosts in `text` to a configuration, each with its own port or that of `ports`.
pub(super) fn add_hosts(
    text: &str,
    ports: &Ports,
    config: &mut Config,
) -> Result<(), &'static str> {
    let hosts: Vec<&str> = text.split(',').map(str::trim).collect();
    if ports.0.len() > 1 && ports.0.len() != hosts.len() {
        return Err("must have one port, or as many ports as hosts");
    }
    for (n, host) in hosts.into_iter().enumerate() {
        let (name, own) = split(host).ok_or("must be hosts, as db or db1:5432,db2:5432")?;
        config.host(name);
        let listed = ports.0.get(n).or(ports.0.first());
        config.port(own.or(listed.copied()).unwrap_or(DEFAULT_PORT));
    }
    Ok(())
}

/// The name and the port of `host`, `host:port`, `::1`, `[::1]:port` or `/directory`.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    let (name, own) = if text.starts_with('/') {
        (text, None)
    } else if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']')? {
            (name, "") => (name, None),
            (name, rest) => (name, Some(port(rest.strip_prefix(':')?)?)),
        }
    } else {
        match text.split_once(':') {
            // An address of IPv6 has more colons.
            Some((name, rest)) if !rest.contains(':') => (name, Some(port(rest)?)),
            _ => (text, None),
        }
    };
    (!name.is_empty()).then_some((name, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_as_libpq_spells_them() {
        for (hosts, ports, expected) in [
            ("db", "5432", "db:5432"),
            ("db1,db2", "5432", "db1:5432 db2:5432"),
            ("db1, db2", "6001,6002", "db1:6001 db2:6002"),
            ("db1,db2", "6001,", "db1:6001 db2:5432"),
            ("db1:6001,db2:6002", "5432", "db1:6001 db2:6002"),
            ("db1,db2:6002", "5433", "db1:5433 db2:6002"),
            ("::1,[::2]:6001,[::3]", "5432", "::1:5432 ::2:6001 ::3:5432"),
            ("/run/pg,db", "5432", "/run/pg:5432 db:5432"),
            ("db1,db2", "1,2,3", "error"),
            ("db1,", "5432", "error"),
            ("db1:x", "5432", "error"),
            ("db1:0", "5432", "error"),
            (":5432", "5432", "error"),
            ("[::1", "5432", "error"),
        ] {
            let mut config = Config::new();
            let ports = NumberOrText::Text(ports.to_owned());
            let ports = Ports::try_from(ports).expect("ports");
            let found = add_hosts(hosts, &ports, &mut config)
                .and_then(|()| DatabaseHost::all(&config))
                .map_or_else(
                    |_| "error".to_owned(),
                    |all| {
                        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                        all.join(" ")
                    },
                );
            assert_eq!(found, expected, "{hosts} {ports}");
        }
    }

    #[test]
    fn ports_are_checked() {
        for bad in ["", "x", "0", "65536", "5432,x", "-1"] {
            assert!(
                Ports::try_from(NumberOrText::Text(bad.to_owned())).is_err(),
                "{bad}"
            );
        }
        assert!(Ports::try_from(NumberOrText::Number(70_000)).is_err());
    }
}
