//! nginx reads a response's head into a buffer. A larger one counts as a failure of the gate, and nginx
//! asks each gate that has failed no more for a while: two such requests would shut everybody out.

use serde_json::json;

use super::{Flow, Provider};
use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::world::World;

/// `proxy_buffer_size` in the shipped files.
const BUFFER: usize = 32 * 1024;
/// nginx accepts lines of up to 32 kB from clients (`large_client_header_buffers`).
const LONG: usize = 31_000;

#[track_caller]
fn expect_to_fit(what: &str, answer: &Answer) {
    let fields = answer.headers.iter();
    let head: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    assert!(
        head + 100 < BUFFER,
        "{what}: {head} bytes, {}",
        answer.status
    );
}

async fn check(app: &TestApp, cookies: &[String]) -> Answer {
    let mut headers = vec![("X-Original-URI", "/"), ("X-Original-Method", "GET")];
    headers.extend(cookies.iter().map(|line| ("Cookie", line.as_str())));
    app.check_with(&headers).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sends_makes_the_head_of_a_response_too_long() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    for policy in ["pass", "require"] {
        let app = provider.gate(&world, &[("GATE_POLICY_ANONYMOUS", policy)]);
        let token = format!("ls_auth_token={}", world.ann.token());
        let filler = |length| format!("a={}", "x".repeat(length));
        for cookies in [
            vec![filler(LONG), token.clone()],
            vec![filler(LONG), format!("{}; ls_auth_token=x", filler(3000))],
            vec![filler(LONG), filler(LONG), filler(LONG)],
        ] {
            let answer = check(&app, &cookies).await;
            answer.expect(403, "cookies_too_long");
            expect_to_fit("a check", &answer);
        }
        let answer = check(&app, &[format!("{}; {token}", filler(20_000))]).await;
        answer.expect(200, "session_opened");
        expect_to_fit("a login", &answer);
        let short = "a;".repeat(10_000);
        let answer = check(&app, &[format!("{short}{token}")]).await;
        answer.expect(200, "session_opened");
        let cookies = answer.header("X-Gate-Cookie").unwrap();
        assert!(cookies.len() < short.len() + 100, "{}", cookies.len());

        let quotes = format!("/?{}", "\"".repeat(11_000));
        let browser = Browser::of(&app).with_header("X-Original-URI", &quotes);
        let answer = browser.visit("GET", "/auth/nginx/sign-in", "").await;
        expect_to_fit("sign-in is required", &answer);

        let many: String = (0..400)
            .map(|n| format!("__Host-gate_flow_{n:012}=x; "))
            .collect();
        let headers = [("Accept", "text/html"), ("Cookie", many.as_str())];
        let answer = app.send("GET", "/sso/start?next=/x", &headers, "").await;
        answer.expect_status(303);
        assert!(answer.set_cookies().len() > 1, "the browser has too many");
        expect_to_fit("the way to the provider", &answer);

        let next = "x".repeat(LONG);
        let form = format!("token={}&next=/{next}", world.ann.token());
        let answer = Browser::of(&app).visit("POST", "/sso/login", &form).await;
        answer.expect_redirect("/");
        expect_to_fit("a form", &answer);

        let page = format!("/{}?token={}", "x".repeat(LONG), world.ann.token());
        let browser = Browser::of(&app).with_header("X-Original-URI", &page);
        let answer = browser.visit("GET", "/auth/nginx/login", "").await;
        answer.expect_redirect("/");
        expect_to_fit("a page with a token", &answer);
    }
}

/// Another application may be at `/`, and with `"require"` the gate itself leads from there to the sign-in page.
#[tokio::test(flavor = "multi_thread")]
async fn too_long_a_redirect_stays_in_label_studio() {
    let below = (
        "GATE_LABEL_STUDIO_URL",
        "https://ls.example.com/label-studio",
    );
    let application = (
        "GATE_POLICY_SIGN_IN_URL",
        "https://app.example.org/login?from=ls",
    );
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[below]);
    let form = format!(
        "token={}&next=/label-studio/{}",
        world.ann.token(),
        "x".repeat(LONG)
    );
    let answer = Browser::of(&app).visit("POST", "/sso/login", &form).await;
    answer.expect_redirect("/label-studio/");

    // The answer of the provider once more.
    let browser = Browser::of(&app);
    let flow = Flow::start(&browser, "next=/label-studio/").await;
    provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
    let callback = flow.callback(&provider, &json!({}));
    for _ in 0..2 {
        let answer = browser.visit("GET", &callback, "").await;
        answer.expect_redirect("/label-studio/");
    }

    let quotes = format!("/label-studio/?{}", "\"".repeat(11_000));
    for (more, location) in [
        (&[below][..], "/label-studio/sso/start"),
        (
            &[below, application],
            "https://app.example.org/login?from=ls",
        ),
    ] {
        let app = provider.gate(&world, more);
        let browser = Browser::of(&app).with_header("X-Original-URI", &quotes);
        let answer = browser.visit("GET", "/auth/nginx/sign-in", "").await;
        answer.expect_redirect(location);
    }
}
