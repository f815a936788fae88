//! Signals, limits and descendants of processes that this run has started.

use std::process::Command;

use crate::support::cluster::run;

/// Sends a signal to these processes. Those that have ended meanwhile are left out.
pub fn signal(signal: &str, pids: &[u32]) {
    for pid in pids {
        let _ = Command::new("kill")
            .args(["-s", signal, &pid.to_string()])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

/// The process and all its descendants.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let children = format!("/proc/{parent}/task/{parent}/children");
        let listed = std::fs::read_to_string(children).unwrap_or_default();
        found.extend(listed.split_whitespace().flat_map(str::parse::<u32>));
        next += 1;
    }
    found
}

/// Whether the process runs, or is stopped by a signal.
pub fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some(None | Some('Z' | 'X')))
}

/// The number of entries of a directory of the process: `fd`, `task`.
pub fn count(pid: u32, of: &str) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/{of}")).map_or(0, Iterator::count)
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> usize {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Lets a running process allocate no more memory than it has: neither address space, nor what it
/// has reserved of it and does not use yet.
pub fn limit_memory(pid: u32) {
    let limit = |name| (status(pid, name) * 1024).to_string();
    run(Command::new("prlimit").args([
        format!("--pid={pid}"),
        format!("--as={}:", limit("VmSize:")),
        format!("--data={}:", limit("VmData:")),
    ]));
}

/// Ends that limit, if the process still runs.
pub fn lift_memory_limit(pid: u32) {
    let limits = ["--as=unlimited:", "--data=unlimited:"];
    let pid_option = format!("--pid={pid}");
    let _ = Command::new("prlimit")
        .arg(pid_option)
        .args(limits)
        .output();
}

/// Changes the soft limit of open files of a running process.
pub fn limit_open_files(pid: u32, soft: usize) {
    run(Command::new("prlimit").args([&format!("--pid={pid}"), &format!("--nofile={soft}:")]));
}

/// The soft limit of open files.
pub fn open_files_limit(pid: u32) -> usize {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(1024)
}
