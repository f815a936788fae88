//! `/sso/…`: what a browser is answered.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::support::token::{SECRET_KEY, claims, native, now, sign, with};
use crate::world::{NO_SUCH_USER, REQUIRE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signs_in_and_leaves_no_trace_in_the_address() {
    for engine in ["db", "signed_cookies"] {
        let world = World::new(&[("SESSION_ENGINE", engine)]).await;
        let token = world.ann.token();
        let link = format!("/sso/login?token={token}&next=/projects/1%3Ftab=2");
        let form = format!("token={token}&next=%2Fprojects%2F1%3Ftab%3D2");
        let original = format!("/projects/1?token={token}&tab=2");
        for (method, path, form) in [
            ("GET", link.as_str(), ""),
            ("POST", "/sso/login", form.as_str()),
            ("GET", "/auth/nginx/login", ""),
        ] {
            let mut browser = world.browser();
            if path == "/auth/nginx/login" {
                browser = browser.with_header("X-Original-URI", &original);
            }
            let answer = browser.visit(method, path, form).await;
            answer
                .expect_redirect("/projects/1?tab=2")
                .expect_header("Cache-Control", Some("no-store"))
                .expect_header("Referrer-Policy", Some("no-referrer"));
            assert!(answer.browser_session().is_some(), "{answer:?}");
            let signed_in = browser.before(&world.app).with_token(&token);
            let answer = signed_in.get("/").await;
            answer.expect_reason("session_kept");
        }
        // The cookie of the token is deleted as well.
        let browser = world.browser().with_token(&token);
        let answer = browser.visit("GET", &link, "").await;
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
    let world = World::new(&[]).await;
    let token = world.ann.token();
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
        let link = format!("/sso/login?token={token}&next={next}");
        let answer = world.browser().visit("GET", &link, "").await;
        answer.expect_redirect("/").expect_header("x", None);
    }
    for original in [
        format!("//evil.test/?token={token}"),
        format!("/\\evil.test?token={token}"),
    ] {
        let browser = world.browser().with_header("X-Original-URI", &original);
        let answer = browser.visit("GET", "/auth/nginx/login", "").await;
        answer.expect_redirect("/");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_get_a_page_and_scripts_get_json() {
    let world = World::new(&[]).await;
    let claims = with(claims(world.ann.id), &json!({"exp": now() - 1}));
    let expired = sign(Algorithm::HS256, SECRET_KEY, &claims);
    let link = format!("/sso/login?token={expired}");
    let korean = world
        .browser()
        .with_header("Accept-Language", "ko-KR,ko;q=0.9,en;q=0.5");
    let answer = korean.visit("GET", &link, "").await;
    answer
        .expect(401, "token_expired")
        .expect_text("링크가 만료되었습니다")
        .expect_text("lang=\"ko\"");
    let answer = world.browser().visit("GET", &link, "").await;
    let id = answer.header("X-Request-Id").unwrap();
    assert_eq!(id.len(), 32);
    answer
        .expect_text("This link has expired")
        .expect_text(id)
        // The page is shown in frames too.
        .expect_header("X-Frame-Options", None);
    assert!(!answer.body.contains(&expired));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");

    let id = "0123456789abcdef0123456789abcdef";
    let headers = [("X-Request-Id", id)];
    let json = world.app.send("GET", &link, &headers, "").await.json();
    assert_eq!(json["reason"], "token_expired");
    assert_eq!(json["request_id"], id);
    let headers = [("X-Request-Id", "<script>")];
    let forged = world.app.send("GET", &link, &headers, "").await;
    assert!(!forged.body.contains("script"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_user_who_follows_an_expired_link_keeps_the_session() {
    let world = World::new(&[]).await;
    let claims = with(claims(world.ann.id), &json!({"exp": now() - 1}));
    let expired = sign(Algorithm::HS256, SECRET_KEY, &claims);
    let browser = world.signed_in(&world.ann).await;
    let link = format!("/sso/login?token={expired}&next=/projects");
    let answer = browser.visit("GET", &link, "").await;
    answer.expect_redirect("/projects");
    assert_eq!(answer.browser_session(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_without_a_good_token_or_user_shows_why() {
    let world = World::new(&[]).await;
    let unknown = format!("/sso/login?token={}", native(NO_SUCH_USER));
    let answer = world.browser().visit("GET", &unknown, "").await;
    answer
        .expect(403, "user_unknown")
        .expect_text("have access to this Label Studio");
    for nothing in [
        "/sso/login",
        "/sso/login?token=",
        "/sso/login?token=rubbish",
    ] {
        let answer = world.browser().visit("GET", nothing, "").await;
        answer.expect_status(401);
    }
    let outage = "ALTER TABLE htx_user RENAME TO gone";
    world.database.run(outage).await;
    let answer = world.browser().visit("GET", &unknown, "").await;
    answer
        .expect(503, "database_unavailable")
        .expect_text("Sign-in is temporarily unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_in_the_store() {
    let world = World::new(&[REQUIRE]).await;
    let signed_out_url = ("GATE_POLICY_SIGNED_OUT_URL", "https://app.example.com/bye");
    let elsewhere = world.gate(&[signed_out_url]);
    for (method, gate, location) in [
        ("GET", &world.app, "/sso/signed-out"),
        ("POST", &elsewhere, "https://app.example.com/bye"),
    ] {
        let browser = world.signed_in(&world.ann).await.with_token("a.b.c");
        assert_eq!(world.sessions().await, 1);
        let stolen = browser.stolen_session().with_token("a.b.c");
        let there = browser
            .before(gate)
            .with_header("Sec-Fetch-Site", "same-origin");
        let answer = there.visit(method, "/sso/logout", "").await;
        answer.expect_redirect(location);
        let cookies = answer.set_cookies();
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        assert!(
            cookies.iter().all(|cookie| cookie.contains("Max-Age=0")),
            "{cookies:?}"
        );
        assert_eq!(world.sessions().await, 0, "{method}");
        if gate.url == world.app.url {
            // The gate that ended the session refuses it at once.
            stolen.get("/").await.expect_status(401);
        }
    }
    let page = world.browser().visit("GET", "/sso/signed-out", "").await;
    page.expect_status(200).expect_text("You are signed out");
    let delete = world.app.send("DELETE", "/sso/logout", &[], "").await;
    delete.expect_status(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_sent_to_the_applications_sign_in_with_the_way_back() {
    let world = World::new(&[
        REQUIRE,
        (
            "GATE_POLICY_SIGN_IN_URL",
            "https://app.example.com/login?tenant=1",
        ),
        ("GATE_POLICY_RETURN_PARAMETER", "back"),
    ])
    .await;
    let uri = format!("/projects/1?tab=2&token={}", world.ann.token());
    let headers = [
        ("Accept", "text/html"),
        ("Host", "ls.example.com"),
        ("X-Forwarded-Proto", "https"),
        ("X-Original-URI", uri.as_str()),
        ("X-Gate-Reason", "sign_in_required"),
    ];
    let page = "/auth/nginx/sign-in";
    let answer = world.app.send("GET", page, &headers, "").await;
    answer.expect_redirect(
        "https://app.example.com/login?tenant=1&back=https%3A%2F%2Fls.example.com%2Fprojects%2F1%3Ftab%3D2",
    );
    let not_a_page = &headers[1..];
    let answer = world.app.send("GET", page, not_a_page, "").await;
    answer.expect(401, "sign_in_required");
    assert!(answer.header("WWW-Authenticate").is_some());
    assert_eq!(answer.json()["reason"], "sign_in_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_decides_who_may_frame_the_pages() {
    let world = World::new(&[]).await;
    let framed = world.gate(&[
        (
            "GATE_PAGES_FRAME_ANCESTORS",
            "self, https://App.example.com/, https://*.example.org:8443",
        ),
        ("CORS_ALLOWED_ORIGINS", "https://trusted.example.com"),
    ]);
    let frame_ancestors = async |gate: &crate::app::TestApp, path: &str| {
        let browser = world.browser().before(gate);
        let answer = browser
            .with_header("Sec-Fetch-Site", "cross-site")
            .visit("GET", path, "")
            .await;
        let policy = answer.header("Content-Security-Policy").unwrap();
        let directive = policy
            .split("; ")
            .find_map(|it| it.strip_prefix("frame-ancestors "));
        directive.map(str::to_owned)
    };
    for page in ["/sso/login", "/sso/signed-out"] {
        assert_eq!(frame_ancestors(&world.app, page).await, None, "{page}");
        let expected = "'self' https://app.example.com https://*.example.org:8443";
        assert_eq!(
            frame_ancestors(&framed, page).await.as_deref(),
            Some(expected),
            "{page}"
        );
    }
    // A framing site could trick the user into pressing the button.
    let own = frame_ancestors(&world.app, "/sso/logout").await;
    assert_eq!(own.as_deref(), Some("'self'"));
    let trusted = frame_ancestors(&framed, "/sso/logout").await;
    assert_eq!(
        trusted.as_deref(),
        Some("'self' https://trusted.example.com")
    );
}

/// What a page tells the page around it: the message, and to whom.
fn message(page: &str) -> Option<(serde_json::Value, String)> {
    let attribute = |name: &str| {
        let (_, value) = page.split_once(&format!("{name}=\""))?;
        let value = value.split('"').next()?.replace("&#34;", "\"");
        Some(value.replace("&#38;", "&"))
    };
    let message = serde_json::from_str(&attribute("data-message")?).unwrap();
    Some((message, attribute("data-origins")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_tell_allowed_origins_what_they_say() {
    let applications = "https://app.example.com, https://other.example.com:8443";
    let world = World::new(&[REQUIRE, ("CORS_ALLOWED_ORIGINS", applications)]).await;
    let claims = with(claims(world.ann.id), &json!({"exp": now() - 1}));
    let expired = sign(Algorithm::HS256, SECRET_KEY, &claims);
    let unknown = native(NO_SUCH_USER);
    let id = "0123456789abcdef0123456789abcdef";
    let browser = || {
        let browser = world.browser().with_header("X-Request-Id", id);
        browser.with_header("X-Original-URI", "/projects/5?tab=2&token=a.b.c")
    };
    let form = format!("token={expired}&next=/projects/7");
    let login = ("POST", "/sso/login", form.as_str());
    let (sign_in, refused) = ("/auth/nginx/sign-in", "/auth/nginx/refused");
    let unknown_user = format!("/sso/login?token={unknown}");
    for ((method, page, form), checked, kind, reason, path) in [
        (
            login,
            "",
            "link_expired",
            "token_expired",
            json!("/projects/7"),
        ),
        (
            ("GET", "/sso/login", ""),
            "",
            "link_expired",
            "token_malformed",
            json!("/"),
        ),
        (
            ("GET", unknown_user.as_str(), ""),
            "",
            "access_denied",
            "user_unknown",
            json!("/"),
        ),
        (
            ("GET", "/sso/signed-out", ""),
            "",
            "signed_out",
            "no_token",
            json!(null),
        ),
        (
            ("GET", sign_in, ""),
            "sign_in_required",
            "sign_in_required",
            "sign_in_required",
            json!("/projects/5?tab=2"),
        ),
        (
            ("GET", sign_in, ""),
            "token_used",
            "link_expired",
            "token_used",
            json!("/projects/5?tab=2"),
        ),
        (
            ("GET", refused, ""),
            "user_inactive",
            "access_denied",
            "user_inactive",
            json!("/projects/5?tab=2"),
        ),
        (
            ("GET", "/auth/nginx/undecided", ""),
            "overloaded",
            "unavailable",
            "overloaded",
            json!("/projects/5?tab=2"),
        ),
        (
            ("GET", refused, ""),
            "cross_site_request",
            "request_refused",
            "cross_site_request",
            json!("/projects/5?tab=2"),
        ),
    ] {
        let browser = browser().with_header("X-Gate-Reason", checked);
        let answer = browser.visit(method, page, form).await;
        let (message, origins) = message(&answer.body).unwrap();
        let expected = json!({
            "source": "label-studio-gate", "version": 1, "type": kind, "reason": reason,
            "request_id": id, "path": path,
        });
        assert_eq!(message, expected, "{page} {checked}");
        assert_eq!(
            origins,
            "https://app.example.com https://other.example.com:8443"
        );
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(policy.contains("; script-src 'sha256-"), "{policy}");
    }
    // The user has to answer first.
    let confirm = browser().with_header("Sec-Fetch-Site", "cross-site");
    let answer = confirm.visit("GET", "/sso/logout", "").await;
    assert_eq!(message(&answer.expect_status(200).body), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_allowed_origins_no_page_runs_a_script() {
    let world = World::new(&[]).await;
    for page in ["/sso/login", "/sso/signed-out", "/auth/nginx/refused"] {
        let answer = world.browser().visit("GET", page, "").await;
        assert!(!answer.body.contains("<script"), "{}", answer.body);
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(!policy.contains("script-src"), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_tells_the_page_around_it_before_it_is_redirected() {
    let sign_in = ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/login");
    let world = World::new(&[REQUIRE, sign_in]).await;
    let embedding = world.gate(&[
        REQUIRE,
        sign_in,
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com"),
    ]);
    let visit = async |gate: &crate::app::TestApp, destination: &str, reason: &str| {
        let headers = [
            ("Accept", "text/html"),
            ("Host", "ls.example.com"),
            ("X-Forwarded-Proto", "https"),
            ("X-Original-URI", "/projects/"),
            ("X-Gate-Reason", reason),
            ("Sec-Fetch-Dest", destination),
        ];
        gate.send("GET", "/auth/nginx/sign-in", &headers, "").await
    };
    let location = "https://app.example.com/login?next=https%3A%2F%2Fls.example.com%2Fprojects%2F";
    for (gate, destination) in [(&world.app, "iframe"), (&embedding, "document")] {
        let answer = visit(gate, destination, "token_expired").await;
        answer.expect_redirect(location);
    }
    let answer = visit(&embedding, "iframe", "token_expired").await;
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0; url={location}\">");
    answer.expect(401, "token_expired").expect_text(&refresh);
    assert!(message(&answer.body).is_some());
    // Where a fresh token changes nothing, that would be a loop: the page has a link instead.
    for gate in [&world.app, &embedding] {
        let answer = visit(gate, "document", "token_claim_refused").await;
        answer
            .expect(401, "token_claim_refused")
            .expect_text("Sign in again</a>");
        assert!(!answer.body.contains("http-equiv"), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_named_on_every_page() {
    let world = World::new(&[
        ("GATE_PAGES_NAME", "Example <Research>"),
        ("GATE_PAGES_LOGO_URL", "https://cdn.example.com/logo.svg"),
        ("GATE_PAGES_SUPPORT_URL", "mailto:help@example.com"),
    ])
    .await;
    let id = "0123456789abcdef0123456789abcdef";
    let browser = world.browser().with_header("X-Request-Id", id);
    let answer = browser.visit("GET", "/sso/login", "").await;
    answer
        .expect_text("<span>Example &#60;Research&#62;</span>")
        .expect_text("<img src=\"https://cdn.example.com/logo.svg\" alt=\"\">")
        .expect_text(&format!(
            "href=\"mailto:help@example.com?subject=Label%20Studio:%20{id}\""
        ));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(
        policy.contains("; img-src https://cdn.example.com;"),
        "{policy}"
    );
}
