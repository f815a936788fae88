//! Providers that are down, and several to choose from.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{Flow, PUBLIC_URL, Provider, SECRET, sign_in};
use crate::actors::Browser;
use crate::process::{Reload, Service};
use crate::support::stub::Reply;
use crate::world::{REQUIRE, World};

#[tokio::test(flavor = "multi_thread")]
async fn signed_in_users_keep_working_while_the_provider_is_down() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[REQUIRE]);
    let browser = Browser::of(&app);
    sign_in(&browser, &provider, &json!({}))
        .await
        .expect_status(303);
    provider.stub.now(|_| Reply::of(502, ""));
    browser.get("/").await.expect(200, "session_valid");
    // What is known about the provider leads users there still; a gate that knows nothing says so.
    let answer = Browser::of(&app).visit("GET", "/sso/start", "").await;
    answer.expect_status(303);
    let fresh = provider.gate(&world, &[REQUIRE]);
    let answer = Browser::of(&fresh).visit("GET", "/sso/start", "").await;
    answer.expect(503, "provider_unavailable");
    // The provider's document is for another issuer.
    let provider = Provider::start();
    let issuer = format!("{}/", provider.issuer());
    let wrong = world.gate(&provider.settings(&issuer));
    let answer = Browser::of(&wrong).visit("GET", "/sso/start", "").await;
    answer.expect(503, "provider_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_choose_one_of_several_providers() {
    let world = World::new(&[]).await;
    let (one, two) = (Provider::start(), Provider::start());
    let provider = |name: &str, label: &str, issuer: String| json!({"name": name, "label": label, "issuer": issuer, "client_id": "label studio", "client_secret": SECRET, "allow_http": true});
    let providers = json!([
        provider("one", "Staff <1>", one.issuer()),
        provider("two", "", two.issuer())
    ]);
    let providers = providers.to_string();
    let app = world.gate(&[PUBLIC_URL, ("GATE_SIGN_IN_PROVIDERS", &providers)]);
    let browser = Browser::of(&app);
    let answer = browser.visit("GET", "/sso/start?next=/x", "").await;
    answer
        .expect_status(200)
        .expect_text("href=\"/sso/start?next=%2Fx&#38;provider=one\"")
        .expect_text("Staff &#60;1&#62;")
        .expect_text("127.0.0.1");
    let flow = Flow::start(&browser, "next=/x&provider=two").await;
    assert_eq!(
        flow.parameter("redirect_uri"),
        "https://ls.example.com/sso/callback/two"
    );
    two.gives(&two.signer.sign(&two.claims(&flow.nonce())));
    // The answer at the redirect URI of the other one: mix-up (RFC 9700 §4.4).
    let callback = flow.callback(&two, &json!({}));
    let mixed = callback.replace("/sso/callback", "/sso/callback/one");
    let copy = browser.before(&app);
    copy.visit("GET", &mixed, "")
        .await
        .expect(401, "sign_in_unknown");
    assert_eq!(one.asked("/token").len() + two.asked("/token").len(), 0);
    let right = callback.replace("/sso/callback", "/sso/callback/two");
    browser.visit("GET", &right, "").await.expect_redirect("/x");
    for path in [
        "/sso/callback?code=a&state=b",
        "/sso/callback/three?code=a&state=b",
    ] {
        browser.visit("GET", path, "").await.expect_status(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_sign_in_without_a_provider() {
    let world = World::new(&[]).await;
    for (method, path, body) in [
        ("GET", "/sso/start?next=/x", ""),
        ("POST", "/sso/start", "iss=https://op.example.com"),
        ("GET", "/sso/callback?code=a&state=b", ""),
        ("GET", "/sso/callback/one?code=a&state=b", ""),
        ("POST", "/sso/backchannel-logout", "logout_token=x"),
    ] {
        let answer = world.browser().visit(method, path, body).await;
        answer.expect_status(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_secret_is_sent_without_a_restart() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("client_secret");
    let settings = format!(
        "[database]\nurl = \"{}\"\n[label_studio]\nurl = \"{}\"\n[[sign_in.providers]]\nname = \"one\"\n\
         issuer = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = {file:?}\nallow_http = true\n",
        world.database.gate_url(),
        PUBLIC_URL.1,
        provider.issuer(),
    );
    std::fs::write(&file, "first").unwrap();
    let service = Service::start(&settings, &[]);
    let callback = async || {
        let browser = Browser::of(&service.app);
        let flow = Flow::start(&browser, "next=/x").await;
        let callback = flow.callback(&provider, &json!({}));
        let callback = callback.replace("/sso/callback?", "/sso/callback/one?");
        browser.visit("GET", &callback, "").await;
        provider.asked("/token").pop().unwrap()
    };
    let sent = |secret: &str| BASE64_STANDARD.encode(format!("gate:{secret}"));
    assert!(callback().await.contains(&sent("first")));
    let noticed = service
        .notices(|_| std::fs::write(&file, "second").unwrap())
        .await;
    assert_eq!(noticed, Reload::Applied);
    assert!(callback().await.contains(&sent("second")));
}
