//! Programs in other languages: the examples, an OpenID provider, a browser's driver. `tests/run`
//! installs what they need.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::cluster::run;
use crate::support::leash::Leash;
use crate::support::{free_port, listens, wait_until};

/// `tests/.cache/NAME`, or the directory that the variable names.
pub fn installed(variable: &str, name: &str) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/.cache")
        .join(name);
    let found = std::env::var_os(variable).map_or(default, PathBuf::from);
    assert!(
        found.exists(),
        "{} is not there (tests/run installs it)",
        found.display()
    );
    found
}

/// A directory with copies of `sources` where Node.js finds the npm packages.
pub fn with_node_modules(sources: &[&str]) -> PathBuf {
    let home = tempfile::tempdir().unwrap().keep();
    let modules = installed("GATE_TEST_NODE_MODULES", "node/node_modules");
    std::os::unix::fs::symlink(modules, home.join("node_modules")).unwrap();
    for source in sources {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        run(Command::new("cp").arg("-r").arg(from).arg(&home));
    }
    home
}

/// A running program that listens on a port.
pub struct Program {
    pub port: u16,
    _server: Leash,
}

impl Program {
    /// `command` is built from the port to listen on; `home` is removed when the program has ended.
    pub fn start(home: &Path, command: impl FnOnce(u16) -> Command) -> Self {
        Self::on(free_port(), home, command)
    }

    pub fn on(port: u16, home: &Path, command: impl FnOnce(u16) -> Command) -> Self {
        let log = std::env::temp_dir().join(format!("gate-test-program-{port}.log"));
        let server = Leash::start(&command(port), "TERM", &log, Some(home));
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        wait_until(|| listens(port), || format!("it did not start: {}", said()));
        // Later output is not needed; an open file stays readable.
        let _ = std::fs::remove_file(&log);
        Self {
            port,
            _server: server,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// An example from `deploy/examples` with these variables.
pub fn example(name: &str, variables: &[(&str, &str)]) -> Program {
    let home = with_node_modules(&["deploy/examples"]);
    let directory = home.join("examples").join(name);
    let python = directory.join("app.py").exists();
    Program::start(&home, |port| {
        let mut command = if python {
            let python = installed("GATE_TEST_PYTHON_VENV", "python").join("bin/python");
            let mut command = Command::new(python);
            command.arg("app.py");
            command
        } else {
            let mut command = Command::new("node");
            command.arg("server.js");
            command
        };
        command
            .current_dir(directory)
            .env("PORT", port.to_string())
            .env("SESSION_SECRET", "a-session-secret-of-the-tests")
            .env("DATABASE", home.join("app.sqlite3"))
            .envs(variables.iter().copied());
        command
    })
}

/// An OpenID provider on this port, with the keys in this file.
pub fn provider(port: u16, certificate: &Path, key: &Path, keys: &Path) -> Program {
    provider_for(port, certificate, key, keys, &[])
}

/// The same, for gates at these origins.
pub fn provider_for(
    port: u16,
    certificate: &Path,
    key: &Path,
    keys: &Path,
    origins: &[&str],
) -> Program {
    let home = with_node_modules(&["tests/e2e/node/provider.mjs"]);
    Program::on(port, &home, |port| {
        let mut command = Command::new("node");
        command
            .arg("provider.mjs")
            .arg(port.to_string())
            .args([certificate, key, keys])
            .args(origins)
            .current_dir(&home);
        command
    })
}

/// An OpenID provider of another make, Authlib's, over HTTP, with a user who has these claims.
pub fn second_provider(claims: &Value) -> Program {
    let home = tempfile::tempdir().unwrap().keep();
    let python = installed("GATE_TEST_PYTHON_VENV", "python");
    Program::start(&home, |port| {
        let mut command = Command::new(python.join("bin/oidc-provider-mock"));
        command
            .arg("--port")
            .arg(port.to_string())
            .arg("--user-claims")
            .arg(claims.to_string());
        command
    })
}

/// Where screenshots are kept: the tests' output.
pub fn screenshot(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(format!("{name}.png"))
}

/// Runs a script of `tests/e2e/node` in front of Chromium, and returns the JSON that it prints.
pub fn in_chromium(script: &str, arguments: &[&str]) -> Value {
    let chromium = [
        "/usr/bin/chromium",
        "/usr/bin/google-chrome",
        "/usr/bin/chromium-browser",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .expect("Chromium is installed (tests/run installs it)");
    let home = with_node_modules(&["tests/e2e/node"]);
    let mut command = Command::new("node");
    command
        .arg(home.join("node").join(script))
        .arg(chromium)
        .args(arguments);
    let printed = run(&mut command);
    std::fs::remove_dir_all(&home).unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}
