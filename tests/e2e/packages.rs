//! The files shipped with the binary: the units, the image, compose, the workflows, the package.
//! Each is checked with the tool that reads it, as far as that tool runs here.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::label_studio::database;
use crate::programs::installed;
use crate::stack::{Engine, gate_command};
use crate::support::cluster::{CLUSTER, roles};
use crate::support::leash::Leash;
use crate::support::{client, free_port, wait_until};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command that must succeed, and returns its output.
fn said(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn python(program: &str) -> Command {
    Command::new(
        installed("GATE_TEST_PYTHON_VENV", "python")
            .join("bin")
            .join(program),
    )
}

#[test]
fn systemd_accepts_the_units_and_rates_them_as_secure() {
    // Unchanged except for the binary's path, because systemd checks that the binary exists.
    let home = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in std::fs::read_dir(here("deploy/systemd")).unwrap() {
        let unit = entry.unwrap().path();
        let text = std::fs::read_to_string(&unit).unwrap();
        let text = text.replace(
            "/usr/bin/label-studio-gate",
            env!("CARGO_BIN_EXE_label-studio-gate"),
        );
        let copy = home.path().join(unit.file_name().unwrap());
        std::fs::write(&copy, text).unwrap();
        units.push(copy);
    }
    assert_eq!(units.len(), 4);
    let verified = said(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(&units),
    );
    assert_eq!(verified.trim(), "", "systemd has nothing to say");
    for unit in units
        .iter()
        .filter(|unit| unit.extension().unwrap() == "service")
    {
        // In tenths; "exposed" starts at 4.
        said(
            Command::new("systemd-analyze")
                .args(["security", "--offline=yes", "--threshold=15"])
                .arg(unit),
        );
    }
}

/// `systemd.socket(5)`: the port is open before the service starts, and stays open while it
/// restarts.
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_uses_the_socket_that_systemd_passes() {
    // As systemd does (sd_listen_fds(3)): descriptor 3 and two variables.
    const HAND_OVER: &str = "import fcntl, os, socket, sys
for n, port in enumerate(sys.argv[1:3]):
    s = socket.socket(); s.bind(('127.0.0.1', int(port))); s.listen()
    # Out of the way of the descriptors that it becomes.
    s = fcntl.fcntl(s.detach(), fcntl.F_DUPFD, 10)
    os.dup2(s, 3 + n); os.set_inheritable(3 + n, True)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])";
    let (handed, configured) = ([free_port(), free_port()], [free_port(), free_port()]);
    let postgres = CLUSTER.port();
    let mut gate = gate_command(configured[0], Engine::SignedCookies, postgres, "postgres");
    let start = |gate: &Command, log: &Path| {
        let mut command = python("python");
        command
            .args(["-c", HAND_OVER])
            .args(handed.map(|port| port.to_string()))
            .arg(gate.get_program())
            .envs(
                gate.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        Leash::start(&command, "TERM", log, None)
    };
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    // The second socket has no use without the setting.
    let superfluous = start(&gate, &log);
    let names_it = || said().contains("http.internal_listen, but that is not set");
    wait_until(names_it, said);
    drop(superfluous);

    let internal = format!("127.0.0.1:{}", configured[1]);
    gate.env("GATE_HTTP_INTERNAL_LISTEN", internal);
    let _server = start(&gate, &log);
    let status = async |port: u16, path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let answer = client().get(url).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    };
    let until = Instant::now() + Duration::from_secs(15);
    while status(handed[1], "/health/live").await != Some(200) {
        assert!(Instant::now() < until, "{}", said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(handed[0], "/sso/signed-out").await, Some(200));
    assert_eq!(status(handed[0], "/health/live").await, Some(404));
    for port in configured {
        assert_eq!(status(port, "/health/live").await, None, "and no other");
    }
}

#[test]
fn the_image_and_compose_are_well_formed() {
    said(python("hadolint").arg(here("deploy/Dockerfile")));
    let schema = |name: &str| {
        let mut command = python("check-jsonschema");
        command.args(["--builtin-schema", name]);
        command
    };
    said(schema("vendor.compose-spec").arg(here("deploy/compose.yaml")));
    for workflow in ["ci.yml", "release.yml"] {
        said(schema("vendor.github-workflows").arg(here(".github/workflows").join(workflow)));
    }
    // What is compiled in, and what deploy/package/profiled reads, is part of the build context.
    let ignored = std::fs::read_to_string(here("deploy/Dockerfile.dockerignore")).unwrap();
    let kept: BTreeSet<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        "askama.toml",
        "src",
        "sql",
        "config",
        "crates",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deploy/demo/lib.sh",
        "deploy/package/profiled",
        "tests/bench",
        "tests/schema",
    ] {
        assert!(kept.contains(needed), "{needed}");
        assert!(here(needed).exists(), "{needed}");
    }
    // Cargo reads no package of a workspace in which a member is missing.
    let manifest = std::fs::read_to_string(here("Cargo.toml")).unwrap();
    let mut lines = manifest.lines();
    let members = lines.find_map(|line| line.strip_prefix("members = "));
    let members: Vec<&str> = members.unwrap().split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"crates/import"), "{members:?}");
    for member in members {
        let directory = member.split('/').next().unwrap();
        assert!(kept.contains(directory), "{member}");
    }
}

