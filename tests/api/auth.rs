//! `/auth/nginx`: what comes back for which token.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::app::{TestApp, TestDatabase};
use crate::support::token::{SECRET_KEY, claims, native, now, sign, with};

async fn world() -> (TestDatabase, TestApp, i32) {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let app = TestApp::start(&database.gate_url(), &[]);
    (database, app, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_token_passes_untouched() {
    let (database, app, _) = world().await;
    let answer = app
        .check(
            "/projects?token=ZxGq3ItFbKpN8s2mUoYw",
            "sessionid=x; csrftoken=y",
        )
        .await;
    assert_eq!((answer.status, answer.reason()), (200, "no_token"));
    let gate_headers = answer
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-gate-"));
    assert_eq!(gate_headers.count(), 1, "{:?}", answer.headers);
    assert_eq!(database.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_credentials_pass_untouched_even_beside_a_token() {
    let (database, app, user) = world().await;
    let cookie = format!("ls_auth_token={}", native(user));
    for credential in [
        ("Authorization", "Token abc"),
        ("Authorization", "Bearer a.b.c"),
        ("X-Api-Key", "abc"),
    ] {
        let answer = app
            .check_with(&[
                ("X-Original-URI", "/api/projects"),
                ("Cookie", &cookie),
                credential,
            ])
            .await;
        assert_eq!((answer.status, answer.reason()), (200, "api_credential"));
        assert_eq!(answer.header("X-Gate-Cookie"), None);
    }
    assert_eq!(database.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_logs_in_from_the_cookie_and_from_the_parameter() {
    let (database, app, user) = world().await;
    let token = native(user);
    let answer = app.check("/", &format!("a=1; ls_auth_token={token}")).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    let key = answer.session().unwrap();
    assert_eq!(
        answer.header("X-Gate-Cookie").unwrap(),
        format!("a=1; sessionid={key}")
    );
    let set_cookie = answer.header("X-Gate-Set-Cookie-1").unwrap();
    assert!(
        set_cookie.ends_with("; HttpOnly; Max-Age=691200; Path=/; SameSite=Lax"),
        "{set_cookie}"
    );
    let deletion = answer.header("X-Gate-Set-Cookie-2").unwrap();
    assert_eq!(
        deletion,
        "ls_auth_token=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax"
    );
    assert_eq!(answer.header("X-Gate-User-Id").unwrap(), user.to_string());
    assert_eq!(answer.header("X-Gate-Email").unwrap(), "worker@example.com");
    assert_eq!(answer.header("X-Gate-Method").unwrap(), "native");
    let recent =
        format!("SELECT last_login > now() - interval '1 minute' FROM htx_user WHERE id = {user}");
    assert_eq!(database.text(&recent).await, "t");

    let by_parameter = app
        .check(&format!("/?x=1&token={}", native(user)), "")
        .await;
    assert_eq!(
        (by_parameter.status, by_parameter.reason()),
        (200, "session_opened")
    );
    assert_eq!(by_parameter.header("X-Gate-Set-Cookie-2"), None);
    assert_eq!(database.sessions().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acceptable_logs_nobody_in_and_is_taken_away() {
    let (database, app, user) = world().await;
    let good = native(user);
    let changed = |changes| sign(Algorithm::HS256, SECRET_KEY, &with(claims(user), &changes));
    for (what, token, reason) in [
        (
            "expired",
            changed(json!({"exp": now() - 1})),
            "token_expired",
        ),
        (
            "no exp",
            changed(json!({"exp": null})),
            "token_claim_missing",
        ),
        (
            "no aud",
            changed(json!({"aud": null})),
            "token_claim_missing",
        ),
        (
            "no iss",
            changed(json!({"iss": null})),
            "token_claim_missing",
        ),
        (
            "another aud",
            changed(json!({"aud": "x"})),
            "token_audience_refused",
        ),
        (
            "another iss",
            changed(json!({"iss": "x"})),
            "token_issuer_refused",
        ),
        (
            "not yet",
            changed(json!({"nbf": now() + 600})),
            "token_not_yet_valid",
        ),
        (
            "user_id true",
            changed(json!({"user_id": true})),
            "token_claim_invalid",
        ),
        (
            "user_id 1.0",
            changed(json!({"user_id": 1.0})),
            "token_claim_invalid",
        ),
        (
            "another key",
            sign(Algorithm::HS256, "another", &claims(user)),
            "token_signature_invalid",
        ),
        (
            "HS512",
            sign(Algorithm::HS512, SECRET_KEY, &claims(user)),
            "token_algorithm_refused",
        ),
        ("tampered", good.replace('.', ".e30"), "token_malformed"),
        ("rubbish", "x".repeat(8192), "token_malformed"),
    ] {
        let answer = app
            .check("/", &format!("sessionid=mine-1234; ls_auth_token={token}"))
            .await;
        assert_eq!((answer.status, answer.reason()), (200, reason), "{what}");
        assert_eq!(
            answer.header("X-Gate-Cookie"),
            Some("sessionid=mine-1234"),
            "{what}"
        );
        assert_eq!(answer.header("X-Gate-Set-Cookie-1"), None, "{what}");
        assert!(
            answer
                .header("X-Gate-Set-Cookie-2")
                .unwrap()
                .contains("Max-Age=0"),
            "{what}"
        );
        assert_eq!(answer.header("X-Gate-User-Id"), None, "{what}");
    }
    assert_eq!(database.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_come_in_is_refused_and_the_cookie_goes() {
    let (database, app, user) = world().await;
    let organization = database.organization().await;
    let removed = database.user("removed@example.com", organization).await;
    database
        .run(&format!("UPDATE organizations_organizationmember SET deleted_at = now() WHERE user_id = {removed}"))
        .await;
    database
        .run(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {user}"
        ))
        .await;
    for (id, reason) in [
        (user, "user_inactive"),
        (removed, "user_removed"),
        (999_999, "user_unknown"),
    ] {
        let answer = app
            .check("/", &format!("ls_auth_token={}", native(id)))
            .await;
        assert_eq!((answer.status, answer.reason()), (403, reason));
        assert!(
            answer
                .header("X-Gate-Set-Cookie-2")
                .unwrap()
                .contains("Max-Age=0")
        );
    }
    assert_eq!(database.sessions().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_a_user_out_takes_effect_at_once() {
    let (database, app, user) = world().await;
    let ask = async || {
        app.check("/", &format!("ls_auth_token={}", native(user)))
            .await
    };
    assert_eq!(ask().await.status, 200);
    database
        .run(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {user}"
        ))
        .await;
    assert_eq!(ask().await.reason(), "user_inactive");
    database
        .run(&format!(
            "UPDATE htx_user SET is_active = true WHERE id = {user}"
        ))
        .await;
    assert_eq!(ask().await.reason(), "session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_refused() {
    let (_database, app, user) = world().await;
    let cookie = format!("ls_auth_token={}", native(user));
    let uri = ("X-Original-URI", "/");
    for headers in [
        vec![("Cookie", cookie.as_str())],
        vec![
            ("X-Original-URI", "http://elsewhere/"),
            ("Cookie", cookie.as_str()),
        ],
        vec![("X-Original-URL", "/"), ("Cookie", cookie.as_str())],
        vec![("X-Forwarded-Uri", "/"), ("Cookie", cookie.as_str())],
        vec![uri, uri, ("Cookie", cookie.as_str())],
    ] {
        let answer = app.check_with(&headers).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (403, "request_malformed"),
            "{headers:?}"
        );
    }
    let any_method = app
        .client
        .post(format!("{}/auth/nginx", app.url))
        .header(uri.0, uri.1)
        .body("ignored");
    assert_eq!(any_method.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_cookies_and_parameter_are_settings() {
    let (database, _, user) = world().await;
    let app = TestApp::start(
        &database.gate_url(),
        &[
            ("JWT_SSO_COOKIE_NAME", "jwt_auth_token"),
            ("JWT_SSO_TOKEN_PARAM", "jwt"),
            ("SESSION_COOKIE_NAME", "ls_sessionid"),
            ("SESSION_COOKIE_DOMAIN", ".company.com"),
            ("SESSION_COOKIE_SECURE", "1"),
            ("SESSION_COOKIE_SAMESITE", "None"),
        ],
    );
    let token = native(user);
    assert_eq!(
        app.check(
            &format!("/?token={token}"),
            &format!("ls_auth_token={token}")
        )
        .await
        .reason(),
        "no_token"
    );
    assert_eq!(
        app.check(&format!("/?jwt={token}"), "").await.reason(),
        "session_opened"
    );
    let answer = app.check("/", &format!("jwt_auth_token={token}")).await;
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
async fn health_and_metrics() {
    let (_database, app, user) = world().await;
    assert_eq!(app.get("/health/live").await.status, 200);
    assert_eq!(
        app.get("/health/ready").await.json(),
        json!({"status": "ready"})
    );
    app.check("/", &format!("ls_auth_token={}", native(user)))
        .await;
    app.check("/", "").await;
    let metrics = app.get("/metrics").await.body;
    for line in [
        "{reason=\"session_opened\"} 1\n",
        "{reason=\"no_token\"} 1\n",
        "{reason=\"token_expired\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    assert_eq!(app.get("/elsewhere").await.status, 404);
}
