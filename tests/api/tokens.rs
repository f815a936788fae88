//! `POST /api/sso/token`, answer for answer.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::actors::Caller;
use crate::app::TestApp;
use crate::support::token::{SECRET_KEY, now, sign, with};
use crate::world::{NO_CACHE, World};

const FEW_FAILURES: (&str, &str) = ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "3");

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_and_accepted() {
    let world = World::new(&[NO_CACHE]).await;
    let key = &world.superuser.key;
    for authorization in [
        format!("Token {key}"),
        format!("token   {key}"),
        format!("TOKEN {key}"),
    ] {
        let answer = world.caller(&authorization).issue(&world.ann.email).await;
        answer.expect_status(200);
        let body = answer.json();
        assert_eq!(body["expires_in"], 600);
        let token = body["token"].as_str().unwrap();
        let claims = payload(token);
        let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "user_id",
                "email",
                "iat",
                "exp",
                "iss",
                "aud",
                "jti",
                "gate_revocation"
            ]
        );
        assert_eq!(claims["user_id"], world.ann.id);
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            600
        );
        let browser = world.browser().with_token(token);
        browser.get("/").await.expect_user(&world.ann);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_answer() {
    let world = World::new(&[NO_CACHE]).await;
    let key = &world.superuser.key;
    let body = r#"{"email": "ann@example.com"}"#;
    let (required, invalid) = ("Authentication required", "Invalid API token");
    for (authorization, status, error) in [
        ("", 401, required),
        ("Basic YTpi", 401, required),
        ("Token", 401, invalid),
        ("Token wrong", 401, invalid),
        (&format!("Token {}1", &key[..39]), 401, invalid),
        (&format!("Token {}", key.to_uppercase()), 401, invalid),
        (&format!("Token {key} x"), 401, invalid),
        (&format!("Bearer {key}"), 401, invalid),
        (&world.bob.authorization(), 403, "Admin privileges required"),
    ] {
        let answer = world.caller(authorization);
        let answer = answer.post("/api/sso/token", body).await;
        answer.expect_json(status, &json!({"error": error}));
    }

    let large = format!("{{\"email\": \"{}\"}}", "x".repeat(100_000));
    let post = async |body| world.superuser.caller().post("/api/sso/token", body).await;
    for (body, error) in [
        ("", "Invalid JSON"),
        ("email=ann", "Invalid JSON"),
        ("[]", "Invalid JSON"),
        ("{}", "Email required"),
        (r#"{"email": ""}"#, "Email required"),
        (r#"{"email": 7}"#, "Email required"),
    ] {
        let answer = post(body).await;
        answer.expect_json(400, &json!({"error": error}));
    }
    post(&large).await.expect_status(400);
    let unknown = world.superuser.caller().issue("nobody@example.com").await;
    unknown.expect_json(
        422,
        &json!({
            "success": false, "error": "User not found: nobody@example.com", "error_code": "USER_NOT_FOUND",
            "email": "nobody@example.com",
        }),
    );
    let get = world.app.get("/api/sso/token").await;
    get.expect_status(405).expect_header("Allow", Some("POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_by_their_address() {
    let world = World::new(&[NO_CACHE]).await;
    world.user("Mixed@Example.com").await;
    let twin = world.user("twin@example.com").await;
    world.user("Twin@example.com").await;
    let caller = world.superuser.caller();
    let error_code = async |email| caller.issue(email).await.json()["error_code"].clone();
    caller.issue("mixed@example.COM").await.expect_status(200);
    caller.issue("Twin@example.com").await.expect_status(200);
    assert_eq!(error_code("TWIN@example.com").await, "USER_NOT_FOUND");
    world.update(&twin, "is_active = false").await;
    assert_eq!(error_code("twin@example.com").await, "USER_INACTIVE");
    world.remove(&world.ann).await;
    assert_eq!(error_code("ann@example.com").await, "USER_REMOVED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_switch_decides_about_legacy_tokens() {
    let world = World::new(&[NO_CACHE]).await;
    let (database, superuser, ann) = (&world.database, &world.superuser, &world.ann);
    let switch_off = "UPDATE jwt_auth_jwtsettings SET legacy_api_tokens_enabled = false";
    database.run(switch_off).await;
    let answer = superuser.issue(ann).await;
    answer
        .expect_status(401)
        .expect_text("Legacy API tokens are switched off")
        .expect_text("personal access token");

    let allowing = world.gate(&[("GATE_TOKEN_ISSUE_LEGACY_API_TOKENS", "allow")]);
    let caller = superuser.caller();
    let answer = caller.before(&allowing).issue(&ann.email).await;
    answer.expect_status(200);

    // Without a row they are off since Label Studio 1.22, and on in older versions.
    database.run("DELETE FROM jwt_auth_jwtsettings").await;
    superuser.issue(ann).await.expect_status(401);
    database
        .run("DELETE FROM django_migrations WHERE app = 'jwt_auth'")
        .await;
    let before_1_22 = world.gate(&[]);
    let answer = caller.before(&before_1_22).issue(&ann.email).await;
    answer.expect_status(200);
    let migration =
        "INSERT INTO django_migrations (app, name, applied) VALUES ('jwt_auth', '0002_x', now())";
    database.run(migration).await;
    // Without an active organization Label Studio doesn't check.
    world
        .update(superuser, "active_organization_id = NULL")
        .await;
    superuser.issue(ann).await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_api_tokens_are_judged_as_label_studio_judges_them() {
    let world = World::new(&[NO_CACHE]).await;
    let (superuser, ann) = (&world.superuser, &world.ann);
    let good = json!({
        "token_type": "access", "exp": now() + 300, "iat": now(), "jti": "a1", "user_id": superuser.id.to_string(),
    });
    let issue = async |algorithm, secret, changes: &Value| {
        let token = sign(algorithm, secret, &with(good.clone(), changes));
        let caller = world.caller(&format!("Bearer {token}"));
        caller.issue(&ann.email).await
    };
    let status = async |changes: &Value| issue(Algorithm::HS256, SECRET_KEY, changes).await.status;
    let personal = json!({"token_type": "refresh", "exp": now() + 6_307_200_000_i64});
    for (changes, expected) in [
        (json!({}), 200),
        (json!({"user_id": superuser.id}), 200),
        (personal, 200),
        (json!({"iat": null}), 200),
        (json!({"user_id": ann.id}), 403),
        (json!({"token_type": "sliding"}), 401),
        (json!({"token_type": null}), 401),
        (json!({"exp": now()}), 401),
        (json!({"exp": null}), 401),
        (json!({"exp": "never"}), 401),
        (json!({"jti": null}), 401),
        (json!({"iat": now() + 600}), 401),
        (json!({"nbf": now() + 600}), 401),
        (json!({"user_id": true}), 401),
        (json!({"user_id": 999_999}), 401),
    ] {
        assert_eq!(status(&changes).await, expected, "{changes}");
    }
    for (algorithm, secret) in [
        (Algorithm::HS256, "another"),
        (Algorithm::HS512, SECRET_KEY),
    ] {
        let answer = issue(algorithm, secret, &json!({})).await;
        answer.expect_status(401);
    }
    world
        .database
        .run("INSERT INTO token_blacklist_outstandingtoken (token, expires_at, jti) VALUES ('x.y', now(), 'a1');
              INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT now(), id FROM token_blacklist_outstandingtoken")
        .await;
    assert_eq!(status(&json!({})).await, 401, "revoked");
    let other = json!({"jti": "a2"});
    assert_eq!(status(&other).await, 200);
    let switch_off = "UPDATE jwt_auth_jwtsettings SET api_tokens_enabled = false";
    world.database.run(switch_off).await;
    assert_eq!(status(&other).await, 401, "switched off");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_a_common_beginning_are_told_apart() {
    let world = World::new(&[NO_CACHE]).await;
    let twin = format!("{}{}", &world.superuser.key[..8], "f".repeat(32));
    for (key, user) in [(twin.as_str(), &world.bob), ("shorty", &world.staff)] {
        let change = format!(
            "UPDATE authtoken_token SET key = '{key}' WHERE user_id = {}",
            user.id
        );
        world.database.run(&change).await;
    }
    let superuser = world.superuser.authorization();
    for (authorization, status) in [
        (superuser.as_str(), 200),
        (&format!("Token {twin}"), 403),
        ("Token shorty", 200),
        ("Token short", 401),
    ] {
        let answer = world.caller(authorization).issue("ann@example.com").await;
        answer.expect_status(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_over_the_rate_limit_is_told_when_to_retry() {
    let world = World::new(&[
        ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "5"),
        ("GATE_TOKEN_ISSUE_RATE_LIMIT_PER_SECOND", "1"),
    ])
    .await;
    let answers = join_all((0..20).map(|_| world.superuser.issue(&world.ann))).await;
    let with = |status| answers.iter().filter(|it| it.status == status).count();
    assert!(with(200) >= 1 && with(429) >= 1, "{answers:?}");
    assert_eq!(with(200) + with(429), 20, "{answers:?}");
    for n in 0..7 {
        let caller = world.caller(&format!("Token wrong{n}"));
        caller.issue(&world.ann.email).await;
    }
    let last = world.caller("Token wrong").issue(&world.ann.email).await;
    last.expect_json(429, &json!({"error": "Too many requests"}));
    let retry_after: u64 = last.header("Retry-After").unwrap().parse().unwrap();
    assert!(retry_after >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_met_one_outage_do_not_return_in_one_second() {
    let app = TestApp::start("postgres://gate@127.0.0.1:1/nowhere", &[]);
    let caller = Caller::of(&app).with_authorization("Token x");
    let mut waits = HashSet::new();
    for _ in 0..30 {
        let answer = caller.issue("ann@example.com").await;
        answer.expect_status(503);
        let seconds: u8 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=3).contains(&seconds), "{seconds}");
        waits.insert(seconds);
    }
    assert!(waits.len() > 1, "{waits:?}");
}

/// Many applications may call from one address: a NAT, a load balancer.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_api_tokens_of_an_address_never_lock_out_the_right_one() {
    let world = World::new(&[FEW_FAILURES]).await;
    let (superuser, ann) = (&world.superuser, &world.ann);
    for n in 0..10 {
        let caller = world.caller(&format!("Token wrong{n}"));
        let status = if n < 3 { 401 } else { 429 };
        caller.issue(&ann.email).await.expect_status(status);
    }
    superuser.issue(ann).await.expect_status(200);
    superuser.revoke(ann).await.expect_status(200);
    let wrong = world.caller("Token wrong").issue(&ann.email).await;
    wrong.expect_status(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_api_tokens_are_counted_for_the_address_that_a_trusted_proxy_names() {
    let world = World::new(&[FEW_FAILURES]).await;
    let wrong = |app| Caller::of(app).with_authorization("Token wrong");
    let status = async |app, address: &str| {
        let caller = wrong(app).at(address);
        caller.issue("ann@example.com").await.status
    };
    // One address, or one customer's network, and others beside it.
    for (caller, neighbor, other) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::3", "2001:db8:1:2:ff::4", "2001:db8:1:3::3"),
    ] {
        for _ in 0..3 {
            assert_eq!(status(&world.app, caller).await, 401, "{caller}");
        }
        assert_eq!(status(&world.app, neighbor).await, 429, "{neighbor}");
        assert_eq!(status(&world.app, other).await, 401, "{other}");
    }
    // From anybody else the header is only what a caller claims.
    let wary = world.gate(&[FEW_FAILURES, ("GATE_HTTP_TRUSTED_PROXIES", "192.0.2.7")]);
    for n in 0..5 {
        let address = format!("192.0.2.{n}");
        let expected = if n < 3 { 401 } else { 429 };
        assert_eq!(status(&wary, &address).await, expected, "{address}");
    }
}
