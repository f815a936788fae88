//! nginx with the shipped files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::leash::Leash;
use crate::support::{free_port, listens, wait_until};

/// Debian's nginx and, from `tests/run`, 1.28.
pub fn binaries() -> Vec<PathBuf> {
    let listed = std::env::var("GATE_TEST_NGINX").unwrap_or_else(|_| "/usr/sbin/nginx".to_owned());
    let found: Vec<PathBuf> = listed.split(':').map(PathBuf::from).collect();
    for binary in &found {
        assert!(
            binary.exists(),
            "{} is not there (tests/run installs it)",
            binary.display()
        );
    }
    found
}

/// The top of every nginx configuration in the tests.
pub const MAIN: &str = "worker_processes 2; pid nginx.pid; error_log error.log warn; daemon off; events { worker_connections 8192; }";

/// The user of the workers: as root, they must be able to read root's files.
pub fn user() -> &'static str {
    match std::fs::read_dir("/root") {
        Ok(_) => "user root;",
        Err(_) => "",
    }
}

/// nginx with this configuration in this directory.
pub fn command(binary: &Path, home: &Path, configuration: &str) -> Command {
    std::fs::write(home.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new(binary);
    command
        .arg("-p")
        .arg(home)
        .args(["-c", "nginx.conf", "-e", "error.log"]);
    command
}

/// The edit that makes nginx pass requests without a credential on without asking the gate.
pub const SHORT_CUT: (&str, &str) = (
    "    location / {
        include label-studio-gate/gate-check.conf;
",
    "    location @label_studio {
        include label-studio-gate/gate-proxy.conf;
        proxy_pass http://label_studio;
        proxy_request_buffering off;
    }
    location / {
        include label-studio-gate/gate-short-cut.conf;
        include label-studio-gate/gate-check.conf;
",
);

/// The edits that make `label-studio.conf` serve this port and this Label Studio, and others.
fn edited<'e>(port: u16, label_studio: u16, edits: &[(&'e str, &str)]) -> Vec<(&'e str, String)> {
    let mut replaced = vec![
        (
            "server 127.0.0.1:8081;",
            format!("server 127.0.0.1:{label_studio};"),
        ),
        (
            "listen 80 default_server;",
            format!("listen 127.0.0.1:{port};"),
        ),
    ];
    replaced.extend(edits.iter().map(|(old, new)| (*old, (*new).to_owned())));
    replaced
}

/// The lines for these gates, as `gate-http.conf` says.
fn servers(gates: &[u16], limits: &str) -> String {
    let of = |limits: &str| {
        let lines = gates.iter();
        let lines = lines.map(|gate| format!("server 127.0.0.1:{gate} {limits};"));
        lines.collect::<Vec<_>>().join(" ")
    };
    match gates {
        [_] => of(limits),
        _ => format!(
            "{} {}",
            of(limits),
            of("backup max_fails=3 fail_timeout=1s")
        ),
    }
}

/// A running nginx.
pub struct Nginx {
    pub url: String,
    prefix: PathBuf,
    _server: Leash,
}

impl Nginx {
    /// Starts nginx with the shipped files, and the ports of these gates and this Label Studio.
    pub fn start(binary: &Path, gates: &[u16], label_studio: u16) -> Self {
        Self::start_for(binary, gates, label_studio, None)
    }

    /// With method 3, for a host application with a session cookie of this name.
    pub fn start_for(
        binary: &Path,
        gates: &[u16],
        label_studio: u16,
        client_cookie: Option<&str>,
    ) -> Self {
        Self::start_with(binary, gates, label_studio, client_cookie, &[])
    }

    /// With other edits that an operator makes in the server's file.
    pub fn start_with(
        binary: &Path,
        gates: &[u16],
        label_studio: u16,
        client_cookie: Option<&str>,
        edits: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        let replaced = edited(port, label_studio, edits);
        Self::serve(
            binary,
            gates,
            port,
            client_cookie,
            "label-studio.conf",
            &replaced,
        )
    }

    /// With changes in the files that an operator includes: the file, its line, and what is there
    /// instead.
    pub fn start_changed(
        gate: u16,
        label_studio: u16,
        edits: &[(&str, &str)],
        changes: &[(&str, &str, &str)],
    ) -> Self {
        let port = free_port();
        let replaced = edited(port, label_studio, edits);
        let (binary, server) = (&binaries()[0], "label-studio.conf");
        Self::serve_with(binary, &[gate], port, None, server, &replaced, changes)
    }

