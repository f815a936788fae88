//! A sign-in that somebody else starts: the provider's list of applications, a portal, a link in a
//! message (OpenID Connect Core 1.0 §4).

use serde_json::json;

use super::{Flow, PUBLIC_URL, Provider, SECRET};
use crate::actors::Browser;
use crate::app::TestApp;
use crate::world::{REQUIRE, World};

fn query(parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters).finish()
}

/// Signs in at the end of a flow, and returns the page that opens.
async fn arrive(browser: &Browser<'_>, provider: &Provider, flow: &Flow) -> String {
    provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
    let callback = flow.callback(provider, &json!({}));
    let answer = browser.visit("GET", &callback, "").await;
    answer.expect_status(303);
    answer.header("Location").unwrap().to_owned()
}

async fn hint_at(app: &TestApp, hint: &str) -> String {
    let flow = Flow::start(&Browser::of(app), &query(&[("login_hint", hint)])).await;
    flow.parameter("login_hint")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_starts_a_sign_in_that_ends_on_a_page_of_label_studio() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = provider.gate(&world, &[REQUIRE]);
    let page = "https://ls.example.com/projects/1?tab=2#task";
    let parameters = [
        ("iss", &*issuer),
        ("login_hint", "ann@example.com"),
        ("target_link_uri", page),
    ];

    let browser = Browser::of(&app);
    let flow = Flow::start(&browser, &query(&parameters)).await;
    assert_eq!(flow.parameter("login_hint"), "ann@example.com");
    assert_eq!(
        arrive(&browser, &provider, &flow).await,
        "/projects/1?tab=2#task"
    );
    browser.get("/").await.expect(200, "session_valid");
    // Who is signed in needs no provider.
    let again = browser
        .visit("GET", &format!("/sso/start?{}", query(&parameters)), "")
        .await;
    again.expect_redirect("/projects/1?tab=2#task");

    // A form becomes the same request, with the cookies that a form of another site doesn't bring.
    let form = query(&[&parameters[..], &[("frame", "x"), ("next", "/x")]].concat());
    let answer = Browser::of(&app).visit("POST", "/sso/start", &form).await;
    answer.expect_redirect(&format!("/sso/start?{}", query(&parameters)));
    assert!(answer.set_cookies().is_empty());
    for form in ["", "login_hint=ann", &format!("iss={}", "x".repeat(4000))] {
        let answer = Browser::of(&app).visit("POST", "/sso/start", form).await;
        answer.expect(403, "request_malformed");
    }

    // Nobody starts a sign-in at a provider that the settings don't name.
    for stranger in ["https://evil.test", &format!("{issuer}/"), ""] {
        let start = format!("/sso/start?{}", query(&[("iss", stranger)]));
        let answer = Browser::of(&app).visit("GET", &start, "").await;
        answer.expect(403, "request_malformed");
        assert!(answer.set_cookies().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_leads_nobody_to_another_site() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = provider.gate(&world, &[]);
    for (target, page) in [
        ("/projects/2", "/projects/2"),
        ("https://LS.example.com:443/x", "/x"),
        ("https://ls.example.com", "/"),
        ("https://evil.test/x", "/"),
        ("https://ls.example.com.evil.test/x", "/"),
        ("https://ls.example.com@evil.test/x", "/"),
        ("http://ls.example.com/x", "/"),
        ("https://ls.example.com:444/x", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https:\\\\evil.test", "/"),
        ("https://ls.example.com//evil.test/x", "/"),
        ("https://ls.example.com/\\evil.test", "/"),
        ("javascript:alert(1)", "/"),
        ("https://", "/"),
    ] {
        let browser = Browser::of(&app);
        let parameters = [
            ("iss", &*issuer),
            ("target_link_uri", target),
            ("next", "/other"),
        ];
        let flow = Flow::start(&browser, &query(&parameters)).await;
        assert_eq!(arrive(&browser, &provider, &flow).await, page, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_gets_a_hint_that_is_text_and_nothing_more_of_it() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[]);
    for hint in [
        "ann@example.com",
        "ann",
        "Änn & Söhne",
        "a&prompt=none&scope=x",
    ] {
        assert_eq!(hint_at(&app, hint).await, hint);
    }
    for hint in ["", "ann\r\nSet-Cookie: x", "ann\0", &"a".repeat(255)] {
        assert_eq!(hint_at(&app, hint).await, "", "{hint:?}");
    }
    let flow = Flow::start(&Browser::of(&app), "login_hint=a%26prompt%3Dnone").await;
    assert_eq!(flow.parameter("prompt"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn issuer_chooses_one_of_several_providers_and_a_hint_survives_the_choice() {
    let world = World::new(&[]).await;
    let (one, two) = (Provider::start(), Provider::start());
    let provider = |name: &str, issuer: String| json!({"name": name, "issuer": issuer, "client_id": "label studio", "client_secret": SECRET, "allow_http": true});
    let providers = json!([provider("one", one.issuer()), provider("two", two.issuer())]);
    let providers = providers.to_string();
    let app = world.gate(&[PUBLIC_URL, ("GATE_SIGN_IN_PROVIDERS", &providers)]);
    let flow = Flow::start(&Browser::of(&app), &query(&[("iss", &two.issuer())])).await;
    assert!(flow.location.as_str().starts_with(&two.issuer()));
    let browser = Browser::of(&app);
    let answer = browser
        .visit("GET", "/sso/start?next=/x&login_hint=ann%40example.com", "")
        .await;
    answer.expect_status(200).expect_text(
        "href=\"/sso/start?next=%2Fx&#38;login_hint=ann%40example.com&#38;provider=one\"",
    );
}
