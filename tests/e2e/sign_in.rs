//! Requiring sign-in, signing in and out, and ending sessions: through nginx, in front of the real
//! Label Studio.

use reqwest::header::{HeaderMap, LOCATION};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess, Stack, nginx_proxies, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::token::native;

/// nginx in front of a gate with these settings and of that stack's Label Studio.
pub fn start_proxy(stack: &Stack, settings: &[(&str, &str)]) -> (Nginx, GateProcess) {
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, settings);
    let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
    (proxy, gate)
}

fn html(path: &str, browser: &Browser) -> reqwest::RequestBuilder {
    let url = browser.at(path);
    let request = browser.client.get(url);
    request.header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

fn location(headers: &HeaderMap) -> &str {
    headers
        .get(LOCATION)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sign_in_is_required_pages_redirect_to_the_host_application() {
    for stack in stacks() {
        let settings = [
            ("GATE_POLICY_ANONYMOUS", "require"),
            ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/login"),
            ("GATE_POLICY_OPEN_PATHS", "/health, /static/*"),
        ];
        let (proxy, _gate) = start_proxy(stack, &settings);
        let browser = Browser::new(&proxy.url);
        let answer = html("/projects/1?tab=2", &browser).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let back: String = url_encoded(&format!("{}/projects/1?tab=2", proxy.url));
        assert_eq!(
            location(answer.headers()),
            format!("https://app.example.com/login?next={back}")
        );
        let answer = browser.get("/api/projects/").await;
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key("WWW-Authenticate"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["reason"], "sign_in_required");
        assert_eq!(browser.get("/health").await.status(), 200);
        // Label Studio's own API credentials still count.
        let api = browser.client.get(browser.at("/api/projects/")).header(
            "Authorization",
            format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
        );
        assert_eq!(api.send().await.unwrap().status(), 200);

        let user = stack.user(&format!("required{:?}@example.test", stack.engine));
        let browser = Browser::new(&proxy.url).with_token(&native(user));
        assert!(browser.whoami().await.is_some());
        assert_eq!(
            html("/projects/", &browser).send().await.unwrap().status(),
            200
        );
        // After the sign-out the session is invalid at once.
        let session = browser.cookie("sessionid").unwrap();
        let own = ("Referer", format!("{}/projects/", proxy.url));
        let sign_out = html("/sso/logout", &browser).header(own.0, own.1);
        let answer = sign_out.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), location(answer.headers())),
            (303, "/sso/signed-out")
        );
        assert_eq!(browser.cookie("sessionid"), None);
        if stack.engine == Engine::Database {
            browser.set("sessionid", &session);
            assert_eq!(browser.get("/api/projects/").await.status(), 401);
        }
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_token_in_its_address_signs_in_and_redirects_without_it() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("link{}@example.test", crate::login::fresh());
        let user = stack.user(&email);
        let token = native(user);
        let browser = Browser::new(&proxy.url);
        let page = html(&format!("/projects/?token={token}&page=2"), &browser);
        let answer = page.send().await.unwrap();
        assert_eq!(answer.status(), 303, "{which}");
        assert_eq!(location(answer.headers()), "/projects/?page=2", "{which}");
        assert_eq!(answer.headers()["Referrer-Policy"], "no-referrer");
        assert_eq!(browser.whoami().await, Some(email.clone()), "{which}");

        // The documented sign-in link.
        let browser = Browser::new(&proxy.url);
        let link = html(
            &format!("/sso/login?token={token}&next=/projects/"),
            &browser,
        );
        let answer = link.send().await.unwrap();
        let there = location(answer.headers());
        assert_eq!(
            (answer.status().as_u16(), there),
            (303, "/projects/"),
            "{which}"
        );
        assert_eq!(browser.whoami().await, Some(email.clone()), "{which}");

        // The form, which leaves no token in any address.
        let browser = Browser::new(&proxy.url);
        let form = [("token", token.as_str()), ("next", "/projects/")];
        let answer = browser
            .client
            .post(browser.at("/sso/login"))
            .form(&form)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), location(answer.headers())),
            (303, "/projects/"),
            "{which}"
        );
        assert_eq!(browser.whoami().await, Some(email), "{which}");

        // A link with an unacceptable token, and one of an unknown user.
        for (token, status, words) in [
            (
                "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned(),
                401,
                "This link could not be verified",
            ),
            (native(999_999), 403, "have access to this Label Studio"),
        ] {
            let browser = Browser::new(&proxy.url);
            let answer = html(&format!("/projects/?token={token}"), &browser)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), status, "{which}");
            let id = answer.headers()["X-Request-Id"]
                .to_str()
                .unwrap()
                .to_owned();
            let text = answer.text().await.unwrap();
            assert!(
                text.contains(words) && text.contains(&id),
                "{which}: {text}"
            );
        }
        // Requests that are not for pages are refused with JSON.
        let browser = Browser::new(&proxy.url).with_token(&native(999_999));
        let answer = browser.get("/api/projects/").await;
        assert_eq!(answer.status(), 403, "{which}");
        assert_eq!(
            browser.cookie("ls_auth_token"),
            None,
            "{which}: the token is taken away with the refusal"
        );
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["reason"], "user_unknown", "{which}");
        // When Label Studio itself refuses, its own answer passes through.
        let browser = Browser::new(&proxy.url);
        let answer = browser.get("/api/projects/").await;
        assert_eq!(answer.status(), 401, "{which}");
        let body: Value = answer.json().await.unwrap();
        assert!(body.get("detail").is_some(), "{which}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_ends_the_sessions_of_a_user_in_label_studio() {
    for stack in stacks() {
        CLUSTER.grant_with(&stack.database, "revoke=on");
        let proxy = &stack.proxies[0];
        let emails =
            ["revoked", "other"].map(|name| format!("{name}{:?}@example.test", stack.engine));
        let mut browsers = Vec::new();
        for email in &emails {
            let user = stack.user(email);
            for _ in 0..2 {
                let browser = Browser::new(&proxy.url).with_token(&native(user));
                assert_eq!(browser.whoami().await.as_ref(), Some(email));
                browsers.push(browser);
            }
        }
        let revoke = async |email: &str| {
            let request = crate::support::client()
                .post(format!("{}/api/sso/revoke", proxy.url))
                .header(
                    "Authorization",
                    format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
                )
                .json(&json!({"email": email}));
            request.send().await.unwrap()
        };
        assert_eq!(revoke(&emails[0]).await.status(), 200);
        for browser in &browsers[..2] {
            assert_eq!(browser.whoami().await, None, "{:?}", stack.engine);
        }
        for browser in &browsers[2..] {
            assert_eq!(
                browser.whoami().await.as_ref(),
                Some(&emails[1]),
                "{:?}",
                stack.engine
            );
        }
        if stack.engine == Engine::SignedCookies {
            // The administrator has a password.
            let answer = revoke(seeded("GATE_DEMO_ADMIN_EMAIL")).await;
            assert_eq!(answer.status(), 409);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_use_a_samesite_none_session() {
    let stack = stacks()[0];
    let settings = [
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    let (proxy, _gate) = start_proxy(stack, &settings);
    let user = stack.user("everywhere@example.test");
    // Through the stack's own proxy, because this client keeps no secure cookies over HTTP.
    let login = Browser::new(&stack.proxies[0].url).with_token(&native(user));
    assert!(login.whoami().await.is_some());
    let session = login.cookie("sessionid").unwrap();
    let post = async |origin: &str, site: &str| {
        let request = crate::support::client()
            .post(format!("{}/api/projects/", proxy.url))
            .header("Cookie", format!("sessionid={session}"))
            .header("Origin", origin)
            .header("Sec-Fetch-Site", site)
            .json(&json!({"title": "A project"}));
        let answer = request.send().await.unwrap();
        let reason = answer.headers().get("X-Gate-Reason");
        let reason = reason.map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), reason.unwrap_or_default())
    };
    let refused = (403, "cross_site_request".to_owned());
    assert_eq!(post("https://evil.test", "cross-site").await, refused);
    assert_eq!(post("null", "cross-site").await, refused);
    assert_eq!(post("https://evil.test", "same-site").await, refused);
    assert_eq!(post(&proxy.url, "same-origin").await.0, 201);
    assert_eq!(post("https://app.example.com", "cross-site").await.0, 201);
}
