//! What pages of other sites can make a browser do: each credential a browser adds by itself ×
//! where the request comes from.

use crate::actors::Browser;
use crate::world::World;

const APP: &str = "https://app.example.org";
const SAMESITE_NONE: [(&str, &str); 2] = [
    ("SESSION_COOKIE_SAMESITE", "None"),
    ("SESSION_COOKIE_SECURE", "1"),
];

/// The browser, with the headers of a request that a page of another origin makes.
fn from_origin<'a>(browser: Browser<'a>, site: &'a str, origin: &'a str) -> Browser<'a> {
    browser
        .with_header("Sec-Fetch-Site", site)
        .with_header("Origin", origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ambient_credential_acts_for_a_page_of_another_site() {
    let mut settings = vec![
        ("JWT_SSO_SESSION_VERIFY_URL", "http://127.0.0.1:1/"),
        ("JWT_SSO_SESSION_VERIFY_SECRET", "secret"),
        ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
        ("GATE_POLICY_ALLOWED_ORIGINS", APP),
    ];
    for same_site_none in [false, true] {
        if same_site_none {
            settings.extend(SAMESITE_NONE);
        }
        let world = World::new(&settings).await;
        let session = world.signed_in(&world.ann).await.session().unwrap();
        let token = world.ann.token();
        for (name, value) in [
            ("sessionid", session.as_str()),
            ("ls_auth_token", &token),
            ("ls_auth_token", "rubbish"),
            ("connect.sid", "abc"),
        ] {
            let browser = || world.browser().with_cookie(name, value);
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                for origin in ["https://evil.test", "null"] {
                    let answer = from_origin(browser(), "cross-site", origin)
                        .send(method, "/api/projects")
                        .await;
                    answer.expect(403, "cross_site_request").expect_no_session();
                    let no_metadata = browser().with_header("Origin", origin);
                    let answer = no_metadata.send(method, "/api/projects").await;
                    answer.expect(403, "cross_site_request");
                }
                let own = from_origin(browser(), "same-origin", "https://ls.example.com");
                assert_ne!(
                    own.send(method, "/api/projects").await.status,
                    403,
                    "{name}"
                );
                let allowed = from_origin(browser(), "cross-site", APP);
                assert_ne!(
                    allowed.send(method, "/api/projects").await.status,
                    403,
                    "{name}"
                );
                // Browsers send SameSite=Lax cookies from pages of the same site, so the gate
                // accepts those pages; with SameSite=None it accepts its own origin only.
                let sibling = from_origin(browser(), "same-site", "https://other.example.com");
                let refused = sibling.send(method, "/api/projects").await.status == 403;
                assert_eq!(refused, same_site_none, "{name}");
            }
            let link = from_origin(browser(), "cross-site", "https://evil.test");
            assert_ne!(link.get("/projects").await.status, 403, "{name}");
        }
        let nothing = from_origin(world.browser(), "cross-site", "https://evil.test");
        let answer = nothing.send("POST", "/api/projects").await;
        answer.expect(200, "no_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_signs_nobody_in() {
    let world = World::new(&[("GATE_POLICY_ALLOWED_ORIGINS", APP)]).await;
    let form = format!("token={}&next=/projects", world.bob.token());
    for (site, origin, allowed) in [
        ("cross-site", "https://evil.test", false),
        ("same-site", "https://other.example.com", false),
        ("cross-site", "null", false),
        ("cross-site", APP, true),
        ("same-origin", "https://ls.example.com", true),
    ] {
        let browser = from_origin(world.browser(), site, origin);
        let answer = browser.visit("POST", "/sso/login", &form).await;
        match allowed {
            true => assert_eq!(answer.status, 303, "{site} {origin}"),
            false => {
                answer.expect(403, "cross_site_request");
                assert_eq!(browser.session(), None);
            }
        }
    }
    let program = world.browser().visit("POST", "/sso/login", &form).await;
    // A program that is no browser sends no Origin.
    program.expect_status(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_signs_nobody_out() {
    let world = World::new(&[("GATE_POLICY_ALLOWED_ORIGINS", APP)]).await;
    for (method, site, origin, referer, allowed) in [
        ("POST", "cross-site", "https://evil.test", "", false),
        ("POST", "same-site", "https://other.example.com", "", false),
        ("POST", "cross-site", APP, "", true),
        ("POST", "same-origin", "https://ls.example.com", "", true),
        ("GET", "cross-site", "", "https://evil.test/", false),
        ("GET", "cross-site", "", "", false),
        ("GET", "same-site", "", "https://other.example.com/", false),
        ("GET", "same-origin", "", "", true),
        ("GET", "none", "", "", true),
        ("GET", "", "", "", false),
        ("GET", "", "", "http://ls.example.com/projects", true),
        ("GET", "", "", "https://evil.test/ls.example.com", false),
        (
            "GET",
            "cross-site",
            "",
            "https://app.example.org/account",
            true,
        ),
    ] {
        let mut browser = world.signed_in(&world.ann).await;
        for (name, value) in [
            ("Sec-Fetch-Site", site),
            ("Origin", origin),
            ("Referer", referer),
        ] {
            if !value.is_empty() {
                browser = browser.with_header(name, value);
            }
        }
        let answer = browser.visit(method, "/sso/logout", "").await;
        let case = format!("{method} {site} {origin} {referer}");
        if allowed {
            assert_eq!((answer.status, browser.session()), (303, None), "{case}");
            continue;
        }
        // The gate's own page asks the user to confirm with a button.
        answer
            .expect(200, "cross_site_request")
            .expect_text("<form class=\"actions\" method=\"post\"><button")
            .expect_header("Referrer-Policy", Some("same-origin"));
        assert!(browser.session().is_some(), "{case}");
        let policy = answer.header("Content-Security-Policy").unwrap();
        assert!(
            policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'self'"),
            "{policy}"
        );
        let button = browser
            .before(&world.app)
            .with_header("Origin", "http://ls.example.com");
        let answer = button.visit("POST", "/sso/logout", "").await;
        answer.expect_status(303);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_return_url_does_not_contain_a_forged_host() {
    let sign_in = ("GATE_POLICY_SIGN_IN_URL", "https://app.example.org/login");
    let url = ("LABEL_STUDIO_HOST", "https://ls.example.com/label-studio");
    let world = World::new(&[crate::world::REQUIRE, sign_in, url]).await;
    let headers = [
        ("Accept", "text/html"),
        ("X-Original-URI", "/label-studio/projects/1?tab=2"),
        ("Host", "evil.test"),
    ];
    let answer = world
        .app
        .send("GET", "/auth/nginx/sign-in", &headers, "")
        .await;
    answer.expect_header(
        "Location",
        Some(
            "https://app.example.org/login?next=https%3A%2F%2Fls.example.com%2Flabel-studio%2Fprojects%2F1%3Ftab%3D2",
        ),
    );
}

/// Somebody else's token in the address of an image: it would end the user's session, and sign them in
/// as that somebody.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_site_does_not_change_who_is_signed_in() {
    let world = World::new(&SAMESITE_NONE).await;
    let browser = world.signed_in(&world.ann).await;
    let (token, path) = (world.bob.token(), "/static/x.png");
    let part = || {
        let page = browser.before(&world.app);
        let page = page.with_header("Sec-Fetch-Site", "cross-site");
        page.with_header("Sec-Fetch-Mode", "no-cors")
    };
    let image = part().get(&format!("{path}?token={token}")).await;
    image.expect(403, "cross_site_request").expect_no_session();
    let login = format!("/sso/login?token={token}");
    let image = part().visit("GET", &login, "").await;
    image.expect(403, "cross_site_request");
    // Without a token, it is one like any other.
    part().get(path).await.expect(200, "no_token");
    assert!(world.sessions().await > 0);
    let link = browser.before(&world.app);
    let link = link.with_header("Sec-Fetch-Site", "cross-site");
    let link = link.with_header("Sec-Fetch-Mode", "navigate");
    let opened = link.get(&format!("/projects?token={token}")).await;
    opened.expect(200, "user_switched");
}

/// Browsers send no `Origin` for an image, but, over HTTPS and with their usual policy, the page's origin as
/// `Referer`.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_an_allowed_origin_signs_its_user_in() {
    let [samesite, secure] = SAMESITE_NONE;
    let world = World::new(&[samesite, secure, ("GATE_POLICY_ALLOWED_ORIGINS", APP)]).await;
    let image = |referer: &'static str| {
        let page = world.browser().with_header("Sec-Fetch-Site", "cross-site");
        let page = page.with_header("Sec-Fetch-Mode", "no-cors");
        page.with_header("Referer", referer)
    };
    let token = world.ann.token();
    let path = format!("/data/upload/1/x.png?token={token}");
    let login = format!("/sso/login?token={token}");
    for referer in [
        "https://evil.test/",
        "https://evil.test/https://app.example.org/",
    ] {
        let refused = image(referer).get(&path).await;
        refused
            .expect(403, "cross_site_request")
            .expect_no_session();
        let refused = image(referer).visit("GET", &login, "").await;
        refused.expect(403, "cross_site_request");
    }
    let referer = "https://app.example.org/";
    let shown = image(referer).get(&path).await;
    shown.expect(200, "session_opened");
    let followed = image(referer).visit("GET", &login, "").await;
    followed.expect_status(303);
}