/// The placeholders that compose replaces in the nginx files and in the role exist.
#[test]
fn composes_placeholders_exist_in_the_files() {
    let compose = std::fs::read_to_string(here("deploy/compose.yaml")).unwrap();
    let http = std::fs::read_to_string(here("nginx/gate-http.conf")).unwrap();
    let server = std::fs::read_to_string(here("nginx/label-studio.conf")).unwrap();
    for (edit, text) in [
        ("s/127.0.0.1:8090/gate:8090 resolve/", &http),
        (
            "s/server 127.0.0.1:8081/zone label_studio 64k; server label-studio:8080 resolve/",
            &server,
        ),
    ] {
        assert!(compose.contains(edit), "{edit}");
        let old = edit.split('/').nth(1).unwrap();
        let lines = text.lines().map(|line| line.matches(old).count());
        assert_eq!(lines.max(), Some(1), "{old}: sed edits one in a line");
    }
    // Only upstreams with a zone can resolve names again.
    let zones = http.matches("    zone label_studio_gate").count();
    assert_eq!(zones, http.matches("127.0.0.1:8090").count());
    for file in [
        "gate.conf",
        "gate-check.conf",
        "gate-proxy.conf",
        "gate-browser.conf",
    ] {
        assert!(compose.contains(&format!("/gate/{file}")) && here("nginx").join(file).exists());
    }
}

/// The script of the service `role`, as the shell receives it.
#[test]
fn composes_role_is_created_and_can_log_in() {
    let compose = std::fs::read_to_string(here("deploy/compose.yaml")).unwrap();
    let (_, role) = compose.split_once("\n  role:\n").unwrap();
    let (_, script) = role.split_once("    command:\n      - |\n").unwrap();
    let script: String = script
        .lines()
        .map_while(|line| line.strip_prefix("        "))
        .map(|line| format!("{}\n", line.replace("$$", "$").replace("/sql/", "sql/")))
        .collect();
    assert!(script.contains("ALTER ROLE"), "{script}");
    let database = database();
    let _turn = roles();
    let password = "it's \"quoted\" $and; --odd";
    for _ in 0..2 {
        said(
            Command::new("sh")
                .args(["-ec", &script])
                .current_dir(here("."))
                .env("PATH", CLUSTER.path())
                .env("PGHOST", "127.0.0.1")
                .env("PGPORT", CLUSTER.port().to_string())
                .env("PGDATABASE", &database)
                .env("PGUSER", "postgres")
                .env("GATE_PASSWORD", password),
        );
    }
    // The tests' cluster asks for no password, so compare the stored verifier (SCRAM-SHA-256, RFC
    // 5802).
    let stored = CLUSTER.psql(
        &database,
        &["-c", "SELECT rolcanlogin, left(rolpassword, 14) FROM pg_authid WHERE rolname = 'label_studio_gate'"],
    );
    assert_eq!(stored.trim(), "t|SCRAM-SHA-256$");
}

