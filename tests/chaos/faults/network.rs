//! Faults between the gates and Postgres.

use super::Injected;
use crate::wire::Line;
use crate::world::World;

fn set(world: &World, line: Line) {
    for wire in &world.wires {
        wire.set(line);
    }
}

pub fn cut(world: &mut World) -> Injected {
    set(world, Line::Cut);
    Ok(())
}

pub fn silence(world: &mut World) -> Injected {
    set(world, Line::Silent);
    Ok(())
}

pub fn tear(world: &mut World) -> Injected {
    set(world, Line::Torn);
    Ok(())
}

pub fn mend(world: &mut World) {
    set(world, Line::Whole);
}

pub fn forget_names(world: &mut World) -> Injected {
    let names = world.names.as_ref();
    let names = names.ok_or("needs root, to give the gates a name server of their own")?;
    if let Some(name_server) = names.forget() {
        world.held.push(Box::new(name_server));
    }
    world.disconnect_gates();
    Ok(())
}

pub fn know_names(world: &mut World) {
    world.held.clear();
    if let Some(names) = &world.names {
        names.know();
    }
}
