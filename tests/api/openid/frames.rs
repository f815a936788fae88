//! Sign-in in a frame of another site: without a form, or through a window.

use std::time::Duration;

use serde_json::json;

use super::{Flow, Provider};
use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::world::{REQUIRE, World};

/// What stands between two marks, as the browser reads it.
fn between(answer: &Answer, start: &str, end: &str) -> String {
    let rest = answer.body.split(start).nth(1).expect("the start");
    let text = rest.split(end).next().expect("the end");
    text.replace("&#38;", "&")
}

fn frame(app: &TestApp) -> Browser<'_> {
    Browser::of(app).with_header("Sec-Fetch-Dest", "iframe")
}

/// A frame whose user the provider wants to ask something. Returns where its button leads.
async fn let_wait(frame: &Browser<'_>, provider: &Provider) -> String {
    let flow = Flow::start(frame, "next=/projects/1").await;
    assert_eq!(flow.parameter("prompt"), "none");
    let changes = json!({"code": null, "error": "login_required"});
    let answer = frame
        .visit("GET", &flow.callback(provider, &changes), "")
        .await;
    answer
        .expect(401, "sign_in_interaction")
        .expect_text("action=\"/sso/login\"");
    assert!(frame.session().is_none());
    between(
        &answer,
        "<a class=\"button\" href=\"",
        "\" target=\"_blank\" rel=\"opener\"",
    )
}

/// Signs in in the window that the button opens. Returns what it hands to the frame.
async fn sign_in_in_window(window: &Browser<'_>, start: &str, provider: &Provider) -> String {
    let flow = Flow::of(&window.visit("GET", start, "").await);
    assert_eq!(flow.parameter("prompt"), "");
    provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
    let answer = window
        .visit("GET", &flow.callback(provider, &json!({})), "")
        .await;
    answer
        .expect_status(200)
        .expect_header("Cache-Control", Some("no-store"));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    between(&answer, "data-handover=\"", "\"")
}

async fn take_over(frame: &Browser<'_>, handover: &str) -> Answer {
    let form = format!("handover={handover}");
    frame.visit("POST", "/sso/login", &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn window_hands_the_sign_in_to_the_frame_that_opened_it_once() {
    for engine in ["db", "signed_cookies"] {
        let world = World::new(&[]).await;
        let provider = Provider::start();
        let settings = [("SESSION_ENGINE", engine), REQUIRE];
        let app = provider.gate(&world, &settings);
        let other_gate = provider.gate(&world, &settings);
        let (one, two, window) = (frame(&app), frame(&app), Browser::of(&app));
        let start = let_wait(&one, &provider).await;
        let_wait(&two, &provider).await;
        let handover = sign_in_in_window(&window, &start, &provider).await;
        window.get("/").await.expect(200, "session_valid");

        // Nothing but the frame that waits for it can use it: no other frame, and no other browser.
        for wrong in [&two, &Browser::of(&app)] {
            let answer = take_over(wrong, &handover).await;
            answer.expect(401, "sign_in_unknown");
            assert!(wrong.session().is_none());
        }
        let changed = format!("{}AAAA", &handover[..handover.len() - 4]);
        let answer = take_over(&one.before(&app), &changed).await;
        answer.expect(401, "sign_in_unknown");

        // Not for long.
        let late = provider.gate_ahead(Duration::from_secs(130), &world, &settings);
        let answer = take_over(&one.before(&late), &handover).await;
        answer.expect(401, "sign_in_unknown");

        // Any gate knows it. Once.
        let copy = one.before(&other_gate);
        take_over(&copy, &handover)
            .await
            .expect_redirect("/projects/1");
        copy.get("/").await.expect(200, "session_valid");
        let answer = take_over(&copy, &handover).await;
        answer.expect(401, "sign_in_unknown");
        assert_eq!(provider.asked("/token").len(), 1, "a code is sent once");
    }
}

/// Somebody who is lured into such a window, by a page that is no frame of Label Studio, signs in for
/// nobody but themselves.
#[tokio::test(flavor = "multi_thread")]
async fn window_without_a_frame_helps_nobody() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[]);
    let (victim, attacker) = (Browser::of(&app), frame(&app));
    let start = let_wait(&attacker, &provider).await;
    // The page posts to Label Studio's own origin only; here the attacker has read it anyway.
    let handover = sign_in_in_window(&victim, &start, &provider).await;
    take_over(&Browser::of(&app), &handover)
        .await
        .expect(401, "sign_in_unknown");
    // What is no handover.
    take_over(&attacker, "")
        .await
        .expect(401, "sign_in_unknown");
    take_over(&attacker, "rubbish")
        .await
        .expect(401, "sign_in_unknown");
}

/// A flow's cookie may be one of five in a header of 8 kB, whatever the link said.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_frame_parameter_is_ignored_and_not_stored() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[]);
    for odd in ["%C3%A9%C3%A9", &"f".repeat(42), &"f".repeat(2000)] {
        let browser = Browser::of(&app);
        let start = format!("/sso/start?next=/x&frame={odd}");
        let start = browser.visit("GET", &start, "").await;
        let length = start.set_cookies()[0].split(';').next().unwrap().len();
        assert!(length < 1500, "{odd}: {length}");
        let flow = Flow::of(&start);
        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({}));
        let answer = browser.visit("GET", &callback, "").await;
        answer.expect_redirect("/x");
        // Nor does it keep a user away who has a session.
        let start = format!("/sso/start?next=/y&frame={odd}");
        let again = browser.visit("GET", &start, "").await;
        again.expect_redirect("/y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_asks_without_a_form_and_a_provider_may_want_the_request_first() {
    let world = World::new(&[]).await;
    let provider = Provider::with_metadata(&json!({"require_pushed_authorization_requests": true}));
    let app = provider.gate(&world, &[]);
    let frame = Browser::of(&app).with_header("Sec-Fetch-Dest", "iframe");
    let start = frame.visit("GET", "/sso/start?next=/", "").await;
    let cookie = start.set_cookies()[0].to_owned();
    assert!(
        cookie.contains("SameSite=None") && cookie.contains("Partitioned"),
        "{cookie}"
    );
    let flow = Flow::of(&start);
    assert_eq!(flow.parameter("request_uri"), "urn:pushed:1");
    assert_eq!(flow.parameter("state"), "");
    let pushed = provider.asked("/push");
    assert!(
        pushed[0].contains("prompt=none") && pushed[0].contains("state="),
        "{pushed:?}"
    );
}
