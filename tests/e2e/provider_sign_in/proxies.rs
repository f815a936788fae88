//! Sign-in at a certified provider over HTTPS through every kind of proxy, with each session engine: in, out,
//! and out at the provider; and what the browser sees while the provider fails.

use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::{browser, confirm, leave, log_in, open, whoami};
use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::provider_for;
use crate::proxy::{KINDS, Proxy};
use crate::stack::{Engine, GateProcess, Stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::{free_port, wait_until};

/// Label Studio behind one proxy and one gate.
struct Site<'s> {
    origin: &'s str,
    gate: GateProcess,
    /// A browser that is signed in at the provider once it has signed in here.
    client: Client,
    user: String,
    /// Which one it is, for messages.
    which: String,
}

impl<'s> Site<'s> {
    /// The gate on this port, the client `gate-n` of the provider.
    fn start(
        stack: &Stack,
        n: usize,
        (origin, port): (&'s str, u16),
        issuer: &str,
        files: &Files,
    ) -> Self {
        let ends = (stack.engine == Engine::Database).to_string();
        let client_id = format!("gate-{n}");
        let settings = [
            ("GATE_LABEL_STUDIO_URL", origin),
            ("GATE_SIGN_IN_ISSUER", issuer),
            ("GATE_SIGN_IN_CLIENT_ID", client_id.as_str()),
            ("GATE_SIGN_IN_CLIENT_SECRET", "a-client-secret-of-the-tests"),
            ("GATE_SIGN_IN_CREATE_USERS", "true"),
            ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", ends.as_str()),
            ("GATE_POLICY_ANONYMOUS", "require"),
            ("GATE_DATABASE_CACHE_SECONDS", "0"),
            (
                "GATE_KEY_SERVER_CA_FILE",
                files.certificate.to_str().unwrap(),
            ),
        ];
        let (engine, postgres) = (stack.engine, CLUSTER.port());
        Self {
            gate: GateProcess::start_on(port, engine, postgres, &stack.database, &settings),
            client: browser(files),
            user: format!("user{n}"),
            which: format!("{engine:?}, {origin}, {n}"),
            origin,
        }
    }

    fn start_url(&self) -> String {
        format!("{}/sso/start?next=/projects/", self.origin)
    }

    /// The page that a sign-in ends on, with its text.
    async fn expect_page(&self, status: u16, reason: &str) {
        let page = open(&self.client, &self.start_url()).await;
        let (at, found) = (page.url().clone(), page.status());
        let text = page.text().await.unwrap();
        let which = || format!("{}: {reason}: {found} at {at}: {text}", self.which);
        assert!(found == status && text.contains(reason), "{}", which());
        assert_eq!(whoami(&self.client, self.origin).await, None, "{}", which());
    }

    /// Waits until the gate knows what the provider publishes.
    async fn expect_the_provider_known(&self) {
        let client = crate::support::client_builder().redirect(Policy::none());
        let client = client.build().unwrap();
        for _ in 0..120 {
            if open(&client, &self.start_url()).await.status() == 303 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("{}: the provider is back, and nobody notices", self.which);
    }

    /// Signs in with nothing asked, and returns where that leads.
    async fn sign_in(&self) -> String {
        let page = open(&self.client, &self.start_url()).await;
        page.url().to_string()
    }

    /// Out, here and at the provider, which asks; then its form appears again.
    async fn sign_out(&self) {
        let asks = open(&self.client, &format!("{}/sso/logout", self.origin)).await;
        assert_eq!(asks.url().path(), "/session/end", "{}", self.which);
        let out = confirm(&self.client, asks).await;
        let signed_out = format!("{}/sso/signed-out", self.origin);
        assert_eq!(out.url().as_str(), signed_out, "{}", self.which);
        assert_eq!(
            whoami(&self.client, self.origin).await,
            None,
            "{}",
            self.which
        );
    }

    async fn expect_user(&self) {
        let email = format!("{}@example.com", self.user);
        let found = whoami(&self.client, self.origin).await;
        assert_eq!(found, Some(email), "{}: {}", self.which, self.gate.log());
    }
}

/// The faults that the provider has from now on (`provider.mjs`).
async fn let_fail(control: &Client, issuer: &str, faults: Value) {
    let told = control.post(format!("{issuer}/faults")).json(&faults);
    assert_eq!(told.send().await.unwrap().status(), 204);
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
        let (certificate, key) = (&files.certificate, &files.key);
        let _provider = provider_for(port, certificate, key, &files.signing, &origins);
        let control = browser(&files);
        let fails = async |faults: Value| let_fail(&control, &issuer, faults).await;

        fails(json!({"down": ["/.well-known/"]})).await;
        let places = origins.iter().copied().zip(ports.iter().copied());
        let sites: Vec<Site<'_>> = places
            .enumerate()
            .map(|(n, place)| Site::start(stack, n, place, &issuer, &files))
            .collect();
        for site in &sites {
            site.expect_page(503, "provider_unavailable").await;
        }
        signs_nobody_in_while_it_fails(&sites, &fails).await;

        fails(json!({"skew": 50, "thin": true})).await;
        for (n, site) in sites.iter().enumerate() {
            // nginx leads pages to the provider; the others show a page that does.
            let page = match n {
                0 => open(&site.client, &format!("{}/projects/", site.origin))
                    .await
                    .url()
                    .to_string(),
                _ => site.sign_in().await,
            };
            assert_eq!(page, format!("{}/projects/", site.origin), "{}", site.which);
            site.expect_user().await;
        }
        fails(json!({})).await;
        for site in &sites {
            sessions_end_here_and_there(stack, site, &issuer).await;
            let logs = site.gate.log();
            assert!(
                !logs.contains("a-client-secret") && !logs.contains("eyJ"),
                "{}",
                site.which
            );
        }
        // Signing out works here although the provider does not answer any more.
        fails(json!({"down": ["/session/end"]})).await;
        for site in &sites {
            let asks = open(&site.client, &format!("{}/sso/logout", site.origin)).await;
            assert_eq!(
                (asks.url().path(), asks.status().as_u16()),
                ("/session/end", 503),
                "{}",
                site.which
            );
            assert_eq!(
                whoami(&site.client, site.origin).await,
                None,
                "{}",
                site.which
            );
        }
        nginx_names_no_port_of_its_own(&nginx.url).await;
        // nginx's log holds neither code nor state.
        let access = nginx.read("access.log");
        assert!(access.contains("/sso/callback?[code]"), "{access}");
        assert!(!access.contains("code="), "{access}");
    }
}

/// A container's port is another one outside, and a load balancer has another scheme.
async fn nginx_names_no_port_of_its_own(origin: &str) {
    let client = crate::support::client_builder().redirect(Policy::none());
    let client = client.build().unwrap();
    for (path, expected) in [
        ("/user/login/?next=/projects/", "/sso/start?next=/projects/"),
        ("/logout", "/sso/logout"),
    ] {
        let asked = client.get(format!("{origin}{path}"));
        let answer = asked
            .header("Host", "studio.test:8443")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["Location"], expected);
    }
}

