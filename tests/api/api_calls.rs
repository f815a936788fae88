//! Calls of Label Studio's own API where sign-in is required: the gate verifies their credentials.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::app::Answer;
use crate::support::token::{SECRET_KEY, now, sign, with};
use crate::world::{NO_CACHE, REQUIRE, SIGNED_COOKIES, User, World};

/// An access token of Label Studio 1.17 and later, with some claims changed.
fn access_token(user: &User, changes: &Value) -> String {
    access_token_signed(SECRET_KEY, user, changes)
}

fn access_token_signed(key: &str, user: &User, changes: &Value) -> String {
    let claims = json!({
        "token_type": "access", "exp": now() + 300, "iat": now(), "jti": "0f1e2d", "user_id": user.id.to_string(),
    });
    sign(Algorithm::HS256, key, &with(claims, changes))
}

async fn call(world: &World, header: &str, value: &str) -> Answer {
    world
        .browser()
        .with_header(header, value)
        .get("/api/projects")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_credential_passes() {
    let world = World::new(&[REQUIRE]).await;
    let jwt = format!("Bearer {}", access_token(&world.ann, &json!({})));
    let key = &world.ann.key;
    for (header, value) in [
        ("Authorization", format!("Token {key}")),
        ("Authorization", format!("token  {key}")),
        ("X-Api-Key", key.clone()),
        ("Authorization", jwt),
    ] {
        // Twice: the second time the credential is cached.
        for _ in 0..2 {
            let answer = call(&world, header, &value).await;
            answer.expect(200, "api_credential");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_credential_opens_nothing() {
    let world = World::new(&[REQUIRE, NO_CACHE]).await;
    let token = |changes: Value| format!("Bearer {}", access_token(&world.ann, &changes));
    let key = "another-secret-key-of-more-than-fifty-characters-0123456789";
    let other_key = access_token_signed(key, &world.ann, &json!({}));
    for (header, value) in [
        ("X-Api-Key", "x".to_owned()),
        ("X-Api-Key", String::new()),
        ("X-Api-Key", world.ann.key.to_uppercase()),
        ("X-Api-Key", format!("{} x", world.ann.key)),
        ("Authorization", "Token x".to_owned()),
        ("Authorization", "Token".to_owned()),
        ("Authorization", format!("Token {} x", world.ann.key)),
        ("Authorization", format!("Bearer {}", world.ann.key)),
        ("Authorization", "Bearer x".to_owned()),
        ("Authorization", "Bearer a.b.c".to_owned()),
        ("Authorization", "Basic YTpi".to_owned()),
        ("Authorization", token(json!({"exp": now() - 1}))),
        ("Authorization", token(json!({"token_type": "refresh"}))),
        ("Authorization", token(json!({"user_id": "999999"}))),
        ("Authorization", format!("Bearer {other_key}")),
    ] {
        for uri in ["/user/signup", "/api/projects", "/user/signup/?next=/"] {
            let browser = world.browser().with_header(header, &value);
            browser.get(uri).await.expect(401, "sign_in_required");
        }
    }
    let twice = [
        ("X-Original-URI", "/user/signup"),
        ("X-Api-Key", world.ann.key.as_str()),
        ("X-Api-Key", "x"),
    ];
    let answer = world.app.check_with(&twice).await;
    answer.expect(401, "sign_in_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_beside_a_valid_session_is_left_to_label_studio() {
    let world = World::new(&[REQUIRE]).await;
    let browser = world.signed_in(&world.ann).await;
    let browser = browser.with_header("Authorization", "Token x");
    let answer = browser.get("/api/projects").await;
    answer.expect(200, "session_valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_access_cannot_call_the_api_either() {
    let world = World::new(&[REQUIRE, NO_CACHE]).await;
    let (ann, organization) = (&world.ann, world.organization);
    let token = ann.authorization();
    let jwt = format!("Bearer {}", access_token(ann, &json!({})));
    let settings = format!(
        "UPDATE jwt_auth_jwtsettings SET legacy_api_tokens_enabled = $legacy, api_tokens_enabled = $jwt WHERE organization_id = {organization}"
    );
    let switch = |legacy: &str, jwt: &str| settings.replace("$legacy", legacy).replace("$jwt", jwt);
    for (change, legacy, access) in [
        (switch("false", "true"), false, true),
        (switch("true", "false"), true, false),
        (switch("true", "true"), true, true),
        (format!("UPDATE htx_user SET is_active = false WHERE id = {}", ann.id), false, false),
        (format!("UPDATE htx_user SET is_active = true WHERE id = {}", ann.id), true, true),
        (format!("UPDATE organizations_organizationmember SET deleted_at = now() WHERE user_id = {}", ann.id), false, false),
        (format!("UPDATE organizations_organizationmember SET deleted_at = NULL WHERE user_id = {}", ann.id), true, true),
        ("INSERT INTO token_blacklist_outstandingtoken (token, jti, expires_at) VALUES ('x', '0f1e2d', now());
          INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT now(), id FROM token_blacklist_outstandingtoken".to_owned(), true, false),
    ] {
        world.database.run(&change).await;
        for (value, passes) in [(&token, legacy), (&jwt, access)] {
            let answer = call(&world, "Authorization", value).await;
            let expected = if passes { (200, "api_credential") } else { (401, "sign_in_required") };
            answer.expect(expected.0, expected.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_access_token_is_exchanged_without_a_session() {
    let world = World::new(&[REQUIRE]).await;
    let browser = world.browser();
    let answer = browser.send("POST", "/api/token/refresh/").await;
    answer.expect(200, "token_refresh");
    for (method, uri) in [
        ("GET", "/api/token/refresh/"),
        ("POST", "/api/token/refresh/../../user/signup"),
        ("POST", "/api/token/rotate/"),
    ] {
        let answer = browser.send(method, uri).await;
        answer.expect(401, "sign_in_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sign_in_is_optional_label_studio_judges_its_own_credentials() {
    let world = World::new(&[]).await;
    for (header, value) in [
        ("X-Api-Key", "x"),
        ("Authorization", "Token x"),
        ("Authorization", "Bearer x y"),
    ] {
        let answer = call(&world, header, value).await;
        answer.expect(200, "api_credential");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_no_refusal() {
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let app = crate::app::TestApp::start(nowhere, &[REQUIRE]);
    let headers = [
        ("X-Original-URI", "/api/projects"),
        ("Authorization", "Token x"),
    ];
    let answer = app.check_with(&headers).await;
    answer.expect(503, "database_unavailable");
}

/// Label Studio's pages that are not part of its API read the session alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_beside_a_verified_credential_is_judged() {
    for engine in [
        &[REQUIRE, NO_CACHE][..],
        &[REQUIRE, NO_CACHE, SIGNED_COOKIES],
    ] {
        let world = World::with_own_tables(engine).await;
        let (of_bob, token) = (world.bob.authorization(), world.ann.token());
        let browser = world.signed_in(&world.ann).await;
        let stolen = browser.stolen_session();
        let call = stolen
            .stolen_session()
            .with_header("Authorization", &of_bob);
        let answer = call.get("/api/projects").await;
        answer
            .expect(200, "api_credential")
            .expect_header("X-Gate-Cookie", None);

        // Its own token goes nowhere, and stays in the browser.
        let session = format!("sessionid={}", stolen.session().unwrap());
        let with_token = call.stolen_session().with_token(&token);
        let with_token = with_token.with_header("Authorization", &of_bob);
        let answer = with_token.get("/api/projects").await;
        answer
            .expect(200, "api_credential")
            .expect_header("X-Gate-Cookie", Some(&session))
            .expect_header("X-Gate-Set-Cookie-2", None);

        let from_elsewhere = call.stolen_session().with_header("Authorization", &of_bob);
        let from_elsewhere = from_elsewhere.with_header("Sec-Fetch-Site", "cross-site");
        let answer = from_elsewhere.send("POST", "/api/projects").await;
        answer.expect(403, "cross_site_request");

        let form = browser.visit("POST", "/sso/logout", "").await;
        form.expect_status(303);
        let answer = call.get("/user/account").await;
        answer.expect(200, "api_credential");
        let forwarded = answer.header("X-Gate-Cookie").unwrap();
        assert!(!forwarded.contains(&session), "{forwarded}");
        // Label Studio ignores it in lower case.
        let jwt = format!("bearer {}", access_token(&world.bob, &json!({})));
        let call = stolen.stolen_session().with_header("Authorization", &jwt);
        call.get("/api/projects")
            .await
            .expect(401, "sign_in_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_sign_out_ends_the_session_beside_a_credential() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let of_bob = world.bob.authorization();
    let stolen = world.signed_in(&world.ann).await.stolen_session();
    let call = stolen
        .stolen_session()
        .with_header("Authorization", &of_bob);
    call.get("/logout").await.expect(200, "api_credential");
    stolen.get("/").await.expect(401, "sign_in_required");
}
