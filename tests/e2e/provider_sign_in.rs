//! Sign-in at a certified OpenID provider over HTTPS into the real Label Studio: outages, and what
//! browsers do.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use serde_json::json;

use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::{in_chromium, provider_for, screenshot};
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;

/// A browser that follows redirects between Label Studio and the provider.
fn browser(files: &Files) -> Client {
    let certificate = std::fs::read(&files.certificate).unwrap();
    crate::support::client_builder()
        .add_root_certificate(Certificate::from_pem(&certificate).unwrap())
        .cookie_store(true)
        .redirect(Policy::limited(10))
        .build()
        .unwrap()
}

async fn open(client: &Client, url: &str) -> Response {
    let page = client.get(url).header("Accept", "text/html");
    let page = page.header("Sec-Fetch-Site", "same-origin");
    page.send().await.unwrap()
}

/// Fills in the provider's development login: a name, and then consent.
async fn log_in(client: &Client, mut answer: Response, user: &str) -> Response {
    for form in [
        format!("prompt=login&login={user}&password=x"),
        "prompt=consent".to_owned(),
    ] {
        let at = answer.url().clone();
        assert!(at.path().starts_with("/interaction/"), "{at}: {answer:?}");
        let post = client
            .post(at)
            .header("Accept", "text/html")
            .header("Content-Type", "application/x-www-form-urlencoded");
        answer = post.body(form).send().await.unwrap();
    }
    answer
}

/// A gate's settings for the provider at this issuer.
fn settings<'s>(
    files: &'s Files,
    origin: &'s str,
    issuer: &'s str,
    secret: &'s str,
) -> Vec<(&'static str, &'s str)> {
    vec![
        ("GATE_LABEL_STUDIO_URL", origin),
        ("GATE_SIGN_IN_ISSUER", issuer),
        ("GATE_SIGN_IN_CLIENT_ID", "gate-0"),
        ("GATE_SIGN_IN_CLIENT_SECRET", secret),
        ("GATE_SIGN_IN_CREATE_USERS", "true"),
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
        (
            "GATE_KEY_SERVER_CA_FILE",
            files.certificate.to_str().unwrap(),
        ),
    ]
}

/// The last page of a sign-in: its status, and the reason in its header.
async fn outcome(client: &Client, origin: &str, user: &str) -> (u16, String) {
    let form = open(client, &format!("{origin}/sso/start?next=/projects/")).await;
    let answer = log_in(client, form, user).await;
    reason_of(&answer)
}

