//! PgBouncer between the gates and Postgres.

use std::path::PathBuf;
use std::process::Command;

use super::Injected;
use super::gates::take_over;
use crate::gate::knows;
use crate::postgres::{DATABASE, PASSWORD};
use crate::support::cluster::{GATE_ROLE, postgres_command, root, run};
use crate::support::leash::Leash;
use crate::support::{free_port, listens, wait_until};
use crate::world::World;

const PREPARED: (&str, &str) = ("GATE_DATABASE_PREPARED_STATEMENTS", "false");
const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// A running PgBouncer.
struct Pooler {
    port: u16,
    home: PathBuf,
    leash: Option<Leash>,
}

impl Pooler {
    fn start(world: &World) -> Self {
        let home = world.home.join("pgbouncer");
        std::fs::create_dir_all(&home).expect("a directory");
        let port = free_port();
        let configuration = format!(
            "[databases]
             {DATABASE} = host=127.0.0.1 port={server}
             [pgbouncer]
             listen_addr = 127.0.0.1
             listen_port = {port}
             unix_socket_dir =
             auth_type = plain
             auth_file = {home}/users.txt
             pool_mode = transaction
             default_pool_size = 8
             max_client_conn = 500",
            server = world.primary().port,
            home = home.display()
        );
        let unindented: Vec<&str> = configuration.lines().map(str::trim).collect();
        std::fs::write(home.join("pgbouncer.ini"), unindented.join("\n")).expect("written");
        let users = format!("\"{GATE_ROLE}\" \"{PASSWORD}\"\n");
        std::fs::write(home.join("users.txt"), users).expect("written");
        if root() {
            run(Command::new("chown").args(["-R", "postgres"]).arg(&home));
        }
        let mut pooler = Self {
            port,
            home,
            leash: None,
        };
        pooler.run();
        pooler
    }

    fn run(&mut self) {
        let mut command = postgres_command(PGBOUNCER.as_ref());
        command.arg(self.home.join("pgbouncer.ini"));
        let log = self.home.join("pgbouncer.log");
        self.leash = Some(Leash::start(&command, "INT", &log, None));
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until(|| listens(self.port), said);
    }
}

/// Has two new gates for each site, which reach Postgres through PgBouncer.
pub fn pool(world: &mut World) -> Injected {
    if !std::path::Path::new(PGBOUNCER).exists() {
        return Err("needs PgBouncer (Debian's package pgbouncer)");
    }
    if !knows(PREPARED.0, PREPARED.1) {
        return Err("needs the setting database.prepared_statements");
    }
    let pooler = Pooler::start(world);
    let url = format!(
        "postgres://{GATE_ROLE}:{PASSWORD}@127.0.0.1:{}/{DATABASE}",
        pooler.port
    );
    for n in 0..world.houses.len() {
        let gates = [(), ()].map(|()| {
            let mut gate = world.houses[n].gates[0].twin(&[("DATABASE_URL", &url), PREPARED]);
            gate.start();
            gate
        });
        take_over(world, n, gates.into());
    }
    world.held.push(Box::new(pooler));
    Ok(())
}

pub fn pool_and_kill(world: &mut World) -> Injected {
    pool(world)?;
    std::thread::sleep(world.hold);
    let pooler = world
        .held
        .last_mut()
        .and_then(|held| held.downcast_mut::<Pooler>());
    let leash = pooler.and_then(|pooler| pooler.leash.take());
    let leash = leash.expect("PgBouncer was started last");
    crate::process::signal("KILL", &[leash.pid()]);
    Ok(())
}

pub fn start_again(world: &mut World) {
    let pooler = world
        .held
        .last_mut()
        .and_then(|held| held.downcast_mut::<Pooler>());
    if let Some(pooler) = pooler {
        pooler.run();
    }
}
