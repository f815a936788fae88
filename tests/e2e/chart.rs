//! The Helm chart, rendered and checked by Helm itself: each value has an effect, a place in the
//! schema and a line in the README.

use std::process::{Command, Output};

use serde_json::Value;

use crate::kubernetes::{feed, here, python, text};

const CHART: &str = "deploy/helm/label-studio-gate";

/// The oldest Kubernetes that the chart is for.
const KUBERNETES: &str = "1.30.0";

/// Runs `helm template` with these values over the chart's own, which Helm checks against the
/// chart's schema.
fn render(release: &str, values: &str) -> Output {
    let command = &mut Command::new(python("helm"));
    command
        .args(["template", release])
        .arg(here(CHART))
        .args(["--namespace", "label-studio", "--values", "-"])
        .args(["--kube-version", KUBERNETES]);
    feed(command, values)
}

/// The chart with these values.
pub fn helm(release: &str, values: &str) -> String {
    text(render(release, values))
}

/// Each value: what a test sets it to, and what appears in the manifests then and not by default.
#[rustfmt::skip]
const VALUES: &[(&str, &str, &str)] = &[
    ("image.repository", "{image: {repository: registry.example.com/gate}}", "image: \"registry.example.com/gate:"),
    ("image.tag", "{image: {tag: 9.9.9}}", "label-studio-gate:9.9.9\""),
    ("image.digest", DIGEST, "label-studio-gate@sha256:0123"),
    ("image.pullPolicy", "{image: {pullPolicy: Always}}", "imagePullPolicy: Always"),
    ("imagePullSecrets", "{imagePullSecrets: [{name: registry}]}", "imagePullSecrets:\n        - name: registry"),
    ("nameOverride", "{nameOverride: sso}", "name: gate-sso\n"),
    ("fullnameOverride", "{fullnameOverride: sso}", "name: sso\n"),
    ("proxies", "{proxies: [traefik, envoy]}", "value: \"traefik,envoy\""),
    ("trustedProxies", "{trustedProxies: [10.1.0.0/16]}", "value: \"10.1.0.0/16\""),
    ("settings", "{settings: \"[policy]\\nanonymous = 'require'\"}", "    [policy]\n    anonymous = 'require'"),
    ("secret.name", "{secret: {name: keys}}", "secretName: keys"),
    ("secret.optionalKeys", "{secret: {optionalKeys: [DATABASE_URL]}}", "key: DATABASE_URL\n                  optional: true"),
    ("env", "{env: [{name: POSTGRE_HOST, value: db}]}", "- name: POSTGRE_HOST\n              value: db"),
    ("replicas", "{replicas: 3, autoscaling: {enabled: false}}", "\n  replicas: 3\n"),
    ("autoscaling.minReplicas", "{autoscaling: {minReplicas: 3}}", "minReplicas: 3"),
    ("autoscaling.maxReplicas", "{autoscaling: {maxReplicas: 9}}", "maxReplicas: 9"),
    ("autoscaling.targetCPUUtilizationPercentage", "{autoscaling: {targetCPUUtilizationPercentage: 55}}", "averageUtilization: 55"),
    ("podDisruptionBudget.maxUnavailable", "{podDisruptionBudget: {maxUnavailable: 25%}}", "maxUnavailable: 25%"),
    ("resources", "{resources: {limits: {memory: 256Mi}}}", "memory: 256Mi"),
    ("service.port", "{service: {port: 8080}}", "port: 8080\n      targetPort: http"),
    ("networkPolicy.ingressNamespaces", "{networkPolicy: {ingressNamespaces: [traefik]}}", "kubernetes.io/metadata.name: traefik"),
    ("networkPolicy.postgresPort", "{networkPolicy: {postgresPort: 6432}}", "- port: 6432"),
    ("networkPolicy.outgoingPorts", "{networkPolicy: {outgoingPorts: [8443]}}", "- port: 8443"),
    ("serviceMonitor.enabled", "{serviceMonitor: {enabled: true}}", "kind: ServiceMonitor"),
    ("serviceMonitor.interval", "{serviceMonitor: {enabled: true, interval: 15s}}", "interval: 15s"),
    ("serviceMonitor.labels", "{serviceMonitor: {enabled: true, labels: {team: a}}}", "    team: a\n"),
    ("ingress.enabled", "{ingress: {enabled: true}}", "kind: Ingress\n"),
    ("ingress.className", "{ingress: {enabled: true, className: internal}}", "ingressClassName: internal"),
    ("ingress.host", "{ingress: {enabled: true, host: ls.example.com}}", "host: \"ls.example.com\""),
    ("ingress.tls", "{ingress: {enabled: true, tls: [{secretName: tls}]}}", "tls:\n    - secretName: tls"),
    ("ingress.signInProviders", "{ingress: {enabled: true, signInProviders: [company, partner]}}", "- path: /sso/callback/partner\n            pathType: Exact"),
    ("ingress.signInUrl", "{ingress: {enabled: true, signInUrl: 'https://app.example.com'}}", "auth-signin: \"https://app.example.com\""),
    ("ingress.annotations", "{ingress: {enabled: true, annotations: {a/b: c}}}", "    a/b: c\n"),
    ("ingress.labelStudio.service", "{ingress: {enabled: true, labelStudio: {service: ls}}}", "name: ls\n"),
    ("ingress.labelStudio.port", "{ingress: {enabled: true, labelStudio: {port: 8080}}}", "number: 8080"),
    ("podAnnotations", "{podAnnotations: {a: b}}", "        a: b\n"),
    ("podLabels", "{podLabels: {c: d}}", "        c: d\n"),
    ("nodeSelector", "{nodeSelector: {disk: ssd}}", "nodeSelector:\n        disk: ssd"),
    ("tolerations", "{tolerations: [{operator: Exists}]}", "tolerations:\n        - operator: Exists"),
    ("affinity", "{affinity: {podAntiAffinity: {}}}", "affinity:\n        podAntiAffinity: {}"),
    ("priorityClassName", "{priorityClassName: high}", "priorityClassName: high"),
];

