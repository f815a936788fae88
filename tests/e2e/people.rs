//! Users created by the gate, as Label Studio itself sees them.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::token::{now, sign};

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

#[tokio::test(flavor = "multi_thread")]
async fn a_created_user_is_like_any_other() {
    for stack in stacks() {
        let settings = [
            ("JWT_SSO_SECRET", SHARED),
            ("JWT_SSO_AUTO_CREATE_USERS", "true"),
        ];
        let gate =
            GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings);
        let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
        let claims = json!({
            "email": "Created@Example.com", "first_name": "Cre", "last_name": "Ated", "iat": now(), "exp": now() + 600,
        });
        let token = sign(Algorithm::HS256, SHARED, &claims);
        let browser = Browser::new(&proxy.url).with_token(&token);
        assert_eq!(
            browser.whoami().await.as_deref(),
            Some("created@example.com")
        );
        for page in [
            "/projects/",
            "/user/account/",
            "/api/projects/",
            "/api/users/",
            "/api/current-user/token",
        ] {
            let status = browser.get(page).await.status();
            assert_eq!(status, 200, "{:?}: {page}", stack.engine);
        }

        // The administrator sees them among the members.
        let client = crate::support::client();
        let admin = format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN"));
        let ask = async |path: &str, authorization: &str| -> Value {
            let request = client
                .get(format!("{}{path}", proxy.url))
                .header("Authorization", authorization);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{:?}: {path}", stack.engine);
            answer.json().await.unwrap()
        };
        let members = ask("/api/organizations/1/memberships?page_size=100", &admin).await;
        let members = members["results"].as_array().unwrap().clone();
        let of_them = |member: &&Value| member["user"]["email"] == "created@example.com";
        let member = members.iter().find(of_them);
        let member = member.unwrap_or_else(|| panic!("not among {members:?}"));
        assert_eq!(member["user"]["first_name"], "Cre", "{member}");

        // The API token that was created for them works.
        let key = stack.sql("SELECT key FROM authtoken_token t JOIN htx_user u ON u.id = t.user_id WHERE email = 'created@example.com'");
        let whoami = ask("/api/current-user/whoami", &format!("Token {key}")).await;
        assert_eq!(whoami["email"], "created@example.com");

        // Nobody can log in with a password.
        let has_password =
            stack.sql("SELECT count(*) FROM htx_user WHERE email = 'created@example.com' AND password NOT LIKE '!%'");
        assert_eq!(has_password, "0");
    }
}

/// Logging in with an API token that Label Studio issued (`JWT_SSO_VERIFY_NATIVE_TOKEN`).
#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_api_tokens_log_in_where_that_is_switched_on() {
    let stack = crate::stack::database_stack();
    let settings = [
        ("JWT_SSO_VERIFY_NATIVE_TOKEN", "true"),
        ("GATE_DATABASE_CACHE_SECONDS", "0"),
    ];
    let gate =
        GateProcess::start_with(Engine::Database, CLUSTER.port(), &stack.database, &settings);
    let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
    let id = stack.user("personal@example.com");
    let native = crate::support::token::native(id);
    let owner = Browser::new(&proxy.url).with_token(&native);
    assert_eq!(
        owner.whoami().await.as_deref(),
        Some("personal@example.com")
    );
    let made = owner.client.post(format!("{}/api/token/", proxy.url));
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let personal = made["token"]
        .as_str()
        .unwrap_or_else(|| panic!("no token: {made}"));
    let fresh = owner
        .client
        .post(format!("{}/api/token/refresh", proxy.url))
        .json(&json!({"refresh": personal}));
    let fresh: Value = fresh.send().await.unwrap().json().await.unwrap();
    let access = fresh["access"].as_str().unwrap();
    for token in [personal, access] {
        let browser = Browser::new(&proxy.url).with_token(token);
        let email = browser.whoami().await;
        assert_eq!(email.as_deref(), Some("personal@example.com"));
        // A gate without that setting ignores the token.
        let browser = Browser::new(&stack.proxies[0].url).with_token(token);
        assert_eq!(browser.whoami().await, None);
    }
    // A token that was revoked in Label Studio is invalid here too.
    let revoke = owner
        .client
        .post(format!("{}/api/token/blacklist", proxy.url))
        .json(&json!({"refresh": personal}));
    assert!(revoke.send().await.unwrap().status().is_success());
    let browser = Browser::new(&proxy.url).with_token(personal);
    assert_eq!(browser.whoami().await, None);
}
