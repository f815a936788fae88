//! A certified OpenID provider over HTTPS: its tokens, its keys, its outages.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Url};
use serde_json::Value;

use crate::browser::Browser;
use crate::nginx::{Nginx, binaries};
use crate::programs::provider;
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;

/// The provider's files: its certificate, its TLS key, its signing keys.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub signing: PathBuf,
    _home: tempfile::TempDir,
}

impl Files {
    pub fn new() -> Self {
        label_studio_gate::startup::install_crypto();
        let home = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (home.path().join("tls.pem"), home.path().join("tls.key"));
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        Self {
            certificate,
            key,
            signing: home.path().join("keys.json"),
            _home: home,
        }
    }
}

/// Logs in to the provider as `user`, like a browser and the application behind it, and returns the
/// ID token.
async fn id_token(issuer: &str, files: &Files, user: &str) -> String {
    let certificate = std::fs::read(&files.certificate).unwrap();
    let client = crate::support::client_builder()
        .add_root_certificate(Certificate::from_pem(&certificate).unwrap())
        .cookie_store(true)
        .redirect(Policy::custom(|attempt| match attempt.url().host_str() {
            Some("localhost") => attempt.follow(),
            _ => attempt.stop(),
        }))
        .build()
        .unwrap();
    let start = format!(
        "{issuer}/auth?client_id=label-studio&response_type=code&scope=openid%20email%20profile&redirect_uri=https%3A%2F%2Fapplication.test%2Fcallback&state=s&nonce=n"
    );
    let mut answer = client.get(start).send().await.unwrap();
    // The development login asks for a name, and then for consent.
    for form in [
        format!("prompt=login&login={user}&password=x"),
        "prompt=consent".to_owned(),
    ] {
        let at = answer.url().clone();
        assert!(at.path().starts_with("/interaction/"), "{at}");
        let post = client
            .post(at)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        answer = post.send().await.unwrap();
    }
    let back: Url = answer.headers()["Location"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(back.host_str(), Some("application.test"), "{back}");
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1;
    let exchange = client
        .post(format!("{issuer}/token"))
        .basic_auth("label-studio", Some("a-client-secret-of-the-tests"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!(
            "grant_type=authorization_code&code={code}&redirect_uri=https%3A%2F%2Fapplication.test%2Fcallback"
        ));
    let answer: Value = exchange.send().await.unwrap().json().await.unwrap();
    let token = answer["id_token"].as_str();
    token.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openid_providers_tokens_log_in() {
    let stack = database_stack();
    let (files, port) = (Files::new(), free_port());
    let issuer = format!("https://localhost:{port}");
    let start = || provider(port, &files.certificate, &files.key, &files.signing);
    let running = start();
    let settings = [
        ("GATE_EXTERNAL_DISCOVERY", issuer.as_str()),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_EXTERNAL_FIRST_NAME_CLAIM", "given_name"),
        ("GATE_EXTERNAL_LAST_NAME_CLAIM", "family_name"),
        ("GATE_EXTERNAL_CREATE_USERS", "true"),
        (
            "GATE_KEY_SERVER_CA_FILE",
            files.certificate.to_str().unwrap(),
        ),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
    ];
    let gate =
        GateProcess::start_with(Engine::Database, CLUSTER.port(), &stack.database, &settings);
    let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
    let whoami = async |token: &str| Browser::new(&proxy.url).with_token(token).whoami().await;

    let first = id_token(&issuer, &files, "olga").await;
    assert_eq!(whoami(&first).await.as_deref(), Some("olga@example.com"));
    let names = stack.sql(
        "SELECT first_name || ' ' || last_name FROM htx_user WHERE email = 'olga@example.com'",
    );
    assert_eq!(names, "olga Provided");
    // An email address that the provider has not verified could belong to anybody.
    let unverified = id_token(&issuer, &files, "mallory").await;
    assert_eq!(whoami(&unverified).await, None);

    // The provider is down: known keys keep working.
    drop(running);
    assert_eq!(whoami(&first).await.as_deref(), Some("olga@example.com"));

    // The provider is back with another key: the gate reads it because a token names it, and old
    // tokens become invalid with their key.
    std::fs::remove_file(&files.signing).unwrap();
    let _running = start();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let second = id_token(&issuer, &files, "oleg").await;
    assert_eq!(whoami(&second).await.as_deref(), Some("oleg@example.com"));
    assert_eq!(whoami(&first).await, None);

    // A gate that does not trust the certificate gets no keys and logs nobody in.
    let untrusting: Vec<_> = settings
        .iter()
        .copied()
        .filter(|(name, _)| *name != "GATE_KEY_SERVER_CA_FILE")
        .collect();
    let gate = GateProcess::start_with(
        Engine::Database,
        CLUSTER.port(),
        &stack.database,
        &untrusting,
    );
    let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
    let refused = Browser::new(&proxy.url).with_token(&second);
    let answer = refused.get("/api/current-user/whoami").await;
    assert_eq!(answer.status(), 503);
}
