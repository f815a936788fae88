//! All the servers: Postgres and a replica, a key server, a host application, and for each session
//! engine two gates behind nginx.

use std::any::Any;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::episode::Episode;
use crate::gate::{Engine, Gate, Variables, binary, knows};
use crate::host_application::{COOKIE, HostApplication};
use crate::key_server::{self, KeyServer};
use crate::label_studio;
use crate::names::Names;
use crate::nginx::{Nginx, binaries};
use crate::options::Options;
use crate::postgres::{DATABASE, PASSWORD, Postgres};
use crate::site::Site;
use crate::support::cluster::{GATE_ROLE, run};
use crate::support::token::SECRET_KEY;
use crate::users::Users;
use crate::wire::Wire;

/// The names of the two servers.
const SERVERS: [&str; 2] = ["db-1.chaos.test", "db-2.chaos.test"];

/// One session engine: two gates behind nginx.
pub struct House {
    pub site: Arc<Site>,
    /// Faults stop, kill and limit the first gate. The second one lives from the beginning to the
    /// end, so that its memory can be compared.
    pub gates: [Gate; 2],
    pub nginx: Nginx,
}

pub struct World {
    pub home: PathBuf,
    pub runtime: Runtime,
    pub servers: [Postgres; 2],
    /// Which of the servers is the primary.
    pub primary: usize,
    /// The primary's port, for the thread that asks Django.
    pub primary_port: Arc<AtomicU16>,
    /// The gates reach the servers over these.
    pub wires: [Wire; 2],
    pub key_server: KeyServer,
    pub application: HostApplication,
    pub houses: Vec<House>,
    pub names: Option<Names>,
    pub users: Arc<Users>,
    /// Whether the gates know both servers.
    pub has_failover: bool,
    pub label_studio: u16,
    /// How long a fault lasts.
    pub hold: Duration,
    /// How often Label Studio has migrated.
    pub migrated: usize,
    /// How many come at once where many come at once.
    pub crowd: usize,
    /// What a fault needs until it is over: open connections, further gates, a proxy.
    pub held: Vec<Box<dyn Any>>,
}

impl World {
    pub fn start(options: &Options, episode: &Arc<Episode>) -> Self {
        let home = options.home.clone();
        let runtime = Runtime::new().expect("a runtime");
        let primary = Postgres::primary(home.join("db-1"));
        let users = Arc::new(create_database(&primary));
        let replica = Postgres::replica(home.join("db-2"), &primary);
        let wires = [&primary, &replica].map(|server| Wire::to(&runtime, server.port));
        let key_server = KeyServer::start(&runtime, home.join("keys"));
        let application = HostApplication::start(&runtime);
        let names = Names::new(&home, &[SERVERS[0], SERVERS[1], key_server::NAME]);
        let mut world = Self {
            home,
            runtime,
            primary_port: Arc::new(AtomicU16::new(primary.port)),
            servers: [primary, replica],
            primary: 0,
            wires,
            key_server,
            application,
            houses: Vec::new(),
            names,
            users,
            has_failover: knows(
                "DATABASE_URL",
                "postgres://a@b:1,c:2/d?target_session_attrs=read-write",
            ),
            label_studio: label_studio::start(),
            hold: options.hold(),
            migrated: 0,
            crowd: options.crowd(),
            held: Vec::new(),
        };
        world.houses = Engine::BOTH
            .map(|engine| world.house(engine, options.seed, episode))
            .into();
        world
    }

    fn house(&self, engine: Engine, seed: u64, episode: &Arc<Episode>) -> House {
        let before = self.names.as_ref().map(Names::before).unwrap_or_default();
        let gates = [(), ()].map(|()| {
            let mut gate = Gate::new(&self.home, self.settings(engine), before.clone());
            gate.start();
            gate
        });
        let nginx = self.nginx(&[&gates[0], &gates[1]]);
        let site = Site::new(
            engine,
            self.users.clone(),
            self.key_server.signer.clone(),
            nginx.url.clone(),
            seed ^ gates[0].port as u64,
            episode.clone(),
        );
        House {
            site: Arc::new(site),
            gates,
            nginx,
        }
    }

