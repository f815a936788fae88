//! Who must be signed in, signing in and out, and ending sessions: through nginx, before the real Label Studio.

use reqwest::header::{HeaderMap, LOCATION};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess, Stack, doors, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::token::native;

/// nginx before a gate with those settings, and before the Label Studio of that stack.
pub fn door(stack: &Stack, settings: &[(&str, &str)]) -> (Nginx, GateProcess) {
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, settings);
    let door = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
    (door, gate)
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
async fn where_everybody_must_be_signed_in_pages_lead_to_the_application() {
    for stack in stacks() {
        let settings = [
            ("GATE_POLICY_ANONYMOUS", "require"),
            ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/login"),
            ("GATE_POLICY_OPEN_PATHS", "/health, /static/*"),
        ];
        let (door, _gate) = door(stack, &settings);
        let browser = Browser::new(&door.url);
        let answer = html("/projects/1?tab=2", &browser).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let back: String = url_encoded(&format!("{}/projects/1?tab=2", door.url));
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
        let browser = Browser::new(&door.url).with_token(&native(user));
        assert!(browser.whoami().await.is_some());
        assert_eq!(
            html("/projects/", &browser).send().await.unwrap().status(),
            200
        );
        // Signed out, that session is worth nothing, at once.
        let session = browser.cookie("sessionid").unwrap();
        let own = ("Referer", format!("{}/projects/", door.url));
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
async fn a_page_with_a_token_in_its_address_is_signed_in_and_sent_to_the_clean_one() {
    for (stack, door, which) in doors() {
        let email = format!("link{}@example.test", crate::login::fresh());
        let user = stack.user(&email);
        let token = native(user);
        let browser = Browser::new(&door.url);
        let page = html(&format!("/projects/?token={token}&page=2"), &browser);
        let answer = page.send().await.unwrap();
        assert_eq!(answer.status(), 303, "{which}");
        assert_eq!(location(answer.headers()), "/projects/?page=2", "{which}");
        assert_eq!(answer.headers()["Referrer-Policy"], "no-referrer");
        assert_eq!(browser.whoami().await, Some(email.clone()), "{which}");

        // The link of the contract.
        let browser = Browser::new(&door.url);
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

        // The form, which leaves no trace in any address.
        let browser = Browser::new(&door.url);
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

        // A link that is not acceptable, and one of somebody unknown.
        for (token, status, words) in [
            (
                "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned(),
                401,
                "This link has expired",
            ),
            (native(999_999), 403, "have access to this Label Studio"),
        ] {
            let browser = Browser::new(&door.url);
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
        // In place, where it is no page: refused with JSON.
        let browser = Browser::new(&door.url).with_token(&native(999_999));
        let answer = browser.get("/api/projects/").await;
        assert_eq!(answer.status(), 403, "{which}");
        assert_eq!(
            browser.cookie("ls_auth_token"),
            None,
            "{which}: the token is taken away with the refusal"
        );
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["reason"], "user_unknown", "{which}");
        // What Label Studio itself refuses is its own answer.
        let browser = Browser::new(&door.url);
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
        let door = &stack.doors[0];
        let emails =
            ["revoked", "other"].map(|name| format!("{name}{:?}@example.test", stack.engine));
        let mut browsers = Vec::new();
        for email in &emails {
            let user = stack.user(email);
            for _ in 0..2 {
                let browser = Browser::new(&door.url).with_token(&native(user));
                assert_eq!(browser.whoami().await.as_ref(), Some(email));
                browsers.push(browser);
            }
        }
        let revoke = async |email: &str| {
            let request = crate::support::client()
                .post(format!("{}/api/sso/revoke", door.url))
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
async fn a_foreign_page_cannot_act_with_a_session_that_goes_everywhere() {
    let stack = stacks()[0];
    let settings = [
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com"),
    ];
    let (door, _gate) = door(stack, &settings);
    let user = stack.user("everywhere@example.test");
    // By the stack's own door, since this client keeps no secure cookie over HTTP.
    let login = Browser::new(&stack.doors[0].url).with_token(&native(user));
    assert!(login.whoami().await.is_some());
    let session = login.cookie("sessionid").unwrap();
    let post = async |origin: &str, site: &str| {
        let request = crate::support::client()
            .post(format!("{}/api/projects/", door.url))
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
    assert_eq!(post(&door.url, "same-origin").await.0, 201);
    assert_eq!(post("https://app.example.com", "cross-site").await.0, 201);
}
