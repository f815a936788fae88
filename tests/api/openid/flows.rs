//! From the page that needs a sign-in to the provider and back: in one tab, in several, and not too often.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{Flow, Provider};
use crate::actors::Browser;
use crate::world::{REQUIRE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_signs_a_user_in() {
    for engine in ["db", "signed_cookies"] {
        let world = World::new(&[]).await;
        let provider = Provider::start();
        let app = provider.gate(&world, &[("SESSION_ENGINE", engine), REQUIRE]);
        let browser = Browser::of(&app);

        // A page leads to the provider, a script does not.
        let page = browser.with_header("X-Original-URI", "/projects/1?tab=2");
        let refused = page.visit("GET", "/auth/nginx/sign-in", "").await;
        refused.expect_redirect("/sso/start?next=%2Fprojects%2F1%3Ftab%3D2");
        let script = Browser::of(&app)
            .with_header("X-Original-URI", "/api/projects")
            .with_header("Sec-Fetch-Mode", "cors");
        let refused = script.visit("GET", "/auth/nginx/sign-in", "").await;
        refused.expect_status(401);
        script
            .visit("GET", "/sso/start", "")
            .await
            .expect_status(401);

        let browser = Browser::of(&app);
        let start = browser
            .visit("GET", "/sso/start?next=/projects/1%3Ftab=2", "")
            .await;
        start
            .expect_status(303)
            .expect_header("Cache-Control", Some("no-store"))
            .expect_header("Referrer-Policy", Some("no-referrer"));
        let cookie = start.set_cookies()[0].to_owned();
        assert!(cookie.starts_with("__Host-gate_flow_"), "{cookie}");
        for attribute in [
            "Max-Age=600",
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
        ] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let flow = Flow::of(&start);
        for (name, value) in [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "label studio"),
            ("scope", "openid email profile"),
            ("redirect_uri", "https://ls.example.com/sso/callback"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(flow.parameter(name), value, "{name}");
        }
        assert_eq!(flow.parameter("state").len(), 43);

        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({"session_state": "x"}));
        let answer = browser.visit("GET", &callback, "").await;
        answer
            .expect_redirect("/projects/1?tab=2")
            .expect_header("Cache-Control", Some("no-store"))
            .expect_header("Referrer-Policy", Some("no-referrer"));
        browser.get("/").await.expect(200, "session_valid");
        assert!(browser.cookie(cookie.split('=').next().unwrap()).is_none());

        // The code was sent once, with the secret as RFC 6749 §2.3.1 wants it.
        let asked = provider.asked("/token");
        assert_eq!(asked.len(), 1, "{asked:?}");
        let basic = "label+studio:a+client+secret%3A+with+%25+and+%2B%2C+of+more+than+32+bytes";
        let basic = format!("Basic {}", BASE64_STANDARD.encode(basic));
        assert!(asked[0].contains(&basic), "{asked:?}");
        assert!(
            asked[0].contains("code=c0de") && asked[0].contains("code_verifier="),
            "{asked:?}"
        );

        // A reload of the callback, and a tab that was left open.
        browser
            .visit("GET", &callback, "")
            .await
            .expect_redirect("/");
        let late = browser.visit("GET", "/sso/start?next=/x", "").await;
        late.expect_redirect("/x");
        assert_eq!(provider.asked("/token").len(), 1);
        // The same answer in another browser is worth nothing.
        let stranger = Browser::of(&app);
        let answer = stranger.visit("GET", &callback, "").await;
        answer.expect(401, "sign_in_unknown");
        assert!(stranger.session().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_sign_in_side_by_side_at_any_gate_and_make_room() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let (one, two) = (provider.gate(&world, &[]), provider.gate(&world, &[]));
    let browser = Browser::of(&one);
    let mut flows = Vec::new();
    for n in 0..7 {
        flows.push(Flow::start(&browser, &format!("next=/{n}")).await);
    }
    // Five of them have a cookie still; the first two made room.
    let other = browser.before(&two);
    for (n, flow) in flows.iter().enumerate().skip(2).rev() {
        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({}));
        let answer = other.visit("GET", &callback, "").await;
        answer.expect_redirect(&format!("/{n}"));
    }
    let first = flows[0].callback(&provider, &json!({}));
    other.visit("GET", &first, "").await.expect_redirect("/");
    assert_eq!(world.sessions().await, 1);
    // Five sign-ins in a row look like a loop, which ends on a page.
    world.database.run("DELETE FROM django_session").await;
    let answer = other.visit("GET", "/sso/start?next=/", "").await;
    answer
        .expect(401, "sign_in_required")
        .expect_text("not keeping you signed in");
}
