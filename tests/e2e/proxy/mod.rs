//! Proxies other than nginx with the shipped files: HAProxy from Debian, Caddy, Traefik and Envoy
//! from PyPI, and the configuration that ingress-nginx generates from the annotations.

mod ingress;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::installed;
use crate::support::leash::Leash;
use crate::support::{free_port, wait_until};

/// The kinds that every test of proxies runs with.
pub const KINDS: [Kind; 6] = [
    Kind::Caddy,
    Kind::HaProxy,
    Kind::Traefik,
    Kind::Envoy,
    Kind::Ingress { keepalive: false },
    Kind::Ingress { keepalive: true },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Caddy,
    HaProxy,
    Traefik,
    Envoy,
    /// Envoy as Envoy Gateway configures it: no header of the auth response reaches the browser.
    EnvoyGateway,
    /// With `auth-keepalive`, the controller sends the check with Lua instead of `auth_request`.
    Ingress {
        keepalive: bool,
    },
    /// With the component that redirects to the host application's sign-in.
    IngressWithSignIn,
}

impl Kind {
    /// The value of `http.proxies` that its files ask for.
    pub const fn proxy(self) -> &'static str {
        match self {
            Self::Caddy | Self::HaProxy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy | Self::EnvoyGateway => "envoy",
            Self::Ingress { .. } | Self::IngressWithSignIn => "ingress-nginx",
        }
    }
}

/// A running proxy.
pub struct Proxy {
    pub kind: Kind,
    pub url: String,
    home: PathBuf,
    _server: Leash,
}

impl Proxy {
    /// Starts a proxy in front of this gate and this Label Studio.
    pub fn start(kind: Kind, gate: u16, label_studio: u16) -> Self {
        Self::behind_another(kind, gate, label_studio, &[])
    }

    /// One that also passes these headers of an identity-aware proxy to the gate, in lower case, as
    /// `docs/identity-aware-proxies.md` says. With Traefik, only the first is in pages' rule.
    pub fn behind_another(kind: Kind, gate: u16, label_studio: u16, identity: &[&str]) -> Self {
        let home = tempfile::Builder::new()
            .prefix("gate-test-proxy-")
            .tempdir()
            .unwrap()
            .keep();
        let ports = Ports {
            own: free_port(),
            gate,
            label_studio,
            identity,
        };
        let command = match kind {
            Kind::Caddy => caddy(&home, &ports),
            Kind::HaProxy => haproxy(&home, &ports),
            Kind::Traefik => traefik(&home, &ports),
            Kind::Envoy => envoy(&home, &ports, &[]),
            Kind::EnvoyGateway => envoy(&home, &ports, &[(TO_THE_BROWSER, String::new())]),
            Kind::Ingress { keepalive } => ingress::command(&home, &ports, keepalive, false),
            Kind::IngressWithSignIn => ingress::command(&home, &ports, false, true),
        };
        let server = Leash::start(&command, "TERM", &home.join("output.log"), Some(&home));
        let proxy = Self {
            kind,
            url: format!("http://127.0.0.1:{}", ports.own),
            home,
            _server: server,
        };
        let said = || format!("{kind:?} did not start: {}", proxy.logs());
        wait_until(|| proxy.is_ready(), said);
        proxy
    }

    /// Whether the proxy has loaded its routes: until then, Traefik listens and answers 404.
    fn is_ready(&self) -> bool {
        let curl = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
            .arg(format!("{}/sso/signed-out", self.url))
            .output()
            .unwrap();
        !matches!(curl.stdout.as_slice(), b"000" | b"404")
    }

    /// All of its logs.
    pub fn logs(&self) -> String {
        let logs = ["output.log", "access.log", "error.log"];
        let read = |name| std::fs::read_to_string(self.home.join(name)).unwrap_or_default();
        logs.into_iter().map(read).collect()
    }
}

/// What is to be written into the files.
struct Ports<'s> {
    own: u16,
    gate: u16,
    label_studio: u16,
    identity: &'s [&'s str],
}

/// A shipped file with an operator's edits.
fn shipped(file: &str, edits: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{old} is not in {file}");
        text = text.replace(old, new);
    }
    text
}

impl Ports<'_> {
    fn edits(&self) -> [(&'static str, String); 2] {
        let here = |port: u16| format!("127.0.0.1:{port}");
        [
            ("127.0.0.1:8090", here(self.gate)),
            ("127.0.0.1:8081", here(self.label_studio)),
        ]
    }
}

