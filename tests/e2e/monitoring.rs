//! `deploy/monitoring`, with the real Prometheus: the alerts, and every query of the dashboard
//! against the `/metrics` of a gate at work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use label_studio_gate::gate::jws;
use serde_json::{Value, json};

use crate::label_studio::{database, seeded};
use crate::programs::Program;
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::{CLUSTER, run};
use crate::support::stub::{Reply, Stub};
use crate::support::token::{self, native, now};
use crate::support::{client, free_port};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(here(path)).unwrap()
}

fn promtool(arguments: &[&str]) {
    let mut promtool = Command::new("promtool");
    run(promtool
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR")));
}

/// The names of metrics in a text, without the suffixes of their samples.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("label_studio_gate_"))
        .map(|word| {
            let suffixes = ["_bucket", "_count", "_sum"];
            let stem = suffixes.iter().find_map(|it| word.strip_suffix(it));
            stem.unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn alerts_are_valid_tested_and_documented() {
    promtool(&["check", "rules", "deploy/monitoring/rules.yml"]);
    promtool(&["check", "config", "deploy/monitoring/prometheus.yml"]);
    promtool(&["test", "rules", "tests/monitoring/rules.test.yml"]);
    let (rules, tests) = (
        read("deploy/monitoring/rules.yml"),
        read("tests/monitoring/rules.test.yml"),
    );
    let document = read("docs/monitoring.md");
    let mut alerts = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert!(
            tests.contains(&format!("alertname=\"{name}\"")),
            "no test of {name}"
        );
        assert!(
            document.contains(&format!("`{name}`")),
            "{name} is not in docs/monitoring.md"
        );
        for part in ["summary: ", "description: ", "runbook: ", "severity: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        alerts += 1;
    }
    assert!(alerts > 10, "{alerts}");
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let documented = metrics_in(&read("docs/metrics.md"));
    assert!(documented.len() > 20, "{documented:?}");
    for file in ["rules.yml", "grafana-dashboard.json"] {
        let named = metrics_in(&read(&format!("deploy/monitoring/{file}")));
        let unknown: Vec<&String> = named.difference(&documented).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    // And the dashboard shows every metric: one that nobody looks at is not worth counting.
    let shown = metrics_in(&read("deploy/monitoring/grafana-dashboard.json"));
    let missing: Vec<&String> = documented.difference(&shown).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

/// A panel's title and one of its queries.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/monitoring/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            // What Grafana puts in place of its variables.
            let query = query
                .replace("$instance", ".*")
                .replace("$__rate_interval", "1m");
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    assert!(queries.len() > 25, "{} queries", queries.len());
    queries
}

/// The host application's API, an issuer's key server, an OpenID provider, and a gate that uses every
/// method.
struct Monitored {
    gate: GateProcess,
    user: i32,
    key: EncodingKey,
    _services: [Stub; 3],
}

impl Monitored {
    fn start() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = jws::private_key(&pair.serialize_pem(), Algorithm::ES256).unwrap();
        let mut jwk = token::jwk(&pair);
        jwk["kid"] = "one".into();
        let published = json!({"keys": [jwk]});
        let keys = Stub::start(move |_| Reply::json(&published));
        let provider = provider(jwk);
        let email = seeded("GATE_DEMO_SECOND_EMAIL");
        let application = Stub::start(move |head| match head.contains("connect.sid=of-") {
            true => Reply::json(&json!({"email": email})),
            false => Reply::of(401, ""),
        });
        let database = database();
        let gate = GateProcess::start_with(
            Engine::Database,
            CLUSTER.port(),
            &database,
            &[
                ("GATE_EXTERNAL_JWKS_URL", &keys.url("/jwks")),
                ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
                ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
                ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
                ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
                ("GATE_SIGN_IN_ISSUER", &provider.url("")),
                ("GATE_SIGN_IN_CLIENT_ID", "label-studio"),
                ("GATE_SIGN_IN_CLIENT_SECRET", "secret-of-the-tests"),
                ("GATE_SIGN_IN_ALLOW_HTTP", "true"),
                ("GATE_SIGN_IN_STARTS_PER_MINUTE", "0"),
                ("JWT_SSO_SESSION_VERIFY_URL", &application.url("/verify")),
                (
                    "JWT_SSO_SESSION_VERIFY_SECRET",
                    "verify-secret-of-the-tests",
                ),
                ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
            ],
        );
        let email = seeded("GATE_DEMO_USER_EMAIL");
        let find = format!("SELECT id FROM htx_user WHERE email = '{email}'");
        let user = CLUSTER.psql(&database, &["-c", &find]);
        Self {
            gate,
            user: user.trim().parse().unwrap(),
            key,
            _services: [keys, application, provider],
        }
    }

    /// A token of the issuer, signed with a key that has this ID.
    fn token(&self, key_id: &str) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key_id.to_owned());
        let claims = json!({
            "email": seeded("GATE_DEMO_USER_EMAIL"), "iat": now(), "exp": now() + 600, "aud": "label-studio",
        });
        jws::encode(&header, &claims, &self.key).unwrap()
    }

    /// Some requests of every kind; `n` makes them differ from earlier ones.
    async fn work(&self, n: usize) {
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", self.gate.port);
        let check = async |cookies: &str| {
            let request = client()
                .get(url("/auth/nginx"))
                .header("X-Original-URI", "/")
                .header("Cookie", cookies);
            request.send().await.unwrap();
        };
        check("").await;
        check(&format!("ls_auth_token={}", native(self.user))).await;
        check(&format!("ls_auth_token={}", native(999_999))).await;
        check(&format!("ls_auth_token={}", self.token("one"))).await;
        check(&format!("ls_auth_token={}", self.token("unknown"))).await;
        check(&format!("connect.sid=of-{n}")).await;
        check(&format!("connect.sid=made-up-{n}")).await;
        let login = format!("/sso/login?token={}", native(self.user));
        client().get(url(&login)).send().await.unwrap();
        let start = client()
            .get(url("/sso/start"))
            .header("Accept", "text/html");
        assert_eq!(start.send().await.unwrap().url().path(), "/authorize");
        let admin = seeded("GATE_DEMO_ADMIN_TOKEN");
        for key in [admin, "0123456789012345678901234567890123456789"] {
            let email = seeded("GATE_DEMO_USER_EMAIL");
            let issue = client()
                .post(url("/api/sso/token"))
                .header("Authorization", format!("Token {key}"))
                .body(json!({"email": email}).to_string());
            issue.send().await.unwrap();
        }
    }
}

/// An OpenID provider that wants to be told of each sign-in first. Its metadata, keys and answers are
/// in one document.
fn provider(jwk: Value) -> Stub {
    let provider = Stub::start(|_| Reply::of(500, ""));
    let url = |path| provider.url(path);
    let document = json!({
        "issuer": url(""), "jwks_uri": url("/jwks"), "keys": [jwk],
        "authorization_endpoint": url("/authorize"), "token_endpoint": url("/token"),
        "pushed_authorization_request_endpoint": url("/push"), "require_pushed_authorization_requests": true,
        "request_uri": "urn:pushed:1",
    });
    provider.now(move |_| Reply::json(&document));
    provider
}

/// Prometheus, which scrapes a gate every second.
fn prometheus(gate: u16) -> Program {
    let home = tempfile::tempdir().unwrap().keep();
    let configuration = read("deploy/monitoring/prometheus.yml")
        .replace("127.0.0.1:8090", &format!("127.0.0.1:{gate}"))
        .replace("scrape_interval: 15s", "scrape_interval: 1s");
    std::fs::write(home.join("prometheus.yml"), configuration).unwrap();
    std::fs::write(home.join("rules.yml"), read("deploy/monitoring/rules.yml")).unwrap();
    Program::on(free_port(), &home, |port| {
        let mut command = Command::new("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                home.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                home.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(&home);
        command
    })
}

async fn ask(prometheus: &Program, path: &str, query: &[(&str, &str)]) -> Value {
    let request = client()
        .get(format!("{}{path}", prometheus.url()))
        .query(query);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "success", "{query:?}: {answer}");
    answer["data"].clone()
}

/// Whether the answer to a query has a value that is a number.
fn has_value(data: &Value) -> bool {
    let series = data["result"].as_array().unwrap();
    series.iter().any(|it| it["value"][1] != "NaN")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboard_shows_the_gate_at_work() {
    let monitored = Monitored::start();
    let prometheus = prometheus(monitored.gate.port);
    let mut waiting = queries();
    let limit = Instant::now() + Duration::from_secs(300);
    let mut n = 0;
    while !waiting.is_empty() {
        assert!(Instant::now() < limit, "no series: {waiting:#?}");
        monitored.work(n).await;
        n += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut empty = Vec::new();
        for (title, query) in waiting {
            let data = ask(&prometheus, "/api/v1/query", &[("query", &query)]).await;
            if !has_value(&data) {
                empty.push((title, query));
            }
        }
        waiting = empty;
    }

    // Prometheus reads every line, and evaluates every alert; none is about this gate.
    let targets = ask(&prometheus, "/api/v1/targets", &[]).await;
    assert_eq!(targets["activeTargets"][0]["health"], "up", "{targets}");
    let rules = ask(&prometheus, "/api/v1/rules", &[]).await;
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        assert_ne!(rule["health"], "err", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
    // Every metric is typed and described.
    let metadata = ask(&prometheus, "/api/v1/metadata", &[]).await;
    let described: BTreeSet<String> = metadata.as_object().unwrap().keys().cloned().collect();
    for name in metrics_in(&read("docs/metrics.md")) {
        let stem = name.trim_end_matches("_total").trim_end_matches("_info");
        assert!(
            described.contains(stem) || described.contains(&name),
            "{name} is not in {described:?}"
        );
    }
}