/// The assets of the package: the source, and where it is installed.
fn assets() -> Vec<(String, String)> {
    let manifest = std::fs::read_to_string(here("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let unit = package["systemd-units"][0]["unit-name"].as_str();
    assert_eq!(unit, Some("label-studio-gate"));
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let assets = package["assets"].as_array().unwrap().iter();
    assets
        .map(|asset| (text(&asset[0]), text(&asset[1])))
        .collect()
}

/// The files that a source names: one, those of a directory (`*.conf`), or all below it (`**/*`).
/// They are relative to that directory.
fn files_of(source: &str) -> Vec<PathBuf> {
    if let Some(directory) = source.strip_suffix("/**/*") {
        return files_below(&here(directory));
    }
    let (directory, name) = source.rsplit_once('/').unwrap_or(("", source));
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let files = std::fs::read_dir(here(directory)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let names = files.filter_map(|file| match file.is_file() {
        true => Some(file.file_name()?.to_str()?.to_owned()),
        false => None,
    });
    names
        .filter(|file| match name.contains('*') {
            true => file.starts_with(start) && file.ends_with(end),
            false => file == name,
        })
        .map(PathBuf::from)
        .collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        match path.is_dir() {
            true => found.extend(files_below(&path).iter().map(|file| name.join(file))),
            false => found.push(name),
        }
    }
    found
}

/// The package has documents, and the files that they link to, at their places in the repository.
/// So does the tarball: `deploy/package/build` reads the same list.
#[test]
fn what_the_packages_documents_link_to_is_in_the_package() {
    let mut shipped = BTreeSet::new();
    for (source, to) in assets() {
        let Some(place) = to.strip_prefix("usr/share/doc/label-studio-gate/") else {
            continue;
        };
        for file in files_of(&source) {
            let path = Path::new(place).join(file);
            assert!(here("").join(&path).is_file(), "{}", path.display());
            shipped.extend(path.ancestors().map(Path::to_owned));
        }
    }
    // For those who have the source.
    let not_shipped = Path::new("CONTRIBUTING.md");
    let is_document = |path: &&PathBuf| path.extension().is_some_and(|it| it == "md");
    let mut followed = 0;
    for document in shipped.iter().filter(is_document) {
        let text = std::fs::read_to_string(here("").join(document)).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.starts_with("http") {
                continue;
            }
            let mut to = PathBuf::new();
            for part in document.parent().unwrap().join(target).components() {
                match part {
                    Component::ParentDir => assert!(to.pop(), "{link}"),
                    part => to.push(part),
                }
            }
            let is_there = shipped.contains(&to) || to == not_shipped;
            assert!(is_there, "{}: {link}", document.display());
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed}");
}

#[test]
fn the_package_contains_the_files_it_names() {
    let mut made = 0;
    for (source, _) in assets() {
        if source.starts_with("target/") {
            made += 1;
        } else {
            assert!(!files_of(&source).is_empty(), "{source}");
        }
    }
    // The service, the importer, the manual page and the completions for three shells.
    assert_eq!(made, 6);
    // The installed configuration is valid.
    let output = said(
        gate_command(free_port(), Engine::SignedCookies, 5432, "labelstudio")
            .arg("check-config")
            .arg("--config")
            .arg(here("deploy/package/gate.toml")),
    );
    assert!(output.contains("session.engine"), "{output}");
}

#[test]
fn the_schema_for_editors_accepts_every_settings_file() {
    let schema = here("config/schema.json");
    said(
        python("check-jsonschema")
            .arg("--check-metaschema")
            .arg(&schema),
    );
    said(
        python("check-jsonschema")
            .arg("--schemafile")
            .arg(&schema)
            .args([
                here("config/default.toml"),
                here("deploy/package/gate.toml"),
                here("deploy/kubernetes/base/gate.toml"),
            ]),
    );
}

#[test]
fn every_file_names_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        (
            "deploy/helm/label-studio-gate/Chart.yaml",
            "version: VERSION\n",
        ),
        (
            "deploy/helm/label-studio-gate/Chart.yaml",
            "appVersion: VERSION\n",
        ),
        (
            "deploy/kubernetes/base/kustomization.yaml",
            "newTag: VERSION\n",
        ),
        ("deploy/Dockerfile", "ARG VERSION=VERSION\n"),
        ("docs/openapi.yaml", "  version: VERSION\n"),
        (
            "crates/import/Cargo.toml",
            "path = \"../..\", version = \"VERSION\" }\n",
        ),
    ] {
        let text = std::fs::read_to_string(here(file)).unwrap();
        let line = line
            .replace("=VERSION", &format!("={version}"))
            .replace(": VERSION", &format!(": {version}"))
            .replace("\"VERSION\"", &format!("{version:?}"));
        assert!(text.contains(&line), "{file}: {line}");
    }
}

/// Its user is Label Studio's administrator.
#[test]
fn the_realm_for_keycloak_has_no_password_of_its_own() {
    let realm = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keycloak/realm.json");
    let realm: serde_json::Value = serde_json::from_slice(&std::fs::read(realm).unwrap()).unwrap();
    let users = realm["users"].as_array().unwrap();
    assert!(!users.is_empty());
    for user in users {
        for credential in user["credentials"].as_array().unwrap() {
            // Keycloak puts the environment variable in its place.
            assert_eq!(credential["value"], "${KEYCLOAK_USER_PASSWORD}", "{user}");
        }
    }
}
