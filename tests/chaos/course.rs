//! The course of one fault: it begins, lasts, ends; the gates recover; nothing is wrong or lost. Then
//! the mix runs without a fault, and every request has to be answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::court::Court;
use crate::episode::{Episode, Tally};
use crate::faults::Fault;
use crate::load::NO_RETRY_AFTER;
use crate::world::World;

/// The gates have recovered when for this long no answer was missing. They try the host application's API again
/// every two seconds, and the few requests that need it get 503 until then.
const QUIET: Duration = Duration::from_millis(2500);
/// Bringing back what a fault has changed may disturb the gates for this long.
const SETTLING: Duration = Duration::from_secs(1);
/// The mix runs without a fault for this long, until the next one.
const CALM: Duration = Duration::from_secs(1);
/// No fault may need longer than this to be over.
const PATIENCE: Duration = Duration::from_secs(45);
/// Older sessions that are looked at again after each fault.
const OLDER_SESSIONS: usize = 100;

/// What one fault did.
pub struct Record {
    pub name: &'static str,
    pub during: Tally,
    pub after: Tally,
    pub lost: Vec<String>,
    pub recovery: Duration,
    /// What has to be so and is not.
    pub failures: Vec<String>,
    /// Why the fault was left out.
    pub skipped: Option<&'static str>,
}

/// Puts the gates through a fault. Requests afterwards count for the episode `between`.
pub fn run(world: &mut World, court: &Court, fault: &Fault, between: &Arc<Episode>) -> Record {
    let episode = Arc::new(Episode::new(fault.name, fault.refuses));
    let mut failures = Vec::new();
    enter(world, &episode);
    // The fault must not meet requests that count for the time without one.
    if !wait_for(|| between.unanswered() == 0) {
        failures.push("requests from before the fault are not answered".to_owned());
    }
    let skipped = (fault.inject)(world).err();
    if skipped.is_none() {
        std::thread::sleep(world.hold);
        (fault.end)(world);
    }
    episode.end();
    if !wait_for(|| episode.is_quiet(QUIET, 10)) {
        failures.push("the gates do not recover".to_owned());
    }
    let recovery = episode.recovery();
    if let (None, Some(tidy)) = (skipped, fault.tidy) {
        tidy(world);
        std::thread::sleep(SETTLING);
    }
    enter(world, between);
    std::thread::sleep(CALM);
    if !wait_for(|| episode.pending() == 0) {
        failures.push(format!("{} answers were not judged", episode.pending()));
    }
    let lost = lost(world, court);
    let (during, after) = episode.tallies();
    failures.extend(
        lost.iter()
            .chain(&during.wrong)
            .chain(&after.wrong)
            .cloned(),
    );
    let missing = during.unavailable + after.unavailable;
    if (fault.is_unnoticed || skipped.is_some()) && missing > 0 {
        failures.push(format!("{missing} requests were not answered"));
    }
    if fault.sheds {
        let reasons = during.reasons.iter().chain(&after.reasons);
        let unfit = reasons.filter(|(reason, _)| !is_shed(reason));
        failures.extend(unfit.map(|(reason, times)| format!("{times} × {reason}")));
    }
    Record {
        name: fault.name,
        during,
        after,
        lost,
        recovery,
        failures,
        skipped,
    }
}

/// Whether an answer that was missing is a 503 that says when to try again.
fn is_shed(reason: &str) -> bool {
    reason.starts_with("503 ") && !reason.ends_with(NO_RETRY_AFTER)
}

fn enter(world: &World, episode: &Arc<Episode>) {
    for house in &world.houses {
        house.site.enter(episode);
    }
}

fn wait_for(condition: impl Fn() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Looks at the sessions that were opened meanwhile, and at some older ones.
fn lost(world: &World, court: &Court) -> Vec<String> {
    let houses = world.houses.iter();
    let lost = houses.flat_map(|house| {
        let sessions = {
            let mut chance = house.site.chance.lock().expect("not poisoned");
            let mut ledger = house.site.ledger.lock().expect("not poisoned");
            ledger.sessions_to_check(OLDER_SESSIONS, &mut chance)
        };
        court.lost(&house.site, &sessions)
    });
    lost.collect()
}

/// Looks at every session that nobody has ended. Returns how many there are, and the lost ones.
pub fn lost_of_all(world: &World, court: &Court) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut lost = Vec::new();
    for house in &world.houses {
        let sessions = {
            let ledger = house.site.ledger.lock().expect("not poisoned");
            ledger.all_live().to_vec()
        };
        count += sessions.len();
        lost.extend(court.lost(&house.site, &sessions));
    }
    (count, lost)
}
