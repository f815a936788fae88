//! Every fault: its name, how it begins and how it ends.

mod crowds;
mod database;
mod gates;
mod network;
mod outside;
mod pooler;
mod replication;

use std::any::Any;

use crate::world::World;

/// `Err` says why this machine or this installation cannot have the fault.
pub type Injected = Result<(), &'static str>;

pub struct Fault {
    pub name: &'static str,
    pub inject: fn(&mut World) -> Injected,
    /// Ends the fault. The time to recover counts from here.
    pub end: fn(&mut World),
    /// Brings back what the fault has changed besides, once the gates have recovered.
    pub tidy: Option<fn(&mut World)>,
    /// Nobody may notice it: every request is answered as without the fault.
    pub is_unnoticed: bool,
    /// The gates may refuse good credentials meanwhile.
    pub refuses: bool,
    /// The gates may shed load: what they don't answer is a 503 that says when to try again.
    pub sheds: bool,
}

const fn fault(
    name: &'static str,
    inject: fn(&mut World) -> Injected,
    end: fn(&mut World),
) -> Fault {
    Fault {
        name,
        inject,
        end,
        tidy: None,
        is_unnoticed: false,
        refuses: false,
        sheds: false,
    }
}

impl Fault {
    const fn unnoticed(mut self) -> Self {
        self.is_unnoticed = true;
        self
    }

    const fn refusing(mut self) -> Self {
        self.refuses = true;
        self
    }

    const fn shedding(mut self) -> Self {
        self.sheds = true;
        self
    }

    const fn then(mut self, tidy: fn(&mut World)) -> Self {
        self.tidy = Some(tidy);
        self
    }
}

/// The faults, in the order of the document.
#[rustfmt::skip]
pub const FAULTS: &[Fault] = &[
    fault("Postgres is stopped and started again", database::stop, database::start),
    fault("Postgres is killed (SIGKILL to all its processes)", database::kill, database::start),
    fault("Postgres is frozen (SIGSTOP)", database::freeze, database::thaw),
    fault("Postgres is read-only", database::read_only, database::writable),
    fault("Postgres has no free connection", database::crowd, release),
    fault("Label Studio's tables are locked", database::lock, release),
    fault("The password of the gates' role is changed", database::change_password, database::restore_password),
    fault("The grants of the gates' role are revoked", database::revoke, database::grant),
    fault("The disk under Postgres is full", database::fill_disk, database::empty_disk),
    fault("fsync takes 300 ms longer", database::slow_fsync, database::fast_fsync),
    fault("fsync takes 700 ms longer", database::very_slow_fsync, database::fast_fsync),
    fault("Label Studio migrates its tables while the gates run", database::migrate, database::migrate_back),
    fault("The primary freezes and the standby is promoted", replication::freeze, replication::promote).then(replication::rebuild),
    fault("PgBouncer in transaction mode", pooler::pool, release).unnoticed(),
    fault("PgBouncer is killed and started again", pooler::pool_and_kill, pooler::start_again).then(release),
    fault("Connections to Postgres are cut", network::cut, network::mend),
    fault("Nothing comes back from Postgres (dropped packets)", network::silence, network::mend),
    fault("Connections to Postgres are reset in the middle of an answer", network::tear, network::mend),
    fault("DNS fails, and every connection has to be opened again", network::forget_names, network::know_names),
    fault("A gate is terminated and started again", gates::terminate, gates::revive),
    fault("A gate is killed and started again", gates::kill, gates::revive),
    fault("A gate is frozen (SIGSTOP)", gates::freeze, gates::thaw),
    fault("The only gate restarts, and its socket is held open", gates::restart_with_socket, release).unnoticed(),
    fault("nginx is reloaded", gates::reload_nginx, gates::reload_nginx_again).unnoticed(),
    fault("A gate's clock steps an hour forward, and back by two", gates::step_clock, gates::right_clock).refusing().then(gates::own_clock),
    fault("A gate's log is on a full disk (/dev/full)", gates::log_to_full_disk, gates::own_log).unnoticed(),
    fault("Nobody reads a gate's log", gates::log_to_nobody, gates::own_log).unnoticed(),
    fault("A gate reaches its limit of open files", gates::few_files, gates::many_files),
    fault("A gate has little memory (cgroup)", gates::little_memory, gates::much_memory),
    fault("A gate's memory cannot grow (ulimit)", gates::no_more_memory, gates::any_memory),
    fault("One gate is of an earlier version", gates::earlier_version, gates::same_version).unnoticed(),
    fault("The key server is down while a gate starts", outside::start_without_keys, outside::keys_again),
    fault("The key server is down", outside::no_keys, outside::keys_again).unnoticed(),
    fault("The key server has a certificate that nobody trusts, and a new key", outside::untrusted, outside::trusted),
    fault("The host application answers after 6 s", outside::slow_application, outside::fast_application),
    fault("The host application is down", outside::no_application, outside::application_again),
    fault("Valid tokens of unknown users, 100 a second, among 100,000 users", crowds::strangers, release).unnoticed(),
    fault("1,000 logins at once, through nginx and at one gate", crowds::logins, nothing).unnoticed(),
    fault("2,000 logins at once, through nginx and at one gate", crowds::twice_as_many_logins, nothing).shedding(),
    fault("1,000 new connections at once", crowds::connections, nothing).unnoticed(),
    fault("10,000 open connections", crowds::open_connections, release).unnoticed(),
];

/// Ends what ends with what the fault has kept.
fn release(world: &mut World) {
    world.held.clear();
}

fn nothing(_: &mut World) {}

/// Something to do when a fault is over, whatever happens.
struct Finally(Option<Box<dyn FnOnce()>>);

impl Finally {
    fn boxed(action: impl FnOnce() + 'static) -> Box<dyn Any> {
        Box::new(Self(Some(Box::new(action))))
    }
}

impl Drop for Finally {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}
