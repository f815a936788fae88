//! docs/reliability.md.

use std::fmt::Write as _;
use std::time::Duration;

use crate::course::Record;
use crate::episode::Tally;
use crate::options::{Options, Plan};
use crate::samples::{Sample, medians};

/// A gate's memory can be compared with what it was before in a run of this length.
const LONG: Duration = Duration::from_secs(15 * 60);

/// What a run has found.
pub struct Findings {
    pub records: Vec<Record>,
    /// Answers while no fault lasted.
    pub between: Tally,
    pub sessions: usize,
    pub lost: Vec<String>,
    pub lasted: Duration,
    /// The names of the gates that lived from beginning to end, and the looks at them.
    pub samples: Vec<(&'static str, Vec<Sample>)>,
}

/// All injections of one fault.
struct Row<'a> {
    name: &'a str,
    times: usize,
    during: Tally,
    after: Tally,
    lost: usize,
    slowest_recovery: Duration,
    skipped: Option<&'a str>,
}

impl Findings {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for fault in crate::faults::FAULTS {
            let of_fault = || self.records.iter().filter(|it| it.name == fault.name);
            let Some(first) = of_fault().next() else {
                continue;
            };
            let mut row = Row {
                name: fault.name,
                times: of_fault().count(),
                during: Tally::default(),
                after: Tally::default(),
                lost: of_fault().map(|record| record.lost.len()).sum(),
                slowest_recovery: of_fault().map(|it| it.recovery).max().unwrap_or_default(),
                skipped: first.skipped,
            };
            for record in of_fault() {
                row.during.add(&record.during);
                row.after.add(&record.after);
            }
            rows.push(row);
        }
        rows
    }

    /// The whole document.
    pub fn document(&self, options: &Options) -> String {
        let mut text = String::from(INTRODUCTION);
        let minutes = self.lasted.as_secs_f64() / 60.0;
        let mut all = self.between.clone();
        for record in &self.records {
            all.add(&record.during);
            all.add(&record.after);
        }
        let lost = self.lost.len() + self.records.iter().map(|it| it.lost.len()).sum::<usize>();
        let order = match options.plan {
            Plan::Long(_) => "in random order",
            Plan::Short | Plan::Once => "one after the other",
        };
        let injected = self.records.iter().filter(|it| it.skipped.is_none());
        writeln!(
            text,
            "The figures are those of one run of {minutes:.0} minutes with {} faults {order} (seed {}, {} requests a\n\
             second to each engine). It sent {} requests: {} right, {} refused rightly, {} unavailable, **{} wrong**. Of\n\
             {} sessions that were open at its end, **{lost} were lost**.\n",
            injected.count(),
            options.seed,
            options.rate,
            all.sent(),
            all.right,
            all.refused,
            all.unavailable,
            all.wrong.len(),
            self.sessions,
        )
        .expect("text");
        text.push_str("## Faults\n\n");
        text.push_str("| fault | times | sent | right | refused rightly | 503 during | 503 after | wrong | lost sessions | recovered after |\n");
        text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
        for row in self.rows() {
            self::row(&mut text, &row);
        }
        let none = &self.between;
        writeln!(
            text,
            "| none, before and between these | | {} | {} | {} | {} | | {} | | |",
            none.sent(),
            none.right,
            none.refused,
            none.unavailable,
            none.wrong.len()
        )
        .expect("text");
        self.gates(&mut text);
        text
    }

    fn gates(&self, text: &mut String) {
        text.push_str("\n## Memory, files and threads\n\n");
        text.push_str("The second gate of each engine lives through the whole run. Medians of each sixth of the run:\n\n");
        text.push_str("| engine | until minute | resident memory | open files | threads |\n|---|--:|--:|--:|--:|\n");
        for (engine, samples) in &self.samples {
            for sample in medians(samples, 6) {
                writeln!(
                    text,
                    "| `{engine}` | {:.1} | {:.1} MiB | {} | {} |",
                    sample.at.as_secs_f64() / 60.0,
                    kib_to_mib(sample.resident),
                    sample.files,
                    sample.tasks
                )
                .expect("text");
            }
        }
    }

    /// How many faults passed off with nothing wrong and nothing lost.
    pub fn passed(&self) -> usize {
        let injected = self.records.iter().filter(|it| it.skipped.is_none());
        injected.filter(|it| it.failures.is_empty()).count()
    }

    /// Everything that has to be so and is not.
    pub fn failures(&self) -> Vec<String> {
        let of_faults = self.records.iter().flat_map(|record| {
            let name = record.name;
            record
                .failures
                .iter()
                .map(move |failure| format!("{name}: {failure}"))
        });
        let mut failures: Vec<String> = of_faults.collect();
        failures.extend(self.lost.iter().cloned());
        failures.extend(self.between.wrong.iter().cloned());
        let unavailable = self.between.reasons.iter();
        failures.extend(unavailable.map(|(why, times)| format!("no fault: {times} × {why}")));
        failures.extend(
            self.samples
                .iter()
                .filter_map(|(engine, samples)| grown(engine, samples)),
        );
        failures
    }
}

