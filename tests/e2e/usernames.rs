//! Where users are found by their username, nobody may write one in Label Studio, whose members may
//! rename each other.

use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::login::fresh;
use crate::sign_in::start_proxy;
use crate::stack::stacks;
use crate::support::token::{SHARED_SECRET, native, now, sign};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cannot_take_over_the_name_of_another() {
    let stack = &stacks()[0];
    let secret = ("JWT_SSO_SECRET", SHARED_SECRET);
    let by_name = ("JWT_SSO_USERNAME_CLAIM", "preferred_username");
    let (open, _gate) = start_proxy(stack, &[secret]);
    let (protected, _gate) = start_proxy(stack, &[secret, by_name]);
    let member = async |name: &str| {
        let id = stack.user(&format!("{name}@example.test"));
        stack.sql(&format!(
            "UPDATE htx_user SET username = '{name}' WHERE id = {id}"
        ));
        id
    };
    let (attacker, victim) = (format!("mallory{}", fresh()), format!("victor{}", fresh()));
    let (mallory, victor) = (member(&attacker).await, member(&victim).await);
    let username = |id: i32| stack.sql(&format!("SELECT username FROM htx_user WHERE id = {id}"));
    let rename = async |url: &str, path: &str, name: &str| {
        let browser = Browser::new(url).with_token(&native(mallory));
        assert!(browser.whoami().await.is_some());
        let request = browser.client.request(Method::PATCH, browser.at(path));
        request
            .json(&json!({"username": name}))
            .send()
            .await
            .unwrap()
    };

    let paths = [
        format!("/api/users/{victor}/"),
        format!("/api/users/{victor}.json"),
        format!("/api/%75sers/{victor}/"),
        format!("/api/x/%2e%2e/users/{victor}/"),
        format!("/api//users/{victor}/"),
    ];
    for path in &paths {
        let answer = rename(&protected.url, path, "parked").await;
        assert_eq!(answer.status(), 403, "{path}");
        assert_eq!(
            answer.headers()["X-Gate-Reason"],
            "username_protected",
            "{path}"
        );
        assert_eq!(username(victor), victim, "{path}");
    }
    let claims = json!({"preferred_username": victim, "iat": now(), "exp": now() + 600});
    let token = sign(Algorithm::HS256, SHARED_SECRET, &claims);
    let browser = Browser::new(&protected.url).with_token(&token);
    assert_eq!(
        browser.whoami().await,
        Some(format!("{victim}@example.test"))
    );

    // What this is about: by itself, Label Studio allows it. Where users are found by their address,
    // so does the gate.
    assert_eq!(rename(&open.url, &paths[0], "parked").await.status(), 200);
    assert_eq!(username(victor), "parked");
}
