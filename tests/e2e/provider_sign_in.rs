//! Sign-in at a certified OpenID provider over HTTPS, through every kind of proxy, into the real Label
//! Studio with each session engine: in, out, and out at the provider.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use serde_json::{Value, json};

use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::{in_chromium, provider_for, screenshot, second_provider};
use crate::proxy::{KINDS, Proxy};
use crate::stack::{Engine, GateProcess, database_stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::{free_port, wait_until};

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

/// The email address of the user Label Studio sees.
async fn whoami(client: &Client, origin: &str) -> Option<String> {
    let answer = client.get(format!("{origin}/api/current-user/whoami"));
    let answer = answer.send().await.unwrap();
    let body: Value = answer.json().await.ok()?;
    body["email"].as_str().map(str::to_owned)
}

/// Signs out at the provider itself, which asks first.
async fn leave(client: &Client, issuer: &str) {
    let page = open(client, &format!("{issuer}/session/end")).await;
    confirm(client, page).await;
}

async fn confirm(client: &Client, page: Response) -> Response {
    let text = page.text().await.unwrap();
    let between = |start: &str| text.split(start).nth(1).unwrap().split('"').next().unwrap();
    let (action, xsrf) = (between("action=\""), between("name=\"xsrf\" value=\""));
    let post = client
        .post(action)
        .header("Accept", "text/html")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let form = format!("xsrf={xsrf}&logout=yes");
    post.body(form).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_sign_in_at_a_certified_provider_through_every_proxy() {
    for stack in stacks() {
        let label_studio = stack.label_studio.port;
        let ports: Vec<u16> = (0..=KINDS.len()).map(|_| free_port()).collect();
        let include = "include label-studio-gate/gate.conf;";
        let both = format!("{include} include label-studio-gate/sign-in.conf;");
        let edits = [(include, both.as_str())];
        let nginx = Nginx::start_with(&binaries()[0], &ports[..1], label_studio, None, &edits);
        let others = KINDS.iter().zip(&ports[1..]);
        let others: Vec<Proxy> = others
            .map(|(kind, port)| Proxy::start(*kind, *port, label_studio))
            .collect();
        let urls = others.iter().map(|proxy| proxy.url.as_str());
        let origins: Vec<&str> = std::iter::once(nginx.url.as_str()).chain(urls).collect();

        let (files, port) = (Files::new(), free_port());
        let issuer = format!("https://localhost:{port}");
        let _provider = provider_for(
            port,
            &files.certificate,
            &files.key,
            &files.signing,
            &origins,
        );
        for (n, (origin, port)) in origins.iter().zip(&ports).enumerate() {
            let ends = if stack.engine == Engine::Database {
                "true"
            } else {
                "false"
            };
            let client_id = format!("gate-{n}");
            let settings = [
                ("GATE_LABEL_STUDIO_URL", *origin),
                ("GATE_SIGN_IN_ISSUER", issuer.as_str()),
                ("GATE_SIGN_IN_CLIENT_ID", client_id.as_str()),
                ("GATE_SIGN_IN_CLIENT_SECRET", "a-client-secret-of-the-tests"),
                ("GATE_SIGN_IN_CREATE_USERS", "true"),
                ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", ends),
                ("GATE_POLICY_ANONYMOUS", "require"),
                ("GATE_DATABASE_CACHE_SECONDS", "0"),
                (
                    "GATE_KEY_SERVER_CA_FILE",
                    files.certificate.to_str().unwrap(),
                ),
            ];
            let (engine, postgres) = (stack.engine, CLUSTER.port());
            let gate = GateProcess::start_on(*port, engine, postgres, &stack.database, &settings);
            let which = format!("{engine:?}, {origin}, {n}");

            // nginx leads pages to the provider; the others show a page that does.
            let client = browser(&files);
            let start = match n {
                0 => format!("{origin}/projects/"),
                _ => format!("{origin}/sso/start?next=/projects/"),
            };
            let form = open(&client, &start).await;
            let user = format!("user{n}");
            let answer = log_in(&client, form, &user).await;
            assert_eq!(
                answer.url().as_str(),
                format!("{origin}/projects/"),
                "{which}"
            );
            assert_eq!(answer.status(), 200, "{which}");
            let email = format!("{user}@example.com");
            assert_eq!(
                whoami(&client, origin).await,
                Some(email),
                "{which}: {}",
                gate.log()
            );

            // Out, here and at the provider, which asks; then its form appears again.
            let asks = open(&client, &format!("{origin}/sso/logout")).await;
            assert_eq!(asks.url().path(), "/session/end", "{which}");
            let out = confirm(&client, asks).await;
            assert_eq!(
                out.url().as_str(),
                format!("{origin}/sso/signed-out"),
                "{which}"
            );
            assert_eq!(whoami(&client, origin).await, None, "{which}");
            let form = open(&client, &format!("{origin}/sso/start?next=/projects/")).await;
            assert!(form.url().path().starts_with("/interaction/"), "{which}");

            // The provider ends the session by itself.
            if stack.engine == Engine::Database {
                log_in(&client, form, &user).await;
                assert!(whoami(&client, origin).await.is_some(), "{which}");
                leave(&client, &issuer).await;
                let said = || format!("{which}: {}", gate.log());
                wait_until(10, || gate.log().contains("signed out by provider"), said);
                assert_eq!(whoami(&client, origin).await, None, "{which}");
            }
            let logs = gate.log();
            assert!(
                !logs.contains("a-client-secret") && !logs.contains("eyJ"),
                "{which}"
            );
        }
        // nginx' log holds neither code nor state.
        let access = nginx.read("access.log");
        assert!(access.contains("/sso/callback?[code]"), "{access}");
        assert!(!access.contains("code="), "{access}");
    }
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
    wait_until(
        10,
        || wrong.log().contains("invalid_client"),
        || wrong.log(),
    );

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
            "out": "You are signed out",
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

#[tokio::test(flavor = "multi_thread")]
async fn users_sign_in_at_a_provider_of_another_make() {
    let stack = database_stack();
    let port = free_port();
    let nginx = Nginx::start(&binaries()[0], &[port], stack.label_studio.port);
    let provider = second_provider(&json!({
        "sub": "vera-at-op", "email": "vera@example.com", "email_verified": true,
        "given_name": "Vera", "family_name": "Other",
    }));
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let files = Files::new();
    let mut settings = settings(&files, &nginx.url, &issuer, "any");
    settings.push(("GATE_SIGN_IN_ALLOW_HTTP", "true"));
    let (engine, postgres) = (Engine::Database, CLUSTER.port());
    let gate = GateProcess::start_on(port, engine, postgres, &stack.database, &settings);
    let client = browser(&files);
    let start = format!("{}/sso/start?next=/projects/", nginx.url);
    let page = open(&client, &start).await;
    let at = page.url().clone();
    assert!(at.as_str().starts_with(&issuer), "{at} {}", gate.log());
    let post = client
        .post(at)
        .header("Accept", "text/html")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let answer = post.body("sub=vera-at-op").send().await.unwrap();
    assert_eq!(answer.url().path(), "/projects/", "{}", gate.log());
    let user = whoami(&client, &nginx.url).await;
    assert_eq!(user.as_deref(), Some("vera@example.com"), "{}", gate.log());
    let names = stack.sql(
        "SELECT first_name || ' ' || last_name FROM htx_user WHERE email = 'vera@example.com'",
    );
    assert_eq!(names, "Vera Other");
    let asks = open(&client, &format!("{}/sso/logout", nginx.url)).await;
    assert!(asks.url().as_str().starts_with(&issuer), "{}", asks.url());
    assert_eq!(whoami(&client, &nginx.url).await, None);
}
