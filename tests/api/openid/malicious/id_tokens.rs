//! ID tokens that are wrong, or signed with the wrong key.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::super::{Flow, Provider, SECRET, sign_in};
use crate::actors::Browser;
use crate::support::token::{SECRET_KEY, now, sign, with};
use crate::world::World;

/// Each row: what is wrong with the ID token, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn id_tokens_of_a_malicious_provider_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let settings = [
        ("GATE_SIGN_IN_MAX_AGE_SECONDS", "3600"),
        ("GATE_SIGN_IN_ACR_VALUES", "mfa"),
        ("GATE_SIGN_IN_OTHER_AUDIENCES", "friend"),
        ("GATE_SIGN_IN_REQUIRED_CLAIMS", "groups=labelers"),
    ];
    let app = provider.gate(&world, &settings);
    let good = json!({"auth_time": now() - 60, "acr": "mfa", "groups": ["labelers", "x"]});
    for (changes, reason) in [
        (json!({"nonce": null}), "token_nonce_refused"),
        (json!({"nonce": "another"}), "token_nonce_refused"),
        (json!({"nonce": ["a"]}), "token_nonce_refused"),
        (json!({"iss": "https://other.test"}), "token_issuer_refused"),
        (json!({"iss": format!("{issuer}/")}), "token_issuer_refused"),
        (json!({"iss": null}), "token_claim_missing"),
        (json!({"aud": "another"}), "token_audience_refused"),
        (json!({"aud": null}), "token_claim_missing"),
        (
            json!({"aud": ["label studio", "stranger"], "azp": "label studio"}),
            "token_audience_refused",
        ),
        (
            json!({"aud": ["label studio", "friend"]}),
            "token_audience_refused",
        ),
        (json!({"azp": "another"}), "token_audience_refused"),
        (json!({"exp": now() - 120}), "token_expired"),
        (json!({"exp": null}), "token_claim_missing"),
        (json!({"iat": now() + 300}), "token_not_yet_valid"),
        (json!({"nbf": now() + 300}), "token_not_yet_valid"),
        (json!({"auth_time": null}), "token_authentication_refused"),
        (
            json!({"auth_time": now() - 7200}),
            "token_authentication_refused",
        ),
        (json!({"acr": "password"}), "token_authentication_refused"),
        (json!({"sub": null}), "token_claim_missing"),
        (json!({"sid": 7}), "token_claim_invalid"),
        (json!({"groups": ["others"]}), "token_claim_refused"),
        (json!({"email_verified": false}), "token_email_unverified"),
        (
            json!({"email": "ann@example.com@evil.test", "email_verified": true}),
            "token_claim_invalid",
        ),
    ] {
        let browser = Browser::of(&app);
        // A null is a change too: it takes a claim away.
        let mut all = good.clone();
        let changed = changes.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(changed);
        let answer = sign_in(&browser, &provider, &all).await;
        answer.expect(401, reason);
        assert!(browser.session().is_none(), "{changes}");
    }
    // What is good is accepted, with a friend beside it and a clock that is a minute ahead.
    for changes in [
        json!({}),
        json!({"aud": ["label studio", "friend"], "azp": "label studio"}),
        json!({"iat": now() + 50, "nbf": now() + 50}),
    ] {
        let answer = sign_in(&Browser::of(&app), &provider, &with(good.clone(), &changes)).await;
        answer.expect_redirect("/projects/1?tab=2");
    }
    let denied = with(good, &json!({"email": "stranger@example.com"}));
    let answer = sign_in(&Browser::of(&app), &provider, &denied).await;
    answer.expect(403, "user_unknown");
}

/// The client secret is a key only if the settings say so, and then no other key is.
#[tokio::test(flavor = "multi_thread")]
async fn client_secret_signs_id_tokens_only_where_the_settings_say_so() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256")]);
    type Sign<'a> = &'a dyn Fn(&Value) -> String;
    let (secret, key, other): (Sign<'_>, Sign<'_>, Sign<'_>) = (
        &|claims| sign(Algorithm::HS256, SECRET, claims),
        &|claims| provider.signer.sign(claims),
        &|claims| sign(Algorithm::HS256, SECRET_KEY, claims),
    );
    for (sign, reason) in [
        (secret, None),
        (key, Some("token_algorithm_refused")),
        (other, Some("token_signature_invalid")),
    ] {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, "next=/x").await;
        provider.gives(&sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({}));
        let answer = browser.visit("GET", &callback, "").await;
        match reason {
            Some(reason) => answer.expect(401, reason),
            None => answer.expect_redirect("/x"),
        };
    }
}
