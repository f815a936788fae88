//! `/sso/…`: what a browser is answered.

use serde_json::json;

use crate::app::{Answer, TestApp, world};
use crate::support::token::{SECRET_KEY, claims, native, now, sign, with};

const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn location(answer: &Answer) -> &str {
    answer.header("Location").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signs_in_and_leaves_no_trace_in_the_address() {
    for engine in ["db", "signed_cookies"] {
        let (_database, app, user) = world(&[("SESSION_ENGINE", engine)]).await;
        let token = native(user);
        let link = format!("/sso/login?token={token}&next=/projects/1%3Ftab=2");
        let form = format!("token={token}&next=%2Fprojects%2F1%3Ftab%3D2");
        let content = ("Content-Type", "application/x-www-form-urlencoded");
        let original = format!("/projects/1?token={token}&tab=2");
        for answer in [
            app.browse("GET", &link, &[PAGE], "").await,
            app.browse("POST", "/sso/login", &[PAGE, content], &form)
                .await,
            app.browse(
                "GET",
                "/auth/nginx/login",
                &[PAGE, ("X-Original-URI", &original)],
                "",
            )
            .await,
        ] {
            assert_eq!(answer.status, 303, "{}", answer.body);
            assert_eq!(location(&answer), "/projects/1?tab=2");
            assert_eq!(answer.header("Cache-Control"), Some("no-store"));
            assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
            let session = answer.browser_session().unwrap();
            let kept = app
                .check("/", &format!("sessionid={session}; ls_auth_token={token}"))
                .await;
            assert_eq!(kept.reason(), "session_kept", "{engine}");
        }
        // The cookie of the token goes as well.
        let cookie = format!("ls_auth_token={token}");
        let answer = app
            .browse("GET", &link, &[PAGE, ("Cookie", &cookie)], "")
            .await;
        let deletions = answer.set_cookies();
        assert!(
            deletions
                .iter()
                .any(|c| c.starts_with("ls_auth_token=\"\";") && c.contains("Max-Age=0")),
            "{deletions:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_another_host() {
    let (_database, app, user) = world(&[]).await;
    let token = native(user);
    for next in [
        "https://evil.test/",
        "//evil.test",
        "/%5Cevil.test",
        "%5C/evil.test",
        "/%09/evil.test",
        "javascript:alert(1)",
        "%2F%2Fevil.test",
        "/%0d%0aSet-Cookie:x=y",
        "evil.test",
        "",
    ] {
        let answer = app
            .browse(
                "GET",
                &format!("/sso/login?token={token}&next={next}"),
                &[PAGE],
                "",
            )
            .await;
        assert_eq!((answer.status, location(&answer)), (303, "/"), "{next}");
        assert!(answer.headers.get("x").is_none());
    }
    for original in [
        format!("//evil.test/?token={token}"),
        format!("/\\evil.test?token={token}"),
    ] {
        let headers = [PAGE, ("X-Original-URI", original.as_str())];
        let answer = app.browse("GET", "/auth/nginx/login", &headers, "").await;
        assert_eq!((answer.status, location(&answer)), (303, "/"), "{original}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_what_is_wrong_and_programs_too() {
    let (database, app, user) = world(&[]).await;
    let expired = sign(
        jsonwebtoken::Algorithm::HS256,
        SECRET_KEY,
        &with(claims(user), &json!({"exp": now() - 1})),
    );
    let link = format!("/sso/login?token={expired}");
    let korean = ("Accept-Language", "ko-KR,ko;q=0.9,en;q=0.5");
    let answer = app.browse("GET", &link, &[PAGE, korean], "").await;
    assert_eq!((answer.status, answer.reason()), (401, "token_expired"));
    assert!(
        answer.body.contains("링크가 만료되었습니다"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("lang=\"ko\""));
    let answer = app.browse("GET", &link, &[PAGE], "").await;
    assert!(
        answer.body.contains("This link has expired"),
        "{}",
        answer.body
    );
    let id = answer.header("X-Request-Id").unwrap();
    assert!(id.len() == 32 && answer.body.contains(id));
    assert!(!answer.body.contains(&expired));
    assert!(
        answer.header("X-Frame-Options").is_none(),
        "it is read in a frame"
    );
    assert!(
        answer
            .header("Content-Security-Policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let json = app
        .browse(
            "GET",
            &link,
            &[("X-Request-Id", "0123456789abcdef0123456789abcdef")],
            "",
        )
        .await;
    assert_eq!(json.json()["reason"], "token_expired");
    assert_eq!(
        json.json()["request_id"],
        "0123456789abcdef0123456789abcdef"
    );
    let forged = app
        .browse("GET", &link, &[("X-Request-Id", "<script>")], "")
        .await;
    assert!(!forged.body.contains("script"));

    // Whoever is signed in and comes back to an old link goes on.
    let session = app
        .check("/", &format!("ls_auth_token={}", native(user)))
        .await;
    let cookie = format!("sessionid={}", session.session().unwrap());
    let back = format!("{link}&next=/projects");
    let answer = app
        .browse("GET", &back, &[PAGE, ("Cookie", &cookie)], "")
        .await;
    assert_eq!((answer.status, location(&answer)), (303, "/projects"));
    assert_eq!(answer.browser_session(), None);

    let unknown = format!("/sso/login?token={}", native(999_999));
    let answer = app.browse("GET", &unknown, &[PAGE], "").await;
    assert_eq!((answer.status, answer.reason()), (403, "user_unknown"));
    assert!(answer.body.contains("have access to this Label Studio"));
    for nothing in [
        "/sso/login",
        "/sso/login?token=",
        "/sso/login?token=rubbish",
    ] {
        let answer = app.browse("GET", nothing, &[PAGE], "").await;
        assert_eq!(answer.status, 401, "{nothing}");
    }
    database.run("ALTER TABLE htx_user RENAME TO gone").await;
    let answer = app.browse("GET", &unknown, &[PAGE], "").await;
    assert_eq!(
        (answer.status, answer.reason()),
        (503, "database_unavailable")
    );
    assert!(answer.body.contains("Sign-in is temporarily unavailable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_in_the_store() {
    let (database, app, user) = world(&[("GATE_POLICY_ANONYMOUS", "require")]).await;
    let elsewhere = TestApp::start(
        &database.gate_url(),
        &[("GATE_POLICY_SIGNED_OUT_URL", "https://app.example.com/bye")],
    );
    for (method, gate, there) in [
        ("GET", &app, "/sso/signed-out"),
        ("POST", &elsewhere, "https://app.example.com/bye"),
    ] {
        let session = app
            .check("/", &format!("ls_auth_token={}", native(user)))
            .await;
        let cookie = format!(
            "sessionid={}; ls_auth_token=a.b.c",
            session.session().unwrap()
        );
        assert_eq!(database.sessions().await, 1);
        let answer = gate
            .browse(
                method,
                "/sso/logout",
                &[PAGE, ("Cookie", &cookie), ("Sec-Fetch-Site", "same-origin")],
                "",
            )
            .await;
        assert_eq!((answer.status, location(&answer)), (303, there));
        assert_eq!(answer.set_cookies().len(), 2, "{:?}", answer.set_cookies());
        assert!(
            answer
                .set_cookies()
                .iter()
                .all(|cookie| cookie.contains("Max-Age=0"))
        );
        assert_eq!(database.sessions().await, 0, "{method}");
        if gate.url == app.url {
            let answer = app.check("/", &cookie).await;
            assert_eq!(
                answer.status, 401,
                "refused at once on the gate that ended it"
            );
        }
    }
    let answer = app.browse("GET", "/sso/signed-out", &[PAGE], "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("You are signed out"));
    assert_eq!(
        app.browse("DELETE", "/sso/logout", &[], "").await.status,
        405
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sent_to_the_applications_sign_in_with_the_way_back() {
    let (_database, app, user) = world(&[
        ("GATE_POLICY_ANONYMOUS", "require"),
        (
            "GATE_POLICY_SIGN_IN_URL",
            "https://app.example.com/login?tenant=1",
        ),
        ("GATE_POLICY_RETURN_PARAMETER", "back"),
    ])
    .await;
    let token = native(user);
    let uri = format!("/projects/1?tab=2&token={token}");
    let headers = [
        PAGE,
        ("Host", "ls.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Original-URI", uri.as_str()),
        ("X-Gate-Reason", "sign_in_required"),
    ];
    let answer = app.browse("GET", "/auth/nginx/sign-in", &headers, "").await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        location(&answer),
        "https://app.example.com/login?tenant=1&back=https%3A%2F%2Fls.example.com%2Fprojects%2F1%3Ftab%3D2"
    );
    let answer = app
        .browse("GET", "/auth/nginx/sign-in", &headers[1..], "")
        .await;
    assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"));
    assert!(answer.header("WWW-Authenticate").is_some());
    assert_eq!(answer.json()["reason"], "sign_in_required");
}