fn row(text: &mut String, row: &Row<'_>) {
    let line = match row.skipped {
        Some(why) => format!("| {} | left out: {why} | | | | | | | | |", row.name),
        None => format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} s |",
            row.name,
            row.times,
            row.during.sent() + row.after.sent(),
            row.during.right + row.after.right,
            row.during.refused + row.after.refused,
            row.during.unavailable,
            row.after.unavailable,
            row.during.wrong.len() + row.after.wrong.len(),
            row.lost,
            row.slowest_recovery.as_secs_f64(),
        ),
    };
    writeln!(text, "{line}").expect("text");
}

fn kib_to_mib(kib: usize) -> f64 {
    f64::from(u32::try_from(kib).expect("less than 4 TiB")) / 1024.0
}

/// Whether a gate needed clearly more in the last sixth of a long run than in the third: caches and
/// pools are full by then.
fn grown(engine: &str, samples: &[Sample]) -> Option<String> {
    if samples.last()?.at < LONG {
        return None;
    }
    let parts = medians(samples, 6);
    let (Some(before), Some(last)) = (parts.get(2), parts.get(5)) else {
        return None;
    };
    let has_grown = last.resident > before.resident + before.resident / 5 + 4096
        || last.files > before.files + 40
        || last.tasks > before.tasks + 8;
    has_grown.then(|| format!("the gate for {engine} grows: {before:?}, later {last:?}"))
}

const INTRODUCTION: &str = "\
# Reliability

Faults under load, with every answer checked. `tests/chaos/run --long` makes this document; `tests/chaos/run` tries
every fault once, and `tests/run` every fault briefly.

A real Postgres with 100,000 users and a streaming replica, a key server, a host application and, for each session
engine, two gates behind nginx with the project's files (`policy.anonymous = \"require\"`). A steady mix of requests:
no token, a bad token, a token of an unknown user, logins by methods 1, 2 and 3, live sessions, ended sessions, signing
out, token issue. Both engines are under load at the same time, so each fault meets both.

- **Right**: the request reached Label Studio with a session, and Django, asked with the cookie or its row, finds the
  right user in it.
- **Refused rightly**: no token, a bad token, an unknown user, an ended session. While a clock is wrong, also good
  tokens that are expired or not yet valid by that clock.
- **503**: the gate could not decide, nginx told the browser so, or there was no answer. The run fails if there is
  one without a fault: before the first, or between the recovery from one and the beginning of the next.
- **Wrong**: anything else. Also an ended session that is let in, or a good credential that is refused.
- **Lost**: a session cookie that a gate handed out, that nobody ended, and in which Django finds its user no more.
- **Recovered after**: from the end of the fault to the last answer that was missing; the longest time of all runs of
  the fault. The fault ends when what failed answers again: when Postgres has started, when the standby is promoted.

";
