//! Faults of what the gates ask besides Postgres: the key server and the host application.

use std::time::Duration;

use super::Injected;
use crate::wire::Line;
use crate::world::World;

pub fn no_keys(world: &mut World) -> Injected {
    world.key_server.wire.set(Line::Cut);
    Ok(())
}

pub fn start_without_keys(world: &mut World) -> Injected {
    world.key_server.wire.set(Line::Cut);
    for gate in world.first_gates() {
        gate.stop();
        gate.start();
    }
    Ok(())
}

pub fn keys_again(world: &mut World) {
    world.key_server.wire.set(Line::Whole);
}

/// Tokens with the new key cannot be verified until the certificate is right again.
pub fn untrusted(world: &mut World) -> Injected {
    world.key_server.change_certificate(false);
    // The old connection stays open: nginx's old workers serve it.
    world.key_server.wire.set(Line::Cut);
    world.key_server.wire.set(Line::Whole);
    let port = world.key_server.wire.port;
    world
        .key_server
        .rotate(&format!("key-{port}-{:?}", std::time::Instant::now()));
    Ok(())
}

pub fn trusted(world: &mut World) {
    world.key_server.change_certificate(true);
}

pub fn slow_application(world: &mut World) -> Injected {
    world.application.think(Duration::from_secs(6));
    Ok(())
}

pub fn fast_application(world: &mut World) {
    world.application.think(Duration::ZERO);
}

pub fn no_application(world: &mut World) -> Injected {
    world.application.wire.set(Line::Cut);
    Ok(())
}

pub fn application_again(world: &mut World) {
    world.application.wire.set(Line::Whole);
}
