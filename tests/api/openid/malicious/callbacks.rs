//! Answers that come with the browser: made up, of another flow, of another provider, and targets elsewhere.

use std::time::Duration;

use serde_json::json;

use super::super::{Flow, Provider};
use crate::actors::Browser;
use crate::world::World;

/// Each row: the query of the callback, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_nobody_asked_for_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[]);
    let another = Flow::start(&Browser::of(&app), "next=/").await;
    for (changes, reason) in [
        (json!({"state": null}), "sign_in_unknown"),
        (json!({"state": "made-up"}), "sign_in_unknown"),
        // An attacker's own answer in the victim's browser: login CSRF.
        (
            json!({"state": another.parameter("state")}),
            "sign_in_unknown",
        ),
        (json!({"code": null}), "sign_in_unknown"),
        (json!({"code": ""}), "sign_in_unknown"),
        (json!({"error": "x"}), "sign_in_unknown"),
        // The answer of another provider: mix-up.
        (json!({"iss": null}), "token_issuer_refused"),
        (json!({"iss": "https://evil.test"}), "token_issuer_refused"),
        (
            json!({"code": null, "error": "access_denied", "iss": null}),
            "token_issuer_refused",
        ),
        (
            json!({"code": null, "error": "access_denied"}),
            "sign_in_declined",
        ),
        (
            json!({"code": null, "error": "login_required"}),
            "sign_in_interaction",
        ),
        (
            json!({"code": null, "error": "consent_required"}),
            "sign_in_interaction",
        ),
        (
            json!({"code": null, "error": "temporarily_unavailable"}),
            "sign_in_unavailable",
        ),
        (
            json!({"code": null, "error": "invalid_scope", "error_description": "\u{1b}[31m<script>"}),
            "sign_in_failed",
        ),
    ] {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, "next=/").await;
        let callback = flow.callback(&provider, &changes);
        let answer = browser.visit("GET", &callback, "").await;
        answer.expect(401, reason);
        // The provider's words are for the log only.
        assert!(!answer.body.contains("[31m"), "{}", answer.body);
        assert!(browser.session().is_none(), "{changes}");
    }
    // Somebody took longer than ten minutes.
    let late = provider.gate_ahead(Duration::from_secs(601), &world, &[]);
    let browser = Browser::of(&app);
    let flow = Flow::start(&browser, "next=/").await;
    let callback = flow.callback(&provider, &json!({}));
    let answer = browser.before(&late).visit("GET", &callback, "").await;
    answer.expect(401, "sign_in_unknown");
    for again in ["code=d", "state=d", "iss=d", "error=d"] {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, "next=/").await;
        let twice = format!("{}&{again}", flow.callback(&provider, &json!({})));
        let answer = browser.visit("GET", &twice, "").await;
        answer.expect(401, "sign_in_unknown");
    }
    assert_eq!(
        provider.asked("/token").len(),
        0,
        "no code was sent anywhere"
    );

    // Nobody is sent to another host afterwards.
    for next in [
        "https://evil.test/",
        "//evil.test",
        "/%5Cevil.test",
        "javascript:alert(1)",
        "/%09/evil.test",
    ] {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, &format!("next={next}")).await;
        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let answer = browser
            .visit("GET", &flow.callback(&provider, &json!({})), "")
            .await;
        answer.expect_redirect("/");
    }
}

/// A provider that doesn't announce `iss` may leave it out, but it is right if it is there.
#[tokio::test(flavor = "multi_thread")]
async fn provider_that_does_not_name_itself_may_not_name_another() {
    let world = World::new(&[]).await;
    let silent = json!({"authorization_response_iss_parameter_supported": false});
    let provider = Provider::with_metadata(&silent);
    let app = provider.gate(&world, &[]);
    for (changes, refused) in [
        (json!({"iss": null}), false),
        (json!({}), false),
        (json!({"iss": "https://evil.test"}), true),
    ] {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, "next=/x").await;
        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &changes);
        let answer = browser.visit("GET", &callback, "").await;
        match refused {
            true => answer.expect(401, "token_issuer_refused"),
            false => answer.expect_redirect("/x"),
        };
    }
}
