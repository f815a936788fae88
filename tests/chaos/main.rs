//! Faults under load: nothing wrong, nothing lost. `tests/chaos/run` starts this program.
//!
//! Where to begin reading: `world` starts the servers, with a `site` for each session engine. `load`
//! sends the mix of requests to the sites and knows which answers must be refused; what must be let in,
//! the `court` takes to the `judge`, which is Django. The `ledger` of a site has the sessions that were
//! handed out. A fault is a line in `faults`; `course` puts the gates through it, and its `episode`
//! counts the answers. `report` makes the document of it all.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::print_stdout,
    // Clippy does not take a program without the test harness for a test.
    clippy::unwrap_used
)]

mod chance;
mod course;
mod court;
mod episode;
mod faults;
mod gate;
mod host_application;
mod judge;
mod key_server;
mod label_studio;
mod ledger;
mod load;
mod names;
#[allow(dead_code)]
#[path = "../e2e/nginx.rs"]
mod nginx;
mod options;
mod postgres;
mod process;
mod report;
mod samples;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod wire;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chance::Chance;
use court::Court;
use episode::Episode;
use faults::{FAULTS, Fault};
use options::{Options, Plan};
use report::Findings;
use world::World;

/// The mix runs alone this long at first, so that there are live and ended sessions.
const WARM_UP: Duration = Duration::from_secs(11);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(64);
        }
    };
    eprintln!("seed {}", options.seed);
    let findings = run(&options);
    let document = findings.document(&options);
    println!("{document}");
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target/reliability.md");
    std::fs::write(target, &document).expect("written");
    if matches!(options.plan, Plan::Long(_)) && options.only.is_empty() {
        let document_file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
        std::fs::write(document_file, &document).expect("written");
    }
    let failures = findings.failures();
    for failure in &failures {
        eprintln!("FAILED: {failure}");
    }
    println!("{} passed, {} failed", findings.passed(), failures.len());
    ExitCode::from(u8::from(!failures.is_empty()))
}

fn run(options: &Options) -> Findings {
    let begun = Instant::now();
    let between = Arc::new(Episode::new("no fault", false));
    let mut world = World::start(options, &between);
    let sites = world.sites();
    let court = Court::open(&world.users, world.primary_port.clone(), sites.clone());
    for site in sites {
        world.runtime.spawn(load::run(site, options.rate));
    }
    let steady = world.houses.iter();
    let steady = steady.map(|house| (house.site.engine.name(), samples::take(house.gates[1].pid)));
    let steady: Vec<_> = steady.collect();
    std::thread::sleep(WARM_UP);

    let mut records = Vec::new();
    for fault in plan(options, begun) {
        let started = Instant::now();
        let record = course::run(&mut world, &court, fault, &between);
        tell(&record, started.elapsed());
        records.push(record);
    }
    let (sessions, lost) = course::lost_of_all(&world, &court);
    let samples = steady.into_iter().map(|(engine, samples)| {
        let samples = samples.lock().expect("not poisoned").clone();
        (engine, samples)
    });
    let (between, _) = between.tallies();
    Findings {
        records,
        between,
        sessions,
        lost,
        lasted: begun.elapsed(),
        samples: samples.collect(),
    }
}

/// The faults to try, one after the other.
fn plan(options: &Options, begun: Instant) -> Box<dyn Iterator<Item = &'static Fault>> {
    let faults = FAULTS.iter();
    let only = options.only.clone();
    let mut faults: Vec<&Fault> = faults.filter(|fault| fault.name.contains(&only)).collect();
    let Plan::Long(duration) = options.plan else {
        return Box::new(faults.into_iter());
    };
    let mut chance = Chance::of(options.seed);
    let rounds = std::iter::repeat_with(move || {
        chance.shuffle(&mut faults);
        faults.clone()
    });
    Box::new(
        rounds
            .flatten()
            .take_while(move |_| begun.elapsed() < duration),
    )
}

fn tell(record: &course::Record, took: Duration) {
    let (during, after) = (&record.during, &record.after);
    let name = record.name;
    if let Some(why) = record.skipped {
        eprintln!("{name}: left out: {why}");
        return;
    }
    eprintln!(
        "{name}: {} sent, {} right, {} refused, 503 {} + {}, {} wrong, {} lost, recovered after {:.1} s, slowest {:.1} s ({:.1} s)",
        during.sent() + after.sent(),
        during.right + after.right,
        during.refused + after.refused,
        during.unavailable,
        after.unavailable,
        during.wrong.len() + after.wrong.len(),
        record.lost.len(),
        record.recovery.as_secs_f64(),
        during.slowest.max(after.slowest).as_secs_f64(),
        took.as_secs_f64(),
    );
    for (when, tally) in [("meanwhile", during), ("afterwards", after)] {
        for (reason, times) in &tally.reasons {
            eprintln!("  {when} {times} × {reason}");
        }
    }
    for failure in &record.failures {
        eprintln!("  FAILED: {failure}");
    }
}
