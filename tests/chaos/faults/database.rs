//! Faults of Postgres itself.

use tokio_postgres::{Client, NoTls};

use super::Injected;
use crate::postgres::{CONNECTIONS, DATABASE, PASSWORD};
use crate::support::cluster::GATE_ROLE;
use crate::world::{self, World};

pub fn stop(world: &mut World) -> Injected {
    world.primary_mut().stop();
    Ok(())
}

pub fn kill(world: &mut World) -> Injected {
    world.primary_mut().kill();
    Ok(())
}

pub fn start(world: &mut World) {
    world.primary_mut().start();
}

pub fn freeze(world: &mut World) -> Injected {
    world.primary().freeze();
    Ok(())
}

pub fn thaw(world: &mut World) {
    world.primary().thaw();
}

pub fn read_only(world: &mut World) -> Injected {
    set(world, "default_transaction_read_only = on")
}

pub fn writable(world: &mut World) {
    let _ = set(world, "default_transaction_read_only = off");
}

/// Changes a setting of the running server.
fn set(world: &World, setting: &str) -> Injected {
    let primary = world.primary();
    let changed = primary.try_sql(&format!("ALTER SYSTEM SET {setting}"));
    let loaded = changed && primary.try_sql("SELECT pg_reload_conf()");
    assert!(loaded, "{setting}");
    Ok(())
}

/// A connection of this role, which ends when it is dropped.
fn connect(world: &World, role: &str) -> Option<Client> {
    let port = world.primary().port;
    let url =
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?application_name=crowd");
    world.runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    })
}

/// Others take every connection, also those that the gates had.
pub fn crowd(world: &mut World) -> Injected {
    for _ in 0..4 {
        for _ in 0..CONNECTIONS {
            match connect(world, GATE_ROLE) {
                Some(client) => world.held.push(Box::new(client)),
                None => break,
            }
        }
        world.primary().sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE backend_type = 'client backend' AND application_name <> 'crowd' AND pid <> pg_backend_pid()",
        );
    }
    Ok(())
}

pub fn lock(world: &mut World) -> Injected {
    let client = connect(world, "postgres").ok_or("no connection")?;
    let statements = "BEGIN; LOCK TABLE htx_user, django_session IN ACCESS EXCLUSIVE MODE";
    let locked = world.runtime.block_on(client.batch_execute(statements));
    locked.expect("locked");
    world.held.push(Box::new(client));
    Ok(())
}

pub fn change_password(world: &mut World) -> Injected {
    let change = format!("ALTER ROLE {GATE_ROLE} PASSWORD 'another'");
    world.primary().sql(&change);
    world.disconnect_gates();
    Ok(())
}

pub fn restore_password(world: &mut World) {
    let change = format!("ALTER ROLE {GATE_ROLE} PASSWORD '{PASSWORD}'");
    world.primary().sql(&change);
}

pub fn revoke(world: &mut World) -> Injected {
    world.primary().sql(&format!(
        "REVOKE ALL ON htx_user, django_session, organizations_organizationmember FROM {GATE_ROLE}"
    ));
    Ok(())
}

pub fn grant(world: &mut World) {
    world::grant(world.primary());
}

pub fn fill_disk(world: &mut World) -> Injected {
    if !world.primary().has_own_disk {
        return Err("needs root, to mount a small file system");
    }
    world.primary().fill_disk();
    Ok(())
}

/// Postgres gives up if its log cannot be written; then it has to be started, as systemd does.
pub fn empty_disk(world: &mut World) {
    world.primary().empty_disk();
    std::thread::sleep(std::time::Duration::from_millis(200));
    if !world.primary().lives() {
        world.primary_mut().start();
    }
}

pub fn slow_fsync(world: &mut World) -> Injected {
    fsync_takes_longer(world, "300")
}

/// Longer than what the gate takes for a slow statement.
pub fn very_slow_fsync(world: &mut World) -> Injected {
    fsync_takes_longer(world, "700")
}

fn fsync_takes_longer(world: &World, milliseconds: &str) -> Injected {
    std::fs::write(world.primary().slow_fsync(), milliseconds).expect("written");
    Ok(())
}

pub fn fast_fsync(world: &mut World) {
    let _ = std::fs::remove_file(world.primary().slow_fsync());
}

/// What migrations of Label Studio have done to these tables from 1.7 to 1.23: columns come, go and
/// get another type, tables and indexes are made.
fn migrations(round: usize) -> [String; 10] {
    // Columns only grow: to make one shorter, Postgres has to write the whole table again.
    let length = 300 + round;
    [
        "ALTER TABLE htx_user ADD COLUMN later boolean DEFAULT false NOT NULL".to_owned(),
        "ALTER TABLE htx_user ALTER COLUMN later DROP DEFAULT".to_owned(),
        format!("ALTER TABLE htx_user ALTER COLUMN username TYPE varchar({length}), ALTER COLUMN first_name TYPE varchar({length})"),
        "ALTER TABLE htx_user DROP COLUMN custom_hotkeys".to_owned(),
        "ALTER TABLE htx_user ADD COLUMN custom_hotkeys jsonb".to_owned(),
        "ALTER TABLE organizations_organizationmember ADD COLUMN later integer".to_owned(),
        format!("ALTER TABLE htx_user ALTER COLUMN password TYPE varchar({length})"),
        "CREATE INDEX htx_user_later ON htx_user (later, last_login)".to_owned(),
        "CREATE TABLE later_policy (id integer PRIMARY KEY, organization_id integer NOT NULL REFERENCES organization (id))".to_owned(),
        "INSERT INTO django_migrations (app, name, applied) VALUES ('users', '0099_later', now())".to_owned(),
    ]
}

const MIGRATIONS_BACK: &str = "
    DELETE FROM django_migrations WHERE name = '0099_later';
    DROP TABLE later_policy;
    ALTER TABLE organizations_organizationmember DROP COLUMN later;
    ALTER TABLE htx_user DROP COLUMN later";

/// Each round needs a longer type than the one before.
pub fn migrate(world: &mut World) -> Injected {
    world.migrated += 1;
    for statement in migrations(world.migrated) {
        world.primary().sql(&statement);
        std::thread::sleep(world.hold / 20);
    }
    world::grant(world.primary());
    Ok(())
}

pub fn migrate_back(world: &mut World) {
    world.primary().sql(MIGRATIONS_BACK);
}
