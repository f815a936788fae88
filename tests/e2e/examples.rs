//! The examples in `deploy/examples`, started and used as their users would, with Label Studio
//! behind nginx.

use reqwest::Url;
use serde_json::Value;

use crate::browser::Browser;
use crate::nginx::{Nginx, binaries};
use crate::programs::{Program, example, in_chromium, screenshot};
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;

const SHARED: &str = "a-secret-of-the-examples-that-two-services-share";
const VERIFY: &str = "verify-secret-of-the-examples";

/// An example, and Label Studio behind a gate that accepts what it issues.
struct Embedded {
    application: Program,
    proxy: Nginx,
    _gate: GateProcess,
}

impl Embedded {
    /// `settings` builds the gate's settings from the application's address.
    fn start(
        name: &str,
        client_cookie: Option<&str>,
        settings: impl FnOnce(&str) -> Vec<(&'static str, String)>,
    ) -> Self {
        let stack = database_stack();
        // The application needs Label Studio's address, nginx the gate's, and the gate the
        // application's.
        let gate_port = crate::support::free_port();
        let proxy = Nginx::start_for(
            &binaries()[0],
            &[gate_port],
            stack.label_studio.port,
            client_cookie,
        );
        let application = example(
            name,
            &[
                ("LABEL_STUDIO_URL", &proxy.url),
                ("JWT_SSO_SECRET", SHARED),
                ("JWT_SSO_SESSION_VERIFY_SECRET", VERIFY),
            ],
        );
        let all = settings(&application.url());
        let all: Vec<(&str, &str)> = all.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let gate = GateProcess::start_on(
            gate_port,
            Engine::Database,
            CLUSTER.port(),
            &stack.database,
            &all,
        );
        Self {
            application,
            proxy,
            _gate: gate,
        }
    }

    /// Signs in to the application. The browser sends its cookies to Label Studio too, because both
    /// are on one host.
    async fn sign_in(&self, user: &str) -> Browser {
        let browser = Browser::new(&self.application.url());
        let form = format!("username={user}&password={user}");
        let request = browser
            .client
            .post(format!("{}/login", self.application.url()))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let status = request.send().await.unwrap().status().as_u16();
        assert!(status == 302 || status == 303, "{status}");
        browser
    }

    /// Does what the application's page does.
    async fn open(&self, browser: &Browser) -> Url {
        let answer = browser.get("/api/label-studio-token").await;
        let answer: Value = answer.json().await.unwrap();
        let (url, token) = (answer["url"].as_str(), answer["token"].as_str());
        format!("{}/?token={}", url.unwrap(), token.unwrap())
            .parse()
            .unwrap()
    }

    async fn whoami(&self, browser: &Browser) -> Option<String> {
        let url = format!("{}/api/current-user/whoami", self.proxy.url);
        let answer = browser.client.get(url).send().await.unwrap();
        let found = answer.status().is_success();
        let body: Value = answer.json().await.unwrap();
        found.then(|| body["email"].as_str().unwrap().to_owned())
    }

    /// Signs in, opens Label Studio with the token from the page and from the link, and switches
    /// users.
    async fn shared_secret_works(&self) {
        for user in ["ann", "bob"] {
            let browser = self.sign_in(user).await;
            assert_eq!(self.whoami(&browser).await, None);
            let address = self.open(&browser).await;
            let answer = browser.client.get(address).send().await.unwrap();
            assert!(answer.status().as_u16() < 400, "{}", answer.status());
            let email = format!("{user}@example.com");
            assert_eq!(self.whoami(&browser).await, Some(email.clone()));

            let browser = self.sign_in(user).await;
            let answer = browser.get("/label-studio-link").await;
            let link = answer.headers()["Location"].to_str().unwrap().to_owned();
            browser.client.get(link).send().await.unwrap();
            assert_eq!(self.whoami(&browser).await, Some(email));
        }
    }

    /// Only the application's session, without a token.
    async fn session_works(&self) {
        for user in ["ann", "bob"] {
            let browser = self.sign_in(user).await;
            assert_eq!(
                self.whoami(&browser).await,
                Some(format!("{user}@example.com"))
            );
        }
        let nobody = Browser::new(&self.application.url());
        assert_eq!(self.whoami(&nobody).await, None);
    }
}

fn method_1(application: &str) -> Vec<(&'static str, String)> {
    vec![
        // The React page sends the token with a form.
        ("CORS_ALLOWED_ORIGINS", application.to_owned()),
        ("JWT_SSO_SECRET", SHARED.to_owned()),
        ("JWT_SSO_AUTO_CREATE_USERS", "true".to_owned()),
    ]
}

fn method_3(application: &str, cookie: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "JWT_SSO_SESSION_VERIFY_URL",
            format!("{application}/api/auth/verify-session"),
        ),
        ("JWT_SSO_SESSION_VERIFY_SECRET", VERIFY.to_owned()),
        ("JWT_SSO_SESSION_COOKIE_NAME", cookie.to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn express_with_jsonwebtoken() {
    let embedded = Embedded::start("express", None, method_1);
    embedded.shared_secret_works().await;
    // The plain page and the React page, in a real browser.
    for (path, name) in [("/", "express-plain"), ("/react", "express-react")] {
        let picture = screenshot(name);
        let arguments = [
            embedded.application.url(),
            path.to_owned(),
            "bob".to_owned(),
            picture.display().to_string(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let seen = tokio::task::block_in_place(|| in_chromium("embed.mjs", &arguments));
        assert_eq!(seen["email"], "bob@example.com", "{path}: {seen}");
        assert_eq!(seen["failed"], serde_json::json!([]), "{path}: {seen}");
        assert!(picture.metadata().unwrap().len() > 10_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn express_with_express_session() {
    let embedded = Embedded::start("express", Some("connect.sid"), |application| {
        method_3(application, "connect.sid")
    });
    embedded.session_works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flask_with_pyjwt() {
    Embedded::start("flask", None, method_1)
        .shared_secret_works()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn koa_with_jsonwebtoken() {
    Embedded::start("koa", None, method_1)
        .shared_secret_works()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn django_with_pyjwt_and_with_its_sessions() {
    Embedded::start("django", None, method_1)
        .shared_secret_works()
        .await;
    let embedded = Embedded::start("django", Some("app_sessionid"), |application| {
        method_3(application, "app_sessionid")
    });
    embedded.session_works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn published_keys_with_jose() {
    let embedded = Embedded::start("jwks", None, |issuer| {
        vec![
            (
                "GATE_EXTERNAL_JWKS_URL",
                format!("{issuer}/.well-known/jwks.json"),
            ),
            ("GATE_EXTERNAL_ISSUER", issuer.to_owned()),
            ("GATE_EXTERNAL_AUDIENCE", "label-studio".to_owned()),
            ("GATE_EXTERNAL_ALLOW_HTTP", "true".to_owned()),
            ("GATE_EXTERNAL_CREATE_USERS", "true".to_owned()),
            ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1".to_owned()),
        ]
    });
    let issuer = embedded.application.url();
    let client = crate::support::client();
    let post = async |path: &str| -> Value {
        let answer = client.post(format!("{issuer}{path}")).send().await;
        answer.unwrap().json().await.unwrap()
    };
    let login = async || {
        let token = post("/token?email=jose@example.com").await;
        let browser =
            Browser::new(&embedded.proxy.url).with_token(token["token"].as_str().unwrap());
        browser.whoami().await
    };
    assert_eq!(login().await.as_deref(), Some("jose@example.com"));
    // After a key rotation, the gate reads the new key because a token names it.
    post("/rotate").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(login().await.as_deref(), Some("jose@example.com"));
}