fn reason_of(answer: &Response) -> (u16, String) {
    let reason = answer.headers().get("X-Gate-Reason");
    let reason = reason.map_or("", |reason| reason.to_str().unwrap());
    (answer.status().as_u16(), reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_may_change_its_keys_go_down_and_refuse_the_gate() {
    let stack = database_stack();
    let (gate_port, stranger_port) = (free_port(), free_port());
    let start = |port| Nginx::start(&binaries()[0], &[port], stack.label_studio.port);
    let (nginx, strange) = (start(gate_port), start(stranger_port));
    let (files, port) = (Files::new(), free_port());
    let issuer = format!("https://localhost:{port}");
    let origins = [nginx.url.as_str(), strange.url.as_str()];
    let run = || {
        provider_for(
            port,
            &files.certificate,
            &files.key,
            &files.signing,
            &origins,
        )
    };
    let running = run();
    let secret = "a-client-secret-of-the-tests";
    let gate = |port, origin, secret| {
        let settings = settings(&files, origin, &issuer, secret);
        let (engine, postgres) = (Engine::Database, CLUSTER.port());
        GateProcess::start_on(port, engine, postgres, &stack.database, &settings)
    };
    let good = gate(gate_port, origins[0], secret);
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // The provider has other keys now.
    drop(running);
    std::fs::remove_file(&files.signing).unwrap();
    let running = run();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // It goes down after the user has left for it, and is back for the next one.
    let client = browser(&files);
    let start = format!("{}/sso/start?next=/projects/", nginx.url);
    let no_redirects = Policy::none();
    let patient = crate::support::client_builder()
        .redirect(no_redirects)
        .build()
        .unwrap();
    let left = patient.get(&start).header("Accept", "text/html");
    let left = left.send().await.unwrap();
    assert_eq!(left.status(), 303);
    let state = left.headers()["Location"].to_str().unwrap().to_owned();
    let state = state.split("state=").nth(1).unwrap();
    let state = state.split('&').next().unwrap();
    let cookie = left.headers()["Set-Cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    drop(running);
    let issuer_parameter = issuer.replace(':', "%3A").replace('/', "%2F");
    let back = format!(
        "{}/sso/callback?code=c&state={state}&iss={issuer_parameter}",
        nginx.url
    );
    let back = patient
        .get(back)
        .header("Accept", "text/html")
        .header("Cookie", cookie);
    let said = reason_of(&back.send().await.unwrap());
    assert_eq!(said, (503, "provider_unavailable".to_owned()));
    let running = run();
    let said = outcome(&client, &nginx.url, "pia").await;
    assert_eq!(said, (200, String::new()), "{}", good.log());

    // A gate with a wrong secret. Its client is the same, so that the redirect URI has to be too.
    drop(good);
    let wrong = gate(gate_port, origins[0], "another");
    let said = outcome(&browser(&files), &nginx.url, "pia").await;
    assert_eq!(said, (503, "provider_refuses_client".to_owned()));
    assert!(wrong.log().contains("invalid_client"), "{}", wrong.log());

    // A gate that begins while the provider is down signs nobody in until it is back.
    drop(running);
    let _late = gate(stranger_port, origins[1], secret);
    let start = format!("{}/sso/start", strange.url);
    let said = reason_of(&open(&browser(&files), &start).await);
    assert_eq!(said, (503, "provider_unavailable".to_owned()));
    let _running = run();
    let back = async || {
        let left = patient.get(&start);
        let left = left.header("Accept", "text/html").send().await.unwrap();
        left.status() == 303
    };
    for _ in 0..60 {
        if back().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the provider is back, and the gate does not notice");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_sign_in_in_tabs_and_in_frames_of_another_site() {
    let stack = database_stack();
    let (files, port, gate_port) = (Files::new(), free_port(), free_port());
    let provider_port = free_port();
    let issuer = format!("https://localhost:{provider_port}");
    let origin = format!("https://studio.test:{port}");
    // Another host name, and so another site, has a page with Label Studio in a frame.
    let embedding = format!(
        "location = /embedding {{ default_type text/html; return 200 '<iframe src=\"{origin}/projects/\" width=600 height=400></iframe>'; }}"
    );
    let include = "include label-studio-gate/gate.conf;";
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let edits = [
        (
            "server 127.0.0.1:8081;",
            format!("server 127.0.0.1:{};", stack.label_studio.port),
        ),
        (
            "listen 80 default_server;",
            format!(
                "listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
            ),
        ),
        (
            include,
            format!("{include} include label-studio-gate/sign-in.conf; {embedding}"),
        ),
    ];
    let (binary, file) = (&binaries()[0], "label-studio.conf");
    let nginx = Nginx::serve(binary, &[gate_port], port, None, file, &edits);
    let _provider = provider_for(
        provider_port,
        &files.certificate,
        &files.key,
        &files.signing,
        &[&origin],
    );
    let mut settings = settings(&files, &origin, &issuer, "a-client-secret-of-the-tests");
    settings.extend([
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("GATE_SESSION_COOKIE_PARTITIONED", "true"),
    ]);
    let gate = GateProcess::start_on(
        gate_port,
        Engine::Database,
        CLUSTER.port(),
        &stack.database,
        &settings,
    );
    let task = json!({
        "labelStudio": origin, "application": format!("https://application.test:{port}"),
        "shots": screenshot("sign-in").with_extension(""),
    });
    let seen = tokio::task::block_in_place(|| in_chromium("sign_in.mjs", &[&task.to_string()]));
    let nora = "nora@example.com";
    assert_eq!(
        seen,
        json!({
            "tabs": ["?tab=1", nora, nora], "again": nora, "back": nora,
            "out": "You are signed out", "form": true,
            "declined": ["You were not signed in", "sign_in_declined"],
            "late": ["This sign-in has expired", "sign_in_unknown"], "afterLate": nora,
            "silent": nora,
            "asks": ["Sign in required", "sign_in_interaction"], "window": [nora, true],
        }),
        "{} {}",
        gate.log(),
        nginx.read("error.log")
    );
}
