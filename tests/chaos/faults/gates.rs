//! Faults of the gates and of nginx. They happen to the first gate of each site.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Finally, Injected};
use crate::gate::Gate;
use crate::nginx::Nginx;
use crate::process::{
    count, lift_memory_limit, limit_memory, limit_open_files, lives, open_files_limit, resident,
    signal,
};
use crate::support::cluster::run;
use crate::world::World;

pub fn terminate(world: &mut World) -> Injected {
    world.first_gates().for_each(Gate::stop);
    Ok(())
}

pub fn kill(world: &mut World) -> Injected {
    world.first_gates().for_each(Gate::kill);
    Ok(())
}

pub fn revive(world: &mut World) {
    world.first_gates().for_each(Gate::revive);
}

pub fn freeze(world: &mut World) -> Injected {
    world.first_gates().for_each(|gate| gate.freeze());
    Ok(())
}

pub fn thaw(world: &mut World) {
    world.first_gates().for_each(|gate| gate.thaw());
}

fn restart(gate: &mut Gate) {
    gate.stop();
    gate.start();
}

/// The command of a gate as the arguments of another program that starts it.
fn started_by(program: &str, arguments: &[&str], gate: &Gate) -> Command {
    let plain = gate.command();
    let mut command = Command::new(program);
    command.args(arguments);
    command.arg(plain.get_program()).args(plain.get_args());
    let variables = plain.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    command
}

pub fn reload_nginx(world: &mut World) -> Injected {
    for house in &world.houses {
        reload(&house.nginx);
    }
    Ok(())
}

pub fn reload_nginx_again(world: &mut World) {
    let _ = reload_nginx(world);
}

fn reload(nginx: &Nginx) {
    let pid = nginx.read("nginx.pid").trim().parse();
    signal("HUP", &[pid.expect("nginx runs")]);
}

/// A third gate that is alone behind nginx and restarts three times, while another process holds
/// its socket.
pub fn restart_with_socket(world: &mut World) -> Injected {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/socket_unit.py");
    let mut holders = Vec::new();
    for n in 0..world.houses.len() {
        let mut gate = world.houses[n].gates[0].twin(&[]);
        let command = started_by("python3", &[unit, &gate.port.to_string()], &gate);
        let log = gate.log.clone();
        gate.start_by(&command, &log);
        holders.push(gate.pid);
        take_over(world, n, vec![gate]);
    }
    for _ in 0..3 {
        std::thread::sleep(world.hold / 3);
        signal("HUP", &holders);
    }
    Ok(())
}

/// Has nginx ask these gates instead of the site's own until the fault is over.
pub fn take_over(world: &mut World, house: usize, gates: Vec<Gate>) {
    let nginx = world.nginx(&gates.iter().collect::<Vec<_>>());
    let site = world.houses[house].site.clone();
    let before = site.redirect(nginx.url.clone());
    world.held.push(Finally::boxed(move || {
        site.redirect(before);
        // Requests that are on their way.
        std::thread::sleep(Duration::from_millis(700));
        drop(nginx);
        drop(gates);
    }));
}

fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let library = libraries.map(|directory| directory.path().join("faketime/libfaketimeMT.so.1"));
    library.into_iter().find(|path| path.exists())
}

const CLOCK: &str = "clock";

