//! The real Label Studio, as pip installs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::support::cluster::{CLUSTER, run};
use crate::support::leash::Leash;
use crate::support::token::SECRET_KEY;
use crate::support::{free_port, listens, wait_until};

/// The administrator's password for Label Studio's own login form.
pub const ADMIN_PASSWORD: &str = "a-password-for-the-form";

/// The migrated and seeded database that each server gets a copy of, and the seed's output.
static TEMPLATE: LazyLock<BTreeMap<String, String>> = LazyLock::new(make_template);

pub fn venv() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.cache/label-studio-1.23.2");
    let venv = std::env::var_os("GATE_TEST_LABEL_STUDIO_VENV").map_or(default, PathBuf::from);
    assert!(
        venv.join("bin/label-studio").exists(),
        "Label Studio is not installed (tests/run installs it)"
    );
    venv
}

/// The directory of manage.py.
fn package(venv: &Path) -> PathBuf {
    let find = "import importlib.util as u; print(u.find_spec('label_studio').submodule_search_locations[0])";
    let found = run(Command::new(venv.join("bin/python")).args(["-c", find]));
    PathBuf::from(found.trim())
}

/// Label Studio's environment, over that database.
fn environment(command: &mut Command, database: &str, data: &Path) {
    command
        .env("DJANGO_DB", "default")
        .env("POSTGRE_HOST", "127.0.0.1")
        .env("POSTGRE_PORT", CLUSTER.port().to_string())
        .env("POSTGRE_NAME", database)
        .env("POSTGRE_USER", "postgres")
        .env("POSTGRE_PASSWORD", "")
        .env("SECRET_KEY", SECRET_KEY)
        .env("LABEL_STUDIO_BASE_DATA_DIR", data)
        .env("LATEST_VERSION_CHECK", "0")
        .env("COLLECT_ANALYTICS", "0")
        .env("SENTRY_DSN", "")
        .env("FRONTEND_SENTRY_DSN", "")
        .env("LOG_LEVEL", "WARNING")
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

fn make_template() -> BTreeMap<String, String> {
    CLUSTER.psql("postgres", &["-c", "CREATE DATABASE label_studio_template"]);
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo/seed.py");
    migrate(&venv(), "label_studio_template", &[seed])
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        .collect()
}

/// Runs Label Studio's migrations, then its Python with these arguments.
pub fn migrate(venv: &Path, database: &str, then: &[&str]) -> String {
    let data = tempfile::tempdir().unwrap();
    let python = |arguments: &[&str]| {
        let mut command = Command::new(venv.join("bin/python"));
        command.args(arguments).current_dir(package(venv));
        environment(&mut command, database, data.path());
        run(command.env("GATE_DEMO_ADMIN_PASSWORD", ADMIN_PASSWORD))
    };
    python(&["manage.py", "migrate", "--no-color", "--verbosity", "0"]);
    python(then)
}

/// The seed's output: tokens and addresses in the format of the demo's file for scripts.
pub fn seeded(name: &str) -> &'static str {
    TEMPLATE
        .get(name)
        .unwrap_or_else(|| panic!("{name} was not seeded"))
}

/// A copy of the template, with the gate's privileges granted.
pub fn database() -> String {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    seeded("GATE_DEMO_ADMIN_TOKEN");
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let name = CLUSTER.fresh_name();
    let create = format!("CREATE DATABASE {name} TEMPLATE label_studio_template");
    CLUSTER.psql("postgres", &["-c", &create]);
    CLUSTER.grant(&name);
    name
}

/// A running Label Studio.
pub struct LabelStudio {
    pub port: u16,
    pub log: PathBuf,
    _server: Leash,
}

impl LabelStudio {
    /// As shipped: sessions in signed cookies.
    pub fn stock(database: &str) -> Self {
        Self::stock_of(&venv(), database)
    }

    /// The same with another version.
    pub fn stock_of(venv: &Path, database: &str) -> Self {
        Self::start(venv, database, |venv, port| {
            let mut command = Command::new(venv.join("bin/label-studio"));
            command.args([
                "start",
                "--no-browser",
                "--internal-host",
                "127.0.0.1",
                "--port",
                port,
            ]);
            command
        })
    }

    /// With a settings module from `directory`.
    pub fn with_settings(database: &str, directory: &Path, module: &str) -> Self {
        Self::start(&venv(), database, |venv, port| {
            let mut command = Command::new(venv.join("bin/python"));
            command
                .args([
                    "manage.py",
                    "runserver",
                    "--noreload",
                    &format!("127.0.0.1:{port}"),
                ])
                .current_dir(package(venv))
                .env("PYTHONPATH", directory)
                .env("DJANGO_SETTINGS_MODULE", module);
            command
        })
    }

    /// As shipped, or with the settings module for sessions in the database; with these variables.
    pub fn with_environment(database: &str, sessions_in_rows: bool, more: &[(&str, &str)]) -> Self {
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/label-studio");
        Self::start(&venv(), database, |venv, port| {
            let mut command = Command::new(venv.join("bin/python"));
            let address = format!("127.0.0.1:{port}");
            command
                .args(["manage.py", "runserver", "--noreload", &address])
                .current_dir(package(venv))
                .env("DJANGO_SETTINGS_MODULE", "core.settings.label_studio")
                .envs(more.iter().copied());
            if sessions_in_rows {
                command
                    .env("PYTHONPATH", &overlay)
                    .env("DJANGO_SETTINGS_MODULE", "gate_db_sessions");
            }
            command
        })
    }

    /// A server of this installation on a port that is already known to others, as shipped or with
    /// sessions in the database.
    pub fn on(port: u16, venv: &Path, database: &str, sessions_in_rows: bool) -> Self {
        let settings = match sessions_in_rows {
            true => "gate_db_sessions",
            false => "core.settings.label_studio",
        };
        let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/label-studio");
        Self::start_on(port, venv, database, |venv, port| {
            let mut command = Command::new(venv.join("bin/python"));
            let address = format!("127.0.0.1:{port}");
            command
                .args(["manage.py", "runserver", "--noreload", &address])
                .current_dir(package(venv))
                .env("PYTHONPATH", &overlay)
                .env("DJANGO_SETTINGS_MODULE", settings);
            command
        })
    }

    fn start(venv: &Path, database: &str, command: impl Fn(&Path, &str) -> Command) -> Self {
        Self::start_on(free_port(), venv, database, command)
    }

    fn start_on(
        port: u16,
        venv: &Path,
        database: &str,
        command: impl Fn(&Path, &str) -> Command,
    ) -> Self {
        // The leash removes the directory when the server has ended.
        let data = tempfile::tempdir().unwrap().keep();
        let mut command = command(venv, &port.to_string());
        environment(&mut command, database, &data);
        let log = data.join("label-studio.log");
        let server = Leash::start(&command, "TERM", &log, Some(&data));
        let studio = Self {
            port,
            log,
            _server: server,
        };
        let said = || std::fs::read_to_string(&studio.log).unwrap();
        wait_until(|| listens(port), said);
        studio
    }
}
