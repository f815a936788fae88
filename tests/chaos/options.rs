//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::faults::FAULTS;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Every fault once, briefly.
    Short,
    /// Every fault once.
    Once,
    /// Every fault in random order, again and again until the time is over.
    Long(Duration),
}

#[derive(Debug)]
pub struct Options {
    pub plan: Plan,
    pub seed: u64,
    /// Requests a second to each of the two sites.
    pub rate: u32,
    /// Only the faults with this in their names.
    pub only: String,
    /// A directory for the servers' files, which tests/chaos/run removes.
    pub home: PathBuf,
}

const USAGE: &str =
    "usage: tests/chaos/run [--short | --long [MINUTES]] [--seed N] [--rate N] [--only TEXT]";

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, &'static str> {
        let mut arguments = arguments.peekable();
        let now = crate::support::token::now();
        let mut options = Self {
            plan: Plan::Once,
            seed: u64::try_from(now).expect("after 1970"),
            rate: 40,
            only: String::new(),
            home: std::env::var_os("GATE_TEST_CHAOS_HOME")
                .ok_or("tests/chaos/run starts this program")?
                .into(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--short" => options.plan = Plan::Short,
                "--seed" => options.seed = value()?.parse().map_err(|_| USAGE)?,
                "--rate" => options.rate = value()?.parse().map_err(|_| USAGE)?,
                "--only" => options.only = value()?,
                "--long" => {
                    let minutes = arguments.peek().and_then(|minutes| minutes.parse().ok());
                    if minutes.is_some() {
                        arguments.next();
                    }
                    let seconds: u64 = 60 * minutes.unwrap_or(30);
                    options.plan = Plan::Long(Duration::from_secs(seconds));
                }
                _ => return Err(USAGE),
            }
        }
        match FAULTS.iter().any(|it| it.name.contains(&options.only)) {
            true => Ok(options),
            false => Err("no fault has this in its name (--only)"),
        }
    }

    /// How long a fault lasts.
    pub const fn hold(&self) -> Duration {
        match self.plan {
            Plan::Short => Duration::from_millis(500),
            Plan::Once | Plan::Long(_) => Duration::from_secs(4),
        }
    }

    /// How many requests or connections come at once.
    pub const fn crowd(&self) -> usize {
        match self.plan {
            Plan::Short => 200,
            Plan::Once | Plan::Long(_) => 1000,
        }
    }
}