const DIGEST: &str =
    "{image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}}";

/// What is on by default: the switch, and what it takes away.
const SWITCHES: &[(&str, &str)] = &[
    ("autoscaling", "kind: HorizontalPodAutoscaler"),
    ("podDisruptionBudget", "kind: PodDisruptionBudget"),
    ("networkPolicy", "kind: NetworkPolicy"),
];

#[test]
fn helm_finds_nothing_wrong_with_the_chart() {
    let command = &mut Command::new(python("helm"));
    text(
        command
            .args(["lint", "--strict"])
            .arg(here(CHART))
            .output()
            .unwrap(),
    );
}

#[test]
fn each_value_of_the_chart_has_an_effect() {
    let default = helm("gate", "{}");
    for (value, override_, expected) in VALUES {
        assert!(!default.contains(expected), "{value}: {default}");
        let rendered = helm("gate", override_);
        assert!(rendered.contains(expected), "{value}: {rendered}");
    }
    for (section, expected) in SWITCHES {
        assert!(default.contains(expected), "{section}: {default}");
        let rendered = helm("gate", &format!("{{{section}: {{enabled: false}}}}"));
        assert!(!rendered.contains(expected), "{section}: {rendered}");
    }
}

/// The alerts name the job, and `nameOverride` changes the Service's labels.
#[test]
fn the_job_is_that_of_the_alerts_whatever_the_names_are() {
    let alerts = std::fs::read_to_string(here("deploy/monitoring/rules.yml")).unwrap();
    assert!(alerts.contains("{job=\"label-studio-gate\"}"));
    let relabeling = "- targetLabel: job\n          replacement: label-studio-gate\n";
    for names in ["", "nameOverride: sso, ", "fullnameOverride: sso, "] {
        let rendered = helm(
            "gate",
            &format!("{{{names}serviceMonitor: {{enabled: true}}}}"),
        );
        assert!(rendered.contains(relabeling), "{rendered}");
    }
}

#[test]
fn each_value_of_the_chart_is_known_tested_and_documented() {
    let command = &mut Command::new(python("python"));
    let found = command
        .arg(here("tests/kubernetes/values.py"))
        .arg(here(CHART))
        .output()
        .unwrap();
    let found: Value = serde_json::from_str(&text(found)).unwrap();
    let list = |name: &str| -> Vec<String> { serde_json::from_value(found[name].clone()).unwrap() };
    let values = list("values");
    // Helm puts the values of parent charts there.
    let mut known = list("schema");
    known.retain(|path| path != "global");
    assert_eq!(known, values);

    let mut tested: Vec<String> = VALUES.iter().map(|(value, ..)| (*value).into()).collect();
    tested.extend(
        SWITCHES
            .iter()
            .map(|(section, _)| format!("{section}.enabled")),
    );
    tested.sort();
    assert_eq!(tested, values);

    let readme = std::fs::read_to_string(here(CHART).join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let (names, _) = line.strip_prefix("| `")?.split_once("` |")?;
        Some(names.split("`, `").map(str::to_owned).collect::<Vec<_>>())
    });
    let mut documented: Vec<String> = rows.flatten().collect();
    documented.sort();
    assert_eq!(documented, values);
}

#[test]
fn the_charts_schema_refuses_unsupported_values() {
    let with_cache =
        "{ingress: {annotations: {nginx.ingress.kubernetes.io/auth-cache-key: $remote_addr}}}";
    for values in [
        "{replicas: 0}",
        "{image: {digest: sha256:1}}",
        "{image: {pullPolicy: Sometimes}}",
        "{ingres: {enabled: true}}",
        "{proxies: []}",
        "{proxies: [apache]}",
        "{trustedProxies: []}",
        "{secret: {name: ''}}",
        "{service: {port: 70000}}",
        "{networkPolicy: {ingressNamespaces: []}}",
        "{ingress: {signInUrl: 'javascript:'}}",
        "{ingress: {signInProviders: [Company]}}",
        "{ingress: {signInProviders: [a/b]}}",
        with_cache,
    ] {
        let refused = render("gate", values);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success(), "{values}");
        assert!(
            said.contains("don't meet the specifications of the schema"),
            "{said}"
        );
    }
}