/// The provider down at each step, and with a clock of its own. In the end, every client has a session there.
async fn signs_nobody_in_while_it_fails(sites: &[Site<'_>], fails: &impl AsyncFn(Value)) {
    // Its metadata can be read, its keys can't.
    fails(json!({"down": ["/jwks"]})).await;
    for site in sites {
        site.expect_the_provider_known().await;
        let form = open(&site.client, &site.start_url()).await;
        let page = log_in(&site.client, form, &site.user).await;
        let (status, text) = (page.status(), page.text().await.unwrap());
        let down = status == 503 && text.contains("key_server_unavailable");
        assert!(down, "{}: {status} {text}", site.which);
    }
    // The clock is checked with keys alone; they come back now.
    fails(json!({"skew": 300})).await;
    for site in sites {
        for _ in 0..120 {
            let page = open(&site.client, &site.start_url()).await;
            if page.status() != 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    for (faults, status, reason) in [
        (json!({"skew": 300}), 401, "token_not_yet_valid"),
        (json!({"skew": -4000}), 401, "token_expired"),
        (json!({"down": ["/token"]}), 503, "provider_unavailable"),
        (
            json!({"down": ["/me"], "thin": true}),
            503,
            "provider_unavailable",
        ),
    ] {
        fails(faults).await;
        for site in sites {
            site.expect_page(status, reason).await;
        }
    }
}

async fn sessions_end_here_and_there(stack: &Stack, site: &Site<'_>, issuer: &str) {
    let Site { client, which, .. } = site;
    site.sign_out().await;
    let form = open(client, &site.start_url()).await;
    assert!(form.url().path().starts_with("/interaction/"), "{which}");
    log_in(client, form, &site.user).await;
    site.expect_user().await;
    if stack.engine != Engine::Database {
        return;
    }
    // The provider ends the session by itself.
    leave(client, issuer).await;
    let said = || format!("{which}: {}", site.gate.log());
    wait_until(|| site.gate.log().contains("signed out by provider"), said);
    assert_eq!(whoami(client, site.origin).await, None, "{which}");
    let form = open(client, &site.start_url()).await;
    log_in(client, form, &site.user).await;
}
