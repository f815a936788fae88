//! `/auth/nginx`: what comes back for which token.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::actors::Browser;
use crate::app::Answer;
use crate::support::token::{SECRET_KEY, claims, native, now, sign, with};
use crate::world::{NO_SUCH_USER, REQUIRE, User, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_token_passes_untouched() {
    let world = World::new(&[]).await;
    let uri = "/projects?token=ZxGq3ItFbKpN8s2mUoYw";
    let answer = world.app.check(uri, "sessionid=x; csrftoken=y").await;
    answer.expect(200, "no_token");
    let gate_headers = answer
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-gate-"));
    assert_eq!(gate_headers.count(), 1, "{:?}", answer.headers);
    assert_eq!(world.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_credentials_pass_untouched_even_beside_a_token() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    for (header, value) in [
        ("Authorization", "Token abc"),
        ("Authorization", "Bearer a.b.c"),
        ("X-Api-Key", "abc"),
    ] {
        let browser = world.browser().with_token(&token);
        let answer = browser
            .with_header(header, value)
            .get("/api/projects")
            .await;
        answer
            .expect(200, "api_credential")
            .expect_header("X-Gate-Cookie", None);
    }
    assert_eq!(world.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_logs_in_from_the_cookie_and_from_the_parameter() {
    let world = World::new(&[]).await;
    let browser = world.browser().with_cookie("a", "1");
    let answer = browser.with_token(&world.ann.token()).get("/").await;
    let session = answer.expect(200, "session_opened").session().unwrap();
    answer
        .expect_header("X-Gate-Cookie", Some(&format!("a=1; sessionid={session}")))
        .expect_header(
            "X-Gate-Set-Cookie-2",
            Some("ls_auth_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax"),
        )
        .expect_user(&world.ann)
        .expect_header("X-Gate-Email", Some("ann@example.com"))
        .expect_header("X-Gate-Method", Some("native"));
    let set_cookie = answer.header("X-Gate-Set-Cookie-1").unwrap();
    assert!(
        set_cookie.ends_with("; HttpOnly; Max-Age=691200; Path=/; SameSite=Lax"),
        "{set_cookie}"
    );
    let recent = "SELECT last_login > now() - interval '1 minute' FROM htx_user WHERE id =";
    let recent = format!("{recent} {}", world.ann.id);
    assert_eq!(world.database.text(&recent).await, "t");

    let uri = format!("/?x=1&token={}", world.ann.token());
    let by_parameter = world.browser().get(&uri).await;
    by_parameter
        .expect(200, "session_opened")
        .expect_header("X-Gate-Set-Cookie-2", None);
    assert_eq!(world.sessions().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacceptable_token_logs_nobody_in_and_is_deleted() {
    let world = World::new(&[]).await;
    let ann = world.ann.id;
    let good = world.ann.token();
    let changed = |changes| sign(Algorithm::HS256, SECRET_KEY, &with(claims(ann), &changes));
    let expired = changed(json!({"exp": now() - 1}));
    let not_yet_valid = changed(json!({"nbf": now() + 600}));
    let other_key = sign(Algorithm::HS256, "another", &claims(ann));
    let other_algorithm = sign(Algorithm::HS512, SECRET_KEY, &claims(ann));
    for (token, reason) in [
        (expired, "token_expired"),
        (changed(json!({"exp": null})), "token_claim_missing"),
        (changed(json!({"aud": null})), "token_claim_missing"),
        (changed(json!({"iss": null})), "token_claim_missing"),
        (changed(json!({"aud": "x"})), "token_audience_refused"),
        (changed(json!({"iss": "x"})), "token_issuer_refused"),
        (not_yet_valid, "token_not_yet_valid"),
        (changed(json!({"user_id": true})), "token_claim_invalid"),
        (changed(json!({"user_id": 1.0})), "token_claim_invalid"),
        (other_key, "token_signature_invalid"),
        (other_algorithm, "token_algorithm_refused"),
        (good.replace('.', ".e30"), "token_malformed"),
        ("x".repeat(8192), "token_malformed"),
    ] {
        let browser = world.browser().with_cookie("sessionid", "mine-1234");
        let answer = browser.with_token(&token).get("/").await;
        answer
            .expect(200, reason)
            .expect_header("X-Gate-Cookie", Some("sessionid=mine-1234"))
            .expect_header("X-Gate-Set-Cookie-1", None)
            .expect_token_deleted()
            .expect_no_user();
    }
    assert_eq!(world.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_access_is_refused_and_the_token_deleted() {
    let world = World::new(&[]).await;
    world.update(&world.ann, "is_active = false").await;
    world.remove(&world.bob).await;
    for (id, reason) in [
        (world.ann.id, "user_inactive"),
        (world.bob.id, "user_removed"),
        (NO_SUCH_USER, "user_unknown"),
    ] {
        let browser = world.browser().with_token(&native(id));
        let answer = browser.get("/").await;
        answer.expect(403, reason).expect_token_deleted();
    }
    assert_eq!(world.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivating_a_user_takes_effect_at_once() {
    let world = World::new(&[]).await;
    let login = async || {
        let browser = world.browser().with_token(&world.ann.token());
        browser.get("/").await
    };
    login().await.expect_status(200);
    world.update(&world.ann, "is_active = false").await;
    login().await.expect_reason("user_inactive");
    world.update(&world.ann, "is_active = true").await;
    login().await.expect_reason("session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_subrequest_is_refused() {
    let world = World::new(&[]).await;
    let cookies = format!("ls_auth_token={}", world.ann.token());
    let cookie = ("Cookie", cookies.as_str());
    let uri = ("X-Original-URI", "/");
    for headers in [
        &[cookie][..],
        &[("X-Original-URI", "http://elsewhere/"), cookie],
        &[("X-Original-URL", "/"), cookie],
        &[("X-Forwarded-Uri", "/"), cookie],
        &[uri, uri, cookie],
    ] {
        let answer = world.app.check_with(headers).await;
        answer.expect(403, "request_malformed");
    }
    let any_method = world
        .app
        .send("POST", "/auth/nginx", &[uri], "ignored")
        .await;
    any_method.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_cookies_and_parameter_are_settings() {
    let world = World::new(&[
        ("JWT_SSO_COOKIE_NAME", "jwt_auth_token"),
        ("JWT_SSO_TOKEN_PARAM", "jwt"),
        ("SESSION_COOKIE_NAME", "ls_sessionid"),
        ("SESSION_COOKIE_DOMAIN", ".company.com"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("SESSION_COOKIE_SAMESITE", "None"),
    ])
    .await;
    let token = world.ann.token();
    let default_names = world.browser().with_token(&token);
    let answer = default_names.get(&format!("/?token={token}")).await;
    answer.expect_reason("no_token");
    let answer = world.browser().get(&format!("/?jwt={token}")).await;
    answer.expect_reason("session_opened");
    let browser = world.browser().with_cookie("jwt_auth_token", &token);
    let answer = browser.get("/").await;
    let set_cookie = answer.header("X-Gate-Set-Cookie-1").unwrap();
    assert!(
        set_cookie.starts_with("ls_sessionid=") && set_cookie.contains("; Domain=.company.com; "),
        "{set_cookie}"
    );
    assert!(
        set_cookie.ends_with("; SameSite=None; Secure"),
        "{set_cookie}"
    );
    let deletion = answer.header("X-Gate-Set-Cookie-2").unwrap();
    assert!(
        deletion.starts_with("jwt_auth_token=\"\"; Domain=.company.com; "),
        "{deletion}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_report_what_the_gate_does() {
    let world = World::new(&[]).await;
    let app = &world.app;
    app.get("/health/live").await.expect_status(200);
    let ready = app.get("/health/ready").await;
    assert_eq!(ready.json(), json!({"status": "ready"}));
    world.signed_in(&world.ann).await;
    Browser::of(app).get("/").await.expect(200, "no_token");
    let metrics = app.get("/metrics").await;
    for line in [
        "checks_total{reason=\"session_opened\",method=\"native\"} 1\n",
        "checks_total{reason=\"no_token\",method=\"none\"} 1\n",
        "checks_total{reason=\"token_expired\",method=\"none\"} 0\n",
    ] {
        metrics.expect_text(line);
    }
    assert!(metrics.body.ends_with("# EOF\n"));
    app.get("/elsewhere").await.expect_status(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_names_the_user_whose_request_it_is() {
    let world = World::new(&[REQUIRE]).await;
    let ann = world.signed_in(&world.ann).await;
    let named = |answer: &Answer, user: &User, method: Option<&str>| {
        answer
            .expect_user(user)
            .expect_header("X-Gate-Email", Some(&user.email))
            .expect_header("X-Gate-Method", method);
    };
    let answer = ann.get("/projects").await;
    named(answer.expect(200, "session_valid"), &world.ann, None);
    let bob = world.bob.authorization();
    let answer = world.browser().with_header("Authorization", &bob);
    let answer = answer.get("/api/projects").await;
    named(answer.expect(200, "api_credential"), &world.bob, None);
    // The token of somebody else, which is refused.
    let claims = with(claims(world.bob.id), &json!({"exp": now() - 100}));
    let expired = sign(Algorithm::HS256, SECRET_KEY, &claims);
    let copy = ann.before(&world.app).with_token(&expired);
    let answer = copy.get("/projects").await;
    named(answer.expect(200, "token_expired"), &world.ann, None);
    let answer = world.browser().with_token(&world.bob.token());
    let answer = answer.get("/projects").await;
    named(
        answer.expect(200, "session_opened"),
        &world.bob,
        Some("native"),
    );
    // Where Label Studio judges sessions, the gate doesn't look.
    let pass = world.gate(&[]);
    let answer = ann.before(&pass).get("/projects").await;
    answer.expect(200, "no_token").expect_no_user();
}
