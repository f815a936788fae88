//! The sessions that a sign-in opens, and how they end: here, at the provider, and in time.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{Flow, Provider, sign_in};
use crate::actors::Browser;
use crate::app::TestApp;
use crate::support::token::{now, with};
use crate::world::{REQUIRE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_gives_a_fresh_session_of_the_user() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[]);
    let browser = Browser::of(&app);
    let another = json!({"email": "bob@example.com", "sub": "bob", "sid": "2"});
    let mut sessions = Vec::new();
    for changes in [json!({}), json!({}), another] {
        let flow = Flow::start(&browser, "next=/&account=select").await;
        assert_eq!(flow.parameter("prompt"), "select_account");
        provider.gives(
            &provider
                .signer
                .sign(&with(provider.claims(&flow.nonce()), &changes)),
        );
        let answer = browser
            .visit("GET", &flow.callback(&provider, &json!({})), "")
            .await;
        answer.expect_redirect("/");
        sessions.push(browser.session().unwrap());
        assert_eq!(world.sessions().await, 1, "the one before is gone");
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "each sign-in has a key of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_ends_its_sessions() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = provider.gate(
        &world,
        &[REQUIRE, ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", "true")],
    );
    let (one, two) = (Browser::of(&app), Browser::of(&app));
    let bob = Browser::of(&app);
    sign_in(&one, &provider, &json!({"sid": "1"}))
        .await
        .expect_status(303);
    sign_in(&two, &provider, &json!({"sid": "2"}))
        .await
        .expect_status(303);
    let other = json!({"sid": "3", "sub": "bob", "email": "bob@example.com"});
    sign_in(&bob, &provider, &other).await.expect_status(303);
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = |changes: &Value| {
        let claims = json!({"iss": issuer, "aud": "label studio", "iat": now(), "exp": now() + 120, "jti": "1", "events": event});
        with(claims, changes)
    };
    let end = async |app: &TestApp, token: &str| {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        app.send(
            "POST",
            "/sso/backchannel-logout",
            &form,
            &format!("logout_token={token}"),
        )
        .await
    };
    for (changes, reason) in [
        (json!({"sid": "1", "nonce": "n"}), "token_type_refused"),
        (json!({"sid": "1", "events": null}), "token_type_refused"),
        (
            json!({"sid": "1", "events": {"http://schemas.openid.net/event/backchannel-logout": true}}),
            "token_claim_invalid",
        ),
        (
            json!({"sid": "1", "aud": "another"}),
            "token_audience_refused",
        ),
        (
            json!({"sid": "1", "iss": "https://other.test"}),
            "token_issuer_refused",
        ),
        (json!({"sid": "1", "iat": now() - 900}), "token_expired"),
        (json!({"sid": "1", "exp": now() - 900}), "token_expired"),
        (
            json!({"sid": "1", "exp": null, "iat": now() - 900}),
            "token_expired",
        ),
        (
            json!({"sid": "1", "exp": null, "iat": null}),
            "token_claim_missing",
        ),
        (
            json!({"sid": "1", "exp": null, "iat": "now"}),
            "token_claim_invalid",
        ),
        (json!({"sid": "1", "jti": null}), "token_claim_missing"),
        (json!({}), "token_claim_missing"),
    ] {
        let token = provider.signer.sign_as("logout+jwt", &claims(&changes));
        let answer = end(&app, &token).await;
        answer
            .expect_status(400)
            .expect_header("Cache-Control", Some("no-store"));
        assert_eq!(answer.json()["error_description"], reason, "{changes}");
    }
    for browser in [&one, &two, &bob] {
        browser.get("/").await.expect(200, "session_valid");
    }
    let token = provider
        .signer
        .sign_as("logout+jwt", &claims(&json!({"sid": "1"})));
    end(&app, &token).await.expect_status(200);
    end(&app, &token).await.expect_status(200);
    one.get("/").await.expect(401, "sign_in_required");
    two.get("/").await.expect(200, "session_valid");
    // More rows than are looked at at once.
    let others = "INSERT INTO django_session
                  SELECT md5(n::text), 'x', now() + interval '1 day' FROM generate_series(1, 120000) AS n";
    world.database.run(others).await;
    // Older providers leave out exp.
    let token = claims(&json!({"sub": "ann-at-op", "exp": null}));
    let token = provider.signer.sign(&token);
    end(&app, &token).await.expect_status(200);
    two.get("/").await.expect(401, "sign_in_required");
    bob.get("/").await.expect(200, "session_valid");
    assert_eq!(world.sessions().await, 120_001);
    // Elsewhere, it is off.
    let closed = provider.gate(&world, &[]);
    end(&closed, &token).await.expect_status(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_at_the_provider_too() {
    for (engine, hint) in [("db", "id_token_hint"), ("signed_cookies", "logout_hint")] {
        let world = World::new(&[]).await;
        let provider = Provider::start();
        let app = provider.gate(&world, &[("SESSION_ENGINE", engine)]);
        let browser = Browser::of(&app).with_header("Sec-Fetch-Site", "same-origin");
        sign_in(&browser, &provider, &json!({}))
            .await
            .expect_status(303);
        let answer = browser.visit("POST", "/sso/logout", "").await;
        answer.expect_status(303);
        let location: Url = answer.header("Location").unwrap().parse().unwrap();
        assert_eq!(location.path(), "/end");
        let flow = Flow { location };
        assert_eq!(flow.parameter("client_id"), "label studio");
        assert_eq!(
            flow.parameter("post_logout_redirect_uri"),
            "https://ls.example.com/sso/signed-out"
        );
        assert!(!flow.parameter(hint).is_empty(), "{}", flow.location);
        assert!(browser.session().is_none());
        // Nobody is signed in there any more.
        let answer = browser.visit("POST", "/sso/logout", "").await;
        answer.expect_redirect("/sso/signed-out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_leaves_the_session_at_the_provider_where_that_is_set() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[("GATE_SIGN_IN_PROVIDER_LOGOUT", "false")]);
    let browser = Browser::of(&app).with_header("Sec-Fetch-Site", "same-origin");
    sign_in(&browser, &provider, &json!({}))
        .await
        .expect_status(303);
    let answer = browser.visit("POST", "/sso/logout", "").await;
    answer.expect_redirect("/sso/signed-out");
    assert!(browser.session().is_none());
    assert_eq!(world.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_the_provider_setting_says_so() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[REQUIRE, ("GATE_SIGN_IN_SESSION_SECONDS", "1")]);
    let browser = Browser::of(&app);
    sign_in(&browser, &provider, &json!({}))
        .await
        .expect_status(303);
    // Label Studio prolongs the row with every answer.
    world
        .database
        .run("UPDATE django_session SET expire_date = now() + interval '1 day'")
        .await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    browser.get("/").await.expect(401, "sign_in_required");
}
