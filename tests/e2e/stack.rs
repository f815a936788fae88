//! Complete stacks: one for each session engine, with each nginx.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::label_studio::{LabelStudio, database};
use crate::nginx::{Nginx, binaries};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::leash::Leash;
use crate::support::token::SECRET_KEY;
use crate::support::{free_port, listens, wait_until};

/// Django's session engine, as Label Studio runs with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Database,
    SignedCookies,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "django.contrib.sessions.backends.db",
            Self::SignedCookies => "django.contrib.sessions.backends.signed_cookies",
        }
    }
}

/// Every kind of proxy, as `http.proxies` names them.
const EVERY_PROXY: &str = "nginx, ingress-nginx, caddy, traefik, envoy";

/// A running gate process.
pub struct GateProcess {
    pub port: u16,
    log: PathBuf,
    server: Leash,
}

/// The gate's binary, set up with a port of its own, Label Studio's key and the database at
/// `postgres`.
pub fn gate_command(port: u16, engine: Engine, postgres: u16, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_label-studio-gate"));
    command
        .env("GATE_HTTP_LISTEN", format!("127.0.0.1:{port}"))
        // The stacks' gates are used behind proxies of every kind.
        .env("GATE_HTTP_PROXIES", EVERY_PROXY)
        .env("SECRET_KEY", SECRET_KEY)
        .env("SESSION_ENGINE", engine.name())
        .env(
            "DATABASE_URL",
            format!("postgres://{GATE_ROLE}@127.0.0.1:{postgres}/{database}"),
        );
    command
}

impl GateProcess {
    /// Starts a gate with the database at `postgres`, which may be the port of a cable.
    pub fn start(engine: Engine, postgres: u16, database: &str) -> Self {
        Self::start_with(engine, postgres, database, &[])
    }

    /// With further settings.
    pub fn start_with(
        engine: Engine,
        postgres: u16,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_on(free_port(), engine, postgres, database, settings)
    }

    /// On a port that is already known to others.
    pub fn start_on(
        port: u16,
        engine: Engine,
        postgres: u16,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let command = gate_command(port, engine, postgres, database);
        Self::start_command(port, command, settings)
    }

    /// Another version of the gate, whose binary this is.
    pub fn start_version(
        binary: &Path,
        port: u16,
        engine: Engine,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let ours = gate_command(port, engine, CLUSTER.port(), database);
        let mut command = Command::new(binary);
        let variables = ours.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        Self::start_command(port, command, settings)
    }

    fn start_command(port: u16, mut command: Command, settings: &[(&str, &str)]) -> Self {
        // The leash removes the directory when the gate has ended.
        let home = tempfile::tempdir().unwrap().keep();
        command
            .env("GATE_LOG_FORMAT", "json")
            // The most verbose level, so that the test of the log sees everything.
            .env("GATE_LOG_LEVEL", "info,label_studio_gate=trace")
            .envs(settings.iter().copied());
        let log = home.join("gate.log");
        let server = Leash::start(&command, "TERM", &log, Some(&home));
        let gate = Self { port, log, server };
        let said = || format!("the gate did not start: {}", gate.log());
        wait_until(|| listens(port), said);
        gate
    }

    /// Tells it to reload its settings.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    pub fn signal(&self, signal: &str) {
        self.server.signal(signal);
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// A Label Studio with two gates in front of it, and each nginx in front of those.
pub struct Stack {
    pub engine: Engine,
    pub database: String,
    pub label_studio: LabelStudio,
    pub gates: Vec<GateProcess>,
    pub proxies: Vec<Nginx>,
}

/// Label Studio as shipped.
static SIGNED_COOKIES: LazyLock<Stack> = LazyLock::new(|| Stack::start(Engine::SignedCookies));
/// Label Studio with the settings module from `deploy/label-studio`.
static DATABASE: LazyLock<Stack> = LazyLock::new(|| Stack::start(Engine::Database));

/// Both stacks.
pub fn stacks() -> [&'static Stack; 2] {
    [&SIGNED_COOKIES, &DATABASE]
}

/// The stack with sessions in the database.
pub fn database_stack() -> &'static Stack {
    &DATABASE
}

/// Each nginx in front of each stack, with a name for messages.
pub fn nginx_proxies() -> impl Iterator<Item = (&'static Stack, &'static Nginx, String)> {
    stacks().into_iter().flat_map(|stack| {
        let named = stack.proxies.iter().enumerate();
        named.map(move |(n, proxy)| (stack, proxy, format!("{:?} behind nginx {n}", stack.engine)))
    })
}

impl Stack {
    /// One of its own, for a test that has to be alone with it.
    pub fn start(engine: Engine) -> Self {
        let database = database();
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/label-studio");
        let label_studio = match engine {
            Engine::SignedCookies => LabelStudio::stock(&database),
            Engine::Database => LabelStudio::with_settings(&database, &overlay, "gate_db_sessions"),
        };
        let start = || GateProcess::start(engine, CLUSTER.port(), &database);
        let gates = vec![start(), start()];
        let ports: Vec<u16> = gates.iter().map(|gate| gate.port).collect();
        let proxies = binaries();
        let proxies = proxies
            .iter()
            .map(|binary| Nginx::start(binary, &ports, label_studio.port));
        Self {
            engine,
            proxies: proxies.collect(),
            database,
            label_studio,
            gates,
        }
    }

    /// Runs psql in its database.
    pub fn sql(&self, statement: &str) -> String {
        CLUSTER
            .psql(&self.database, &["-c", statement])
            .trim()
            .to_owned()
    }

    /// A user like one created by a sign-up, but without a password.
    pub fn user(&self, email: &str) -> i32 {
        let statement = format!(
            "WITH person AS (
                 INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                                       last_activity, activity_at, phone, avatar, active_organization_id, custom_hotkeys)
                 SELECT '!' || md5(random()::text), false, '{email}', '{email}', '', '', false, true, now(), now(), now(), '', '', min(id), '{{}}'
                   FROM organization
                 RETURNING id, active_organization_id
             ), member AS (
                 INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id)
                 SELECT now(), now(), active_organization_id, id FROM person
             ), key AS (
                 INSERT INTO authtoken_token (key, created, user_id) SELECT substr(md5('{email}') || md5(random()::text), 1, 40), now(), id FROM person
             )
             SELECT id FROM person"
        );
        self.sql(&statement).parse().unwrap()
    }
}