    /// What the gates call a host of this run.
    fn name(&self, name: &'static str) -> &'static str {
        match self.names {
            Some(_) => name,
            None => "localhost",
        }
    }

    /// The URL of these servers for the gates.
    fn database_url(&self, servers: &[usize]) -> String {
        let address = |n: &usize| format!("{}:{}", self.name(SERVERS[*n]), self.wires[*n].port);
        let addresses: Vec<String> = servers.iter().map(address).collect();
        let addresses = addresses.join(",");
        format!("postgres://{GATE_ROLE}:{PASSWORD}@{addresses}/{DATABASE}")
    }

    /// The URL for gates that find the primary themselves, if they can.
    pub fn url_of_both(&self) -> String {
        match self.has_failover {
            true => self.database_url(&[0, 1]) + "?target_session_attrs=read-write",
            false => self.url_of_primary(),
        }
    }

    /// The URL for gates that know one host only.
    pub fn url_of_primary(&self) -> String {
        self.database_url(&[self.primary])
    }

    /// The settings of every gate with this engine.
    fn settings(&self, engine: Engine) -> Variables {
        let engine = format!("django.contrib.sessions.backends.{}", engine.name());
        let mut settings = vec![
            ("SECRET_KEY", SECRET_KEY.to_owned()),
            ("SESSION_ENGINE", engine),
            ("DATABASE_URL", self.url_of_both()),
            ("GATE_POLICY_ANONYMOUS", "require".to_owned()),
            ("GATE_LOG_FORMAT", "json".to_owned()),
        ];
        settings.extend(self.key_server.settings(self.name(key_server::NAME)));
        settings.extend(self.application.settings());
        let owned = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }

    /// nginx with the project's files in front of these gates.
    pub fn nginx(&self, gates: &[&Gate]) -> Nginx {
        let ports: Vec<u16> = gates.iter().map(|gate| gate.port).collect();
        Nginx::start_for(&binaries()[0], &ports, self.label_studio, Some(COOKIE))
    }

    pub fn primary(&self) -> &Postgres {
        &self.servers[self.primary]
    }

    pub fn primary_mut(&mut self) -> &mut Postgres {
        &mut self.servers[self.primary]
    }

    pub fn replica_mut(&mut self) -> &mut Postgres {
        &mut self.servers[1 - self.primary]
    }

    /// The replica is the primary from now on.
    pub fn swap_servers(&mut self) {
        self.primary = 1 - self.primary;
        let port = self.primary().port;
        self.primary_port.store(port, Ordering::SeqCst);
    }

    /// The gates that faults may stop.
    pub fn first_gates(&mut self) -> impl Iterator<Item = &mut Gate> {
        self.houses.iter_mut().map(|house| &mut house.gates[0])
    }

    pub fn sites(&self) -> Vec<Arc<Site>> {
        let sites = self.houses.iter().map(|house| house.site.clone());
        sites.collect()
    }

    /// Ends the connections of the gates, so that they need new ones.
    pub fn disconnect_gates(&self) {
        self.primary().sql(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{GATE_ROLE}'"
        ));
    }
}

/// The database of a Label Studio with users, and the gate's role and tables.
fn create_database(primary: &Postgres) -> Users {
    assert!(primary.try_sql(&format!("CREATE DATABASE {DATABASE}")));
    primary.file("tests/schema/1.23.2.sql", &[]);
    primary.sql(
        "CREATE TABLE django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
         INSERT INTO django_migrations (app, name, applied)
         VALUES ('tasks', '0040_auto_20230628_1101', now()),
                ('jwt_auth', '0002_alter_jwtsettings_api_tokens_enabled_and_more', now())",
    );
    let users = Users::create(primary);
    grant(primary);
    primary.sql(&format!(
        "ALTER ROLE {GATE_ROLE} LOGIN PASSWORD '{PASSWORD}'"
    ));
    let url = format!("postgres://postgres@127.0.0.1:{}/{DATABASE}", primary.port);
    run(Command::new(binary())
        .args(["migrate", "--role", GATE_ROLE])
        .env("DATABASE_URL", url)
        .env("SECRET_KEY", SECRET_KEY));
    users
}

/// Grants the gate's role what it needs.
pub fn grant(primary: &Postgres) {
    primary.file("sql/role.sql", &[&format!("role={GATE_ROLE}")]);
}
