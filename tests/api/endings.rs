//! After an end (sign-out, revocation, Label Studio's own "Log out", deactivation) nothing revives a session.

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::support::token::{SECRET_KEY, claims, now, sign, with};
use crate::world::{Browser, NO_CACHE, REQUIRE, SIGNED_COOKIES, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_signed_out_is_never_valid_again() {
    for engine in [
        &[REQUIRE, NO_CACHE][..],
        &[REQUIRE, NO_CACHE, SIGNED_COOKIES],
    ] {
        let world = World::with_own_tables(engine).await;
        let token = world.ann.token();
        let browser = world.browser().with_token(&token);
        browser.get("/").await.expect(200, "session_opened");
        let stolen = world
            .browser()
            .with_cookie("sessionid", &browser.session().unwrap());
        stolen.get("/").await.expect(200, "session_valid");

        let form = browser.visit("POST", "/sso/logout", "").await;
        assert_eq!(form.status, 303);
        stolen.get("/").await.expect(401, "sign_in_required");
        // The token is still good, and opens another session; not that one.
        let other = world.browser().with_token(&token);
        other.get("/").await.expect(200, "session_opened");
        assert_ne!(other.session(), stolen.session());
        other.get("/").await.expect(200, "session_valid");
        stolen.get("/").await.expect(401, "sign_in_required");
        let both = stolen.before(&world.app).with_token(&token);
        both.get("/").await.expect(200, "session_opened");
        assert_ne!(both.session(), stolen.session());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_sign_out_ends_a_signed_cookie() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let elsewhere = world.gate(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]);
    for uri in ["/logout", "/logout/"] {
        let browser = world.browser().with_token(&world.ann.token());
        browser.get("/").await.expect(200, "session_opened");
        // Label Studio signs the cookie anew with each answer: the copy is another text of the same session.
        let stolen = world
            .browser()
            .with_cookie("sessionid", &browser.session().unwrap());
        browser.get(uri).await.expect(200, "session_valid");
        stolen.get("/").await.expect(401, "sign_in_required");
        stolen
            .before(&elsewhere)
            .get("/")
            .await
            .expect(401, "sign_in_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_end_a_session_by_the_address_of_label_studios_sign_out() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let browser = world.browser().with_token(&world.ann.token());
    browser.get("/").await.expect(200, "session_opened");
    let forged = browser
        .before(&world.app)
        .with_header("Sec-Fetch-Site", "cross-site");
    forged
        .send("POST", "/logout/")
        .await
        .expect(403, "cross_site_request");
    browser.get("/").await.expect(200, "session_valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_before_a_revocation_open_nothing() {
    for engine in [&[REQUIRE][..], &[REQUIRE, SIGNED_COOKIES]] {
        let world = World::with_own_tables(engine).await;
        let password = format!(
            "UPDATE htx_user SET password = 'pbkdf2_sha256$1$a$b' WHERE id = {}",
            world.ann.id
        );
        world.database.run(&password).await;
        let elsewhere = world.gate(engine);
        let token = world.ann.token();
        let outstanding = world.ann.token();
        let browser = world.browser().with_token(&token);
        browser.get("/").await.expect(200, "session_opened");

        let answer = world.revoke(&world.superuser, &world.ann).await;
        assert_eq!(
            (answer.status, &answer.json()["tokens_revoked"]),
            (200, &json!(true)),
            "{}",
            answer.body
        );
        browser.get("/").await.expect(401, "sign_in_required");
        for app in [&world.app, &elsewhere] {
            for old in [&token, &outstanding] {
                Browser::of(app)
                    .with_token(old)
                    .get("/")
                    .await
                    .expect(401, "token_revoked");
            }
        }
        let undated = sign(
            Algorithm::HS256,
            SECRET_KEY,
            &with(claims(world.ann.id), &json!({"iat": null})),
        );
        world
            .browser()
            .with_token(&undated)
            .get("/")
            .await
            .expect(401, "token_revoked");
        // Others are not touched, and a token from afterwards is good.
        world
            .browser()
            .with_token(&world.bob.token())
            .get("/")
            .await
            .expect(200, "session_opened");
        let later = sign(
            Algorithm::HS256,
            SECRET_KEY,
            &with(claims(world.ann.id), &json!({"iat": now() + 1})),
        );
        let browser = world.browser().with_token(&later);
        browser.get("/").await.expect(200, "session_opened");
        browser.get("/").await.expect(200, "session_valid");
    }
}

/// A revocation and many logins at once: whatever came before it is dead behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_amid_logins_leaves_no_session() {
    let world = World::with_own_tables(&[REQUIRE]).await;
    let tokens: Vec<String> = (0..40).map(|_| world.ann.token()).collect();
    let logins = join_all(tokens.iter().map(async |token| {
        let browser = world.browser().with_token(token);
        browser.get("/").await;
        browser
    }));
    let (browsers, answer) = tokio::join!(logins, world.revoke(&world.superuser, &world.ann));
    assert_eq!(answer.status, 200, "{}", answer.body);
    for browser in browsers {
        browser.get("/").await.expect(401, "sign_in_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gates_own_tables_the_answer_says_what_stays_good() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    let browser = world.browser().with_token(&token);
    browser.get("/").await.expect(200, "session_opened");
    let answer = world.revoke(&world.superuser, &world.ann).await.json();
    assert_eq!(
        (&answer["sessions"], &answer["tokens_revoked"]),
        (&json!(1), &json!(false))
    );
    assert!(
        answer["detail"]
            .as_str()
            .unwrap()
            .contains("label-studio-gate migrate"),
        "{answer}"
    );
    let again = world.browser().with_token(&token);
    again.get("/").await.expect(200, "session_opened");
    assert_ne!(again.session(), browser.session());
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_cannot_act_for_a_superuser() {
    let world = World::new(&[]).await;
    let allowing = world.gate(&[("GATE_TOKEN_ISSUE_STAFF_FOR_SUPERUSERS", "true")]);
    let body = format!(r#"{{"email": "{}"}}"#, world.superuser.email);
    let (staff, superuser) = (
        format!("Token {}", world.staff.key),
        format!("Token {}", world.superuser.key),
    );
    for (app, by, status) in [
        (&world.app, &staff, 403),
        (&world.app, &superuser, 200),
        (&allowing, &staff, 200),
    ] {
        let answer = app.issue(by, &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        let answer = app
            .browse("POST", "/api/sso/revoke", &[("Authorization", by)], &body)
            .await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let answer = world.app.issue(&staff, &body).await;
    assert_eq!(answer.body, r#"{"error":"Admin privileges required"}"#);
    let worker = format!(r#"{{"email": "{}"}}"#, world.ann.email);
    assert_eq!(world.app.issue(&staff, &worker).await.status, 200);
}
