//! `POST /api/sso/token`, answer for answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::app::{TestApp, TestDatabase};
use crate::support::token::{SECRET_KEY, now, sign, with};

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "Token 0123456789abcdef0123456789abcdef01234567";
const BODY: &str = r#"{"email": "worker@example.com"}"#;
const FEW_FAILURES: (&str, &str) = ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "3");

struct World {
    database: TestDatabase,
    app: TestApp,
    organization: i32,
    admin: i32,
    worker: i32,
}

async fn world() -> World {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    World {
        organization,
        admin: database.admin(organization, KEY).await,
        worker: database.user("worker@example.com", organization).await,
        app: TestApp::start(
            &database.gate_url(),
            &[("GATE_DATABASE_CACHE_SECONDS", "0")],
        ),
        database,
    }
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_and_accepted() {
    let world = world().await;
    for authorization in [
        TOKEN.to_owned(),
        format!("token   {KEY}"),
        format!("TOKEN {KEY}"),
    ] {
        let answer = world.app.issue(&authorization, BODY).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert_eq!(body["expires_in"], 600);
        let token = body["token"].as_str().unwrap();
        let claims = payload(token);
        let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["user_id", "email", "iat", "exp", "iss", "aud", "jti"]
        );
        assert_eq!(claims["user_id"], world.worker);
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            600
        );
        let check = world
            .app
            .check("/", &format!("ls_auth_token={token}"))
            .await;
        assert_eq!(
            check.header("X-Gate-User-Id").unwrap(),
            world.worker.to_string()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_answer() {
    let world = world().await;
    let plain = "fedcba9876543210fedcba9876543210fedcba98";
    world
        .database
        .run(&format!(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES ('{plain}', now(), {})",
            world.worker
        ))
        .await;
    let missing = json!({"success": false, "error": "User not found: nobody@example.com", "error_code": "USER_NOT_FOUND", "email": "nobody@example.com"});
    for (authorization, body, status, expected) in [
        ("", BODY, 401, json!({"error": "Authentication required"})),
        (
            "Basic YTpi",
            BODY,
            401,
            json!({"error": "Authentication required"}),
        ),
        ("Token", BODY, 401, json!({"error": "Invalid API token"})),
        (
            "Token wrong",
            BODY,
            401,
            json!({"error": "Invalid API token"}),
        ),
        (
            "Token 0123456789abcdef0123456789abcdef01234568",
            BODY,
            401,
            json!({"error": "Invalid API token"}),
        ),
        (
            "Token 0123456789ABCDEF0123456789abcdef01234567",
            BODY,
            401,
            json!({"error": "Invalid API token"}),
        ),
        (
            "Token 0123456789abcdef0123456789abcdef01234567 x",
            BODY,
            401,
            json!({"error": "Invalid API token"}),
        ),
        (
            "Bearer 0123456789abcdef0123456789abcdef01234567",
            BODY,
            401,
            json!({"error": "Invalid API token"}),
        ),
        (
            &format!("Token {plain}"),
            BODY,
            403,
            json!({"error": "Admin privileges required"}),
        ),
        (TOKEN, "", 400, json!({"error": "Invalid JSON"})),
        (TOKEN, "email=worker", 400, json!({"error": "Invalid JSON"})),
        (TOKEN, "[]", 400, json!({"error": "Invalid JSON"})),
        (TOKEN, "{}", 400, json!({"error": "Email required"})),
        (
            TOKEN,
            r#"{"email": ""}"#,
            400,
            json!({"error": "Email required"}),
        ),
        (
            TOKEN,
            r#"{"email": 7}"#,
            400,
            json!({"error": "Email required"}),
        ),
        (TOKEN, r#"{"email": "nobody@example.com"}"#, 422, missing),
    ] {
        let answer = world.app.issue(authorization, body).await;
        assert_eq!(
            (answer.status, answer.json()),
            (status, expected),
            "{authorization} {body}"
        );
    }
    let large = format!("{{\"email\": \"{}\"}}", "x".repeat(100_000));
    assert_eq!(world.app.issue(TOKEN, &large).await.status, 400);
    let get = world.app.get("/api/sso/token").await;
    assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_by_their_address() {
    let world = world().await;
    let organization = world.organization;
    world.database.user("Mixed@Example.com", organization).await;
    world.database.user("twin@example.com", organization).await;
    world.database.user("Twin@example.com", organization).await;
    let ask = async |email: &str| {
        world
            .app
            .issue(TOKEN, &json!({"email": email}).to_string())
            .await
    };
    assert_eq!(ask("mixed@example.COM").await.status, 200);
    assert_eq!(ask("Twin@example.com").await.status, 200);
    assert_eq!(
        ask("TWIN@example.com").await.json()["error_code"],
        "USER_NOT_FOUND"
    );
    let inactive = "UPDATE htx_user SET is_active = false WHERE email = 'twin@example.com'";
    world.database.run(inactive).await;
    assert_eq!(
        ask("twin@example.com").await.json()["error_code"],
        "USER_INACTIVE"
    );
    world
        .database
        .run("UPDATE organizations_organizationmember SET deleted_at = now()")
        .await;
    assert_eq!(
        ask("worker@example.com").await.json()["error_code"],
        "USER_REMOVED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_switch_decides_about_legacy_tokens() {
    let world = world().await;
    let settings = "UPDATE jwt_auth_jwtsettings SET";
    world
        .database
        .run(&format!("{settings} legacy_api_tokens_enabled = false"))
        .await;
    let answer = world.app.issue(TOKEN, BODY).await;
    assert_eq!(answer.status, 401);
    let text = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.contains("Legacy API tokens are switched off")
            && text.contains("personal access token"),
        "{text}"
    );

    let allowing = TestApp::start(
        &world.database.gate_url(),
        &[("GATE_TOKEN_ISSUE_LEGACY_API_TOKENS", "allow")],
    );
    assert_eq!(allowing.issue(TOKEN, BODY).await.status, 200);

    // No row: off since 1.22, on before. Without an active organization Label Studio doesn't ask.
    world.database.run("DELETE FROM jwt_auth_jwtsettings").await;
    assert_eq!(world.app.issue(TOKEN, BODY).await.status, 401);
    world.database.run("DELETE FROM django_migrations").await;
    let before_1_22 = TestApp::start(&world.database.gate_url(), &[]);
    assert_eq!(before_1_22.issue(TOKEN, BODY).await.status, 200);
    world.database.run("INSERT INTO django_migrations (app, name, applied) VALUES ('jwt_auth', '0002_x', now())").await;
    world
        .database
        .run(&format!(
            "UPDATE htx_user SET active_organization_id = NULL WHERE id = {}",
            world.admin
        ))
        .await;
    assert_eq!(world.app.issue(TOKEN, BODY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_api_tokens_are_judged_as_label_studio_judges_them() {
    let world = world().await;
    let good = json!({"token_type": "access", "exp": now() + 300, "iat": now(), "jti": "a1", "user_id": world.admin.to_string()});
    let bearer = |changes: Value| {
        format!(
            "Bearer {}",
            sign(Algorithm::HS256, SECRET_KEY, &with(good.clone(), &changes))
        )
    };
    for (changes, status) in [
        (json!({}), 200),
        (json!({"user_id": world.admin}), 200),
        (
            json!({"token_type": "refresh", "exp": now() + 6_307_200_000_i64}),
            200,
        ),
        (json!({"iat": null}), 200),
        (json!({"user_id": world.worker}), 403),
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
        let answer = world.app.issue(&bearer(changes.clone()), BODY).await;
        assert_eq!(answer.status, status, "{changes}: {}", answer.body);
    }
    for (what, token) in [
        ("another key", sign(Algorithm::HS256, "another", &good)),
        ("HS512", sign(Algorithm::HS512, SECRET_KEY, &good)),
    ] {
        assert_eq!(
            world
                .app
                .issue(&format!("Bearer {token}"), BODY)
                .await
                .status,
            401,
            "{what}"
        );
    }
    world
        .database
        .run("INSERT INTO token_blacklist_outstandingtoken (token, expires_at, jti) VALUES ('x.y', now(), 'a1');
              INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT now(), id FROM token_blacklist_outstandingtoken")
        .await;
    assert_eq!(
        world.app.issue(&bearer(json!({})), BODY).await.status,
        401,
        "revoked"
    );
    assert_eq!(
        world
            .app
            .issue(&bearer(json!({"jti": "a2"})), BODY)
            .await
            .status,
        200
    );
    world
        .database
        .run("UPDATE jwt_auth_jwtsettings SET api_tokens_enabled = false")
        .await;
    assert_eq!(
        world
            .app
            .issue(&bearer(json!({"jti": "a2"})), BODY)
            .await
            .status,
        401,
        "switched off"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_begin_alike_are_told_apart() {
    let world = world().await;
    let other = world
        .database
        .user("other@example.com", world.organization)
        .await;
    let twin = format!("{}{}", &KEY[..8], "f".repeat(32));
    world
        .database
        .run(&format!(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES ('{twin}', now(), {other})"
        ))
        .await;
    assert_eq!(world.app.issue(TOKEN, BODY).await.status, 200);
    assert_eq!(
        world.app.issue(&format!("Token {twin}"), BODY).await.status,
        403
    );
    let short = world.database.admin(world.organization, "shorty").await;
    assert!(short > 0);
    assert_eq!(world.app.issue("Token shorty", BODY).await.status, 200);
    assert_eq!(world.app.issue("Token short", BODY).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let world = world().await;
    let app = TestApp::start(
        &world.database.gate_url(),
        &[
            ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "5"),
            ("GATE_TOKEN_ISSUE_RATE_LIMIT_PER_SECOND", "3"),
        ],
    );
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(app.issue(TOKEN, BODY).await.status);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        1,
        "{statuses:?}"
    );
    let mut last = None;
    for n in 0..8 {
        last = Some(app.issue(&format!("Token wrong{n}"), BODY).await);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.status, last.json()),
        (429, json!({"error": "Too many requests"}))
    );
    assert!(last.header("Retry-After").unwrap().parse::<u64>().unwrap() >= 1);
}

/// Many applications may call from one address: a NAT, a load balancer.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_api_tokens_of_an_address_never_lock_out_the_right_one() {
    let world = world().await;
    let app = TestApp::start(&world.database.gate_url(), &[FEW_FAILURES]);
    for n in 0..10 {
        let answer = app.issue(&format!("Token wrong{n}"), BODY).await;
        assert_eq!(answer.status, if n < 3 { 401 } else { 429 });
    }
    assert_eq!(app.issue(TOKEN, BODY).await.status, 200);
    let revoke = [("Authorization", TOKEN)];
    let answer = app.browse("POST", "/api/sso/revoke", &revoke, BODY).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(app.issue("Token wrong", BODY).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_api_tokens_are_counted_for_the_address_that_a_trusted_proxy_names() {
    let world = world().await;
    let trusting = TestApp::start(&world.database.gate_url(), &[FEW_FAILURES]);
    // One address, or one customer's network, and others beside it.
    for (caller, neighbor, other) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::3", "2001:db8:1:2:ff::4", "2001:db8:1:3::3"),
    ] {
        for _ in 0..3 {
            let answer = trusting.issue_from(caller, "Token wrong", BODY).await;
            assert_eq!(answer.status, 401, "{caller}");
        }
        let answer = trusting.issue_from(neighbor, "Token wrong", BODY).await;
        assert_eq!(answer.status, 429, "{neighbor}");
        let answer = trusting.issue_from(other, "Token wrong", BODY).await;
        assert_eq!(answer.status, 401, "{other}");
    }
    // From anybody else the header is only what a caller claims.
    let settings = [FEW_FAILURES, ("GATE_HTTP_TRUSTED_PROXIES", "192.0.2.7")];
    let wary = TestApp::start(&world.database.gate_url(), &settings);
    for n in 0..5 {
        let address = format!("192.0.2.{n}");
        let answer = wary.issue_from(&address, "Token wrong", BODY).await;
        assert_eq!(answer.status, if n < 3 { 401 } else { 429 }, "{address}");
    }
}
