//! Memory, file descriptors and threads of the gates that live from the beginning to the end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::process::{count, resident};

/// One look at a gate.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    /// KiB.
    pub resident: usize,
    pub files: usize,
    pub tasks: usize,
}

/// The looks at one gate so far.
pub type Samples = Arc<Mutex<Vec<Sample>>>;

/// Looks at a process every two seconds for as long as the program runs.
pub fn take(pid: u32) -> Samples {
    let samples = Samples::default();
    let taken = samples.clone();
    let begun = Instant::now();
    std::thread::spawn(move || {
        loop {
            let sample = Sample {
                at: begun.elapsed(),
                resident: resident(pid),
                files: count(pid, "fd"),
                tasks: count(pid, "task"),
            };
            taken.lock().expect("not poisoned").push(sample);
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    samples
}

/// The medians of equal parts of the time.
pub fn medians(samples: &[Sample], parts: usize) -> Vec<Sample> {
    let length = samples.len().div_ceil(parts).max(1);
    let median = |part: &[Sample]| {
        let middle = |of: fn(&Sample) -> usize| {
            let mut values: Vec<usize> = part.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Sample {
            at: part[part.len() - 1].at,
            resident: middle(|sample| sample.resident),
            files: middle(|sample| sample.files),
            tasks: middle(|sample| sample.tasks),
        }
    };
    samples.chunks(length).map(median).collect()
}