    /// One of the shipped server files with an operator's edits, on a port that is already known to
    /// others.
    pub fn serve(
        binary: &Path,
        gates: &[u16],
        port: u16,
        client_cookie: Option<&str>,
        server: &str,
        edits: &[(&str, String)],
    ) -> Self {
        Self::serve_with(binary, gates, port, client_cookie, server, edits, &[])
    }

    fn serve_with(
        binary: &Path,
        gates: &[u16],
        port: u16,
        client_cookie: Option<&str>,
        server: &str,
        edits: &[(&str, String)],
        changes: &[(&str, &str, &str)],
    ) -> Self {
        let prefix = tempfile::Builder::new()
            .prefix("gate-test-nginx-")
            .tempdir()
            .unwrap()
            .keep();
        let home = prefix.as_path();
        for directory in ["label-studio-gate", "conf.d", "temp"] {
            std::fs::create_dir(home.join(directory)).unwrap();
        }
        let copy = |name: &str, to: &str, replaced: &[(&str, String)]| {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("nginx")
                .join(name);
            let mut text = std::fs::read_to_string(shipped).unwrap();
            for (old, new) in replaced {
                assert!(text.contains(old), "{old} is not in {name}");
                text = text.replace(old, new);
            }
            let name = Path::new(name).file_name().unwrap();
            std::fs::write(home.join(to).join(name), text).unwrap();
        };
        let limits = "max_fails=1 fail_timeout=3s";
        let servers = servers(gates, limits);
        let off = r#"$gate_client_cookie_name { default ""; }"#;
        let name = client_cookie.unwrap_or(r#""""#);
        let client = format!("$gate_client_cookie_name {{ default {name}; }}");
        // An edit of a name is for gate-http.conf, the others for the server's file.
        let upstream = format!("server 127.0.0.1:8090 {limits};");
        let is_name =
            |edit: &&(&str, String)| edit.0.contains("$gate_") || edit.0.contains("$upstream_");
        let names: Vec<_> = edits.iter().filter(is_name).cloned().collect();
        let edits: Vec<_> = edits
            .iter()
            .filter(|edit| !is_name(edit))
            .cloned()
            .collect();
        let http: Vec<_> = names
            .into_iter()
            .chain([(upstream.as_str(), servers), (off, client)])
            .collect();
        copy("gate-http.conf", "label-studio-gate", &http);
        copy("gate.conf", "label-studio-gate", &[]);
        copy("gate-browser.conf", "label-studio-gate", &[]);
        copy("gate-check.conf", "label-studio-gate", &[]);
        copy("gate-proxy.conf", "label-studio-gate", &[]);
        copy("gate-short-cut.conf", "label-studio-gate", &[]);
        copy("sign-in.conf", "label-studio-gate", &[]);
        copy("sign-in-under-a-path.conf", "label-studio-gate", &[]);
        let log = (
            "/var/log/nginx/label-studio.access.log",
            "access.log".to_owned(),
        );
        for (file, old, new) in changes {
            let path = home.join("label-studio-gate").join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(old), "{old} is not in {file}");
            std::fs::write(path, text.replace(old, new)).unwrap();
        }
        let edits: Vec<_> = edits.iter().cloned().chain([log]).collect();
        copy(server, "conf.d", &edits);
        let main = format!(
            "{MAIN} {user}
             http {{
                 access_log other.log;
                 client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/fastcgi;
                 uwsgi_temp_path temp/uwsgi; scgi_temp_path temp/scgi;
                 include conf.d/*.conf;
             }}",
            user = user()
        );
        let command = command(binary, home, &main);
        let server = Leash::start(&command, "QUIT", &home.join("output.log"), Some(home));
        let nginx = Self {
            url: format!("http://127.0.0.1:{port}"),
            prefix,
            _server: server,
        };
        let said = || {
            let said = nginx.read("output.log") + &nginx.read("error.log");
            format!("nginx did not start: {said}")
        };
        wait_until(|| listens(port), said);
        nginx
    }

    /// Reads a file of its directory.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.prefix.join(name)).unwrap_or_default()
    }
}