/// Restarts the gates with a wall clock that can be changed (libfaketime), then changes it.
pub fn step_clock(world: &mut World) -> Injected {
    let library = faketime().ok_or("needs libfaketime (Debian's package faketime)")?;
    let clock = world.home.join(CLOCK);
    std::fs::write(&clock, "+0\n").expect("written");
    for gate in world.first_gates() {
        gate.set(&[
            ("LD_PRELOAD", &library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        restart(gate);
    }
    for step in ["+3600\n", "-3600\n"] {
        std::fs::write(&clock, step).expect("written");
        std::thread::sleep(world.hold.max(Duration::from_millis(1500)));
    }
    Ok(())
}

pub fn right_clock(world: &mut World) {
    std::fs::write(world.home.join(CLOCK), "+0\n").expect("written");
    // libfaketime reads the file once a second.
    std::thread::sleep(Duration::from_millis(1200));
}

pub fn own_clock(world: &mut World) {
    for gate in world.first_gates() {
        for name in ["LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE"] {
            gate.unset(name);
        }
        restart(gate);
    }
}

pub fn log_to_full_disk(world: &mut World) -> Injected {
    for gate in world.first_gates() {
        gate.stop();
        gate.start_with("/dev/full".as_ref());
    }
    Ok(())
}

/// The log goes into a pipe that nobody reads, at the most verbose level so that it is soon full.
pub fn log_to_nobody(world: &mut World) -> Injected {
    let pipe = world.home.join("unread");
    if !pipe.exists() {
        run(Command::new("mkfifo").arg(&pipe));
    }
    let both = std::fs::File::options().read(true).write(true).open(&pipe);
    world.held.push(Box::new(both.expect("a pipe")));
    for gate in world.first_gates() {
        gate.set(&[("GATE_LOG_LEVEL", "trace")]);
        gate.stop();
        gate.start_with(&pipe);
    }
    Ok(())
}

pub fn own_log(world: &mut World) {
    for gate in world.first_gates() {
        gate.unset("GATE_LOG_LEVEL");
        restart(gate);
    }
    world.held.clear();
}

/// Leaves the gates a few descriptors, and takes those.
pub fn few_files(world: &mut World) -> Injected {
    let mut taken: Vec<std::net::TcpStream> = Vec::new();
    for gate in world.first_gates() {
        limit_open_files(gate.pid, count(gate.pid, "fd") + 4);
        let connections = (0..40).map(|_| std::net::TcpStream::connect(("127.0.0.1", gate.port)));
        taken.extend(connections.flatten());
    }
    world.held.push(Box::new(taken));
    Ok(())
}

pub fn many_files(world: &mut World) {
    let own = open_files_limit(std::process::id());
    for gate in world.first_gates() {
        limit_open_files(gate.pid, own);
    }
    world.held.clear();
}

/// The memory controller's directory and the name of its limit: cgroups of version 1 or 2.
fn memory_controller() -> Option<(PathBuf, &'static str)> {
    let places = [
        ("/sys/fs/cgroup/memory/gate-chaos", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup/gate-chaos", "memory.max"),
    ];
    places.into_iter().find_map(|(directory, limit)| {
        let directory = PathBuf::from(directory);
        let _ = std::fs::create_dir(&directory);
        let usable = directory.join(limit).exists();
        usable.then_some((directory, limit))
    })
}

/// Restarts the gates in a cgroup that lets each have a quarter more than it had, then has many
/// users log in.
pub fn little_memory(world: &mut World) -> Injected {
    let (group, limit) = memory_controller().ok_or("needs root and the memory controller")?;
    let used: usize = world.first_gates().map(|gate| resident(gate.pid)).sum();
    std::fs::write(group.join(limit), (used * 1024 / 4 * 5).to_string())
        .map_err(|_| "needs root and the memory controller")?;
    let enter = format!(
        "echo $$ > '{}' && exec \"$@\"",
        group.join("cgroup.procs").display()
    );
    for gate in world.first_gates() {
        gate.stop();
        let command = started_by("sh", &["-c", &enter, "sh"], gate);
        let log = gate.log.clone();
        gate.start_by(&command, &log);
    }
    super::crowds::logins(world)
}

/// A gate that was killed for want of memory starts again, as systemd does it.
pub fn much_memory(world: &mut World) {
    world.first_gates().for_each(restart);
    if let Some((group, _)) = memory_controller() {
        let _ = std::fs::remove_dir(group);
    }
}

/// Lets the gates allocate no more memory while many users log in. A gate that needs more ends
/// (SIGABRT), and is started again when the fault is over, as a supervisor does it.
pub fn no_more_memory(world: &mut World) -> Injected {
    let pids: Vec<u32> = world.first_gates().map(|gate| gate.pid).collect();
    pids.iter().for_each(|pid| limit_memory(*pid));
    for _ in 0..5 {
        super::crowds::logins(world)?;
        if pids.iter().all(|pid| !lives(*pid)) {
            return Ok(());
        }
    }
    let living = pids.iter().filter(|pid| lives(**pid)).count();
    eprintln!("  {living} of {} gates had enough memory", pids.len());
    Ok(())
}

/// Ends the limit for gates that lived on, and starts the others again.
pub fn any_memory(world: &mut World) {
    for gate in world.first_gates() {
        lift_memory_limit(gate.pid);
        gate.revive();
    }
}

pub fn earlier_version(world: &mut World) -> Injected {
    let binary = std::env::var_os("GATE_TEST_EARLIER_BINARY");
    let binary =
        binary.ok_or("needs a binary of an earlier version in GATE_TEST_EARLIER_BINARY")?;
    // It may know one host only.
    let url = world.url_of_primary();
    for gate in world.first_gates() {
        gate.use_binary(binary.clone().into());
        gate.set(&[("DATABASE_URL", &url)]);
        restart(gate);
    }
    Ok(())
}

pub fn same_version(world: &mut World) {
    let url = world.url_of_both();
    for gate in world.first_gates() {
        gate.use_binary(crate::gate::binary());
        gate.set(&[("DATABASE_URL", &url)]);
        restart(gate);
    }
}