fn program(name: &str) -> Command {
    Command::new(
        installed("GATE_TEST_PYTHON_VENV", "python")
            .join("bin")
            .join(name),
    )
}

fn caddy(home: &Path, ports: &Ports<'_>) -> Command {
    let [gate, label_studio] = ports.edits();
    let log = home.join("access.log");
    let edits = [
        gate,
        label_studio,
        (
            ":80 {",
            format!("http://:{} {{\n\tbind 127.0.0.1", ports.own),
        ),
        ("/var/log/caddy/label-studio.log", log.display().to_string()),
        // The admin API would need a port of its own.
        ("\tservers {", "\tadmin off\n\tservers {".to_owned()),
    ];
    std::fs::write(home.join("Caddyfile"), shipped("caddy/Caddyfile", &edits)).unwrap();
    let mut command = program("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(home.join("Caddyfile"))
        .env("HOME", home);
    command
}

fn haproxy(home: &Path, ports: &Ports<'_>) -> Command {
    let [gate, label_studio] = ports.edits();
    let mut edits = vec![gate.clone()];
    if !ports.identity.is_empty() {
        let names = ports.identity.join("\", \"");
        edits.push((
            "\"tracestate\",\n}",
            format!("\"tracestate\", \"{names}\",\n}}"),
        ));
    }
    let script = shipped("haproxy/label-studio-gate.lua", &edits);
    std::fs::write(home.join("label-studio-gate.lua"), script).unwrap();
    let bind = ("bind :80", format!("bind 127.0.0.1:{}", ports.own));
    let text = shipped("haproxy/haproxy.cfg", &[gate, label_studio, bind]);
    std::fs::write(home.join("haproxy.cfg"), text).unwrap();
    let mut command = Command::new("haproxy");
    command.args(["-f", "haproxy.cfg"]).current_dir(home);
    command
}

fn traefik(home: &Path, ports: &Ports<'_>) -> Command {
    let mut edits = ports.edits().to_vec();
    if !ports.identity.is_empty() {
        let named = |name: &&str| format!(" || HeaderRegexp(`{name}`, `.`)");
        let named: String = ports.identity.iter().map(named).collect();
        let outside = "!PathPrefix(`/user/`) && !PathPrefix(`/logout`)";
        let rule = "[.][^.]*$`)\n      priority: 100";
        edits.push((rule, rule.replace('\n', &format!("{named} && {outside}\n"))));
    }
    let dynamic = shipped("traefik/dynamic.yml", &edits);
    std::fs::write(home.join("dynamic.yml"), dynamic).unwrap();
    let edits = [("\":80\"", format!("\"127.0.0.1:{}\"", ports.own))];
    let fixed = shipped("traefik/traefik.yml", &edits);
    std::fs::write(home.join("traefik.yml"), fixed).unwrap();
    let mut command = program("traefik");
    command.arg("--configFile=traefik.yml").current_dir(home);
    command
}

const TO_THE_BROWSER: &str = "                          allowed_client_headers_on_success:
                            patterns:
                              - exact: set-cookie
";

fn envoy(home: &Path, ports: &Ports<'_>, without: &[(&str, String)]) -> Command {
    let socket =
        |port: u16| format!("socket_address: {{ address: 127.0.0.1, port_value: {port} }}");
    let edits = [
        (
            "socket_address: { address: 0.0.0.0, port_value: 80 }",
            socket(ports.own),
        ),
        (
            "socket_address: { address: 127.0.0.1, port_value: 8090 }",
            socket(ports.gate),
        ),
        (
            "socket_address: { address: 127.0.0.1, port_value: 8081 }",
            socket(ports.label_studio),
        ),
        // No test takes a minute.
        ("idle_timeout: 60s", "idle_timeout: 1s".to_owned()),
    ];
    let mut edits: Vec<_> = edits.iter().chain(without).cloned().collect();
    let mark = "# With token.header or proxy_headers,";
    let indent = " ".repeat(26);
    let named = |name: &&str| format!("- exact: {name}\n{indent}");
    let named: String = ports.identity.iter().map(named).collect();
    edits.push((mark, format!("{named}{mark}")));
    std::fs::write(home.join("envoy.yaml"), shipped("envoy/envoy.yaml", &edits)).unwrap();
    let mut command = program("envoy");
    command
        .args(["--use-dynamic-base-id", "--concurrency", "2", "-c"])
        .arg(home.join("envoy.yaml"));
    command
}
