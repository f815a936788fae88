//! The primary fails and its standby takes over.

use super::Injected;
use crate::support::wait_until;
use crate::world::World;

/// Freezes the primary. The standby is a synchronous one by then, because a promotion loses what an
/// asynchronous one has not received.
pub fn freeze(world: &mut World) -> Injected {
    if !world.has_failover {
        return Err("needs a gate that knows several hosts");
    }
    let primary = world.primary();
    assert!(primary.try_sql("ALTER SYSTEM SET synchronous_standby_names = '*'"));
    assert!(primary.try_sql("SELECT pg_reload_conf()"));
    let states = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    wait_until(
        || primary.sql(states) == "1",
        || "the standby is not synchronous".to_owned(),
    );
    primary.freeze();
    Ok(())
}

pub fn promote(world: &mut World) {
    world.replica_mut().promote();
    world.swap_servers();
}

/// Makes the former primary the standby.
pub fn rebuild(world: &mut World) {
    let (one, two) = world.servers.split_at_mut(1);
    let (primary, standby) = match world.primary {
        0 => (&mut one[0], &mut two[0]),
        _ => (&mut two[0], &mut one[0]),
    };
    standby.follow(primary);
}
