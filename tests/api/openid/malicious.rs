//! A provider that is malicious, broken, or in somebody else's hands: a row a line for each check, with
//! the reason that the page, the log and the metric name.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{Flow, Provider, SECRET, sign_in, tokens};
use crate::actors::Browser;
use crate::issuers::Signer;
use crate::support::stub::Reply;
use crate::support::token::{SECRET_KEY, now, sign, with};
use crate::world::World;

/// Each row: what is wrong with the ID token, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn id_tokens_of_a_malicious_provider_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let mut settings = provider.settings(&issuer);
    settings.extend([
        ("GATE_SIGN_IN_MAX_AGE_SECONDS", "3600"),
        ("GATE_SIGN_IN_ACR_VALUES", "mfa"),
        ("GATE_SIGN_IN_OTHER_AUDIENCES", "friend"),
        ("GATE_SIGN_IN_REQUIRED_CLAIMS", "groups=labelers"),
    ]);
    let app = world.gate(&settings);
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
            json!({"email": "ann@example.com@evil.test", "email_verified": false}),
            "token_email_unverified",
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

/// Each row: the provider's answer to the code, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn token_responses_of_a_malicious_provider_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = world.gate(&provider.settings(&issuer));
    let stranger = Signer::new("stranger");
    let forger = Signer::new("provider");
    let elsewhere = format!("Location: {issuer}/elsewhere\r\n");
    let rows: Vec<(&str, AnswerWith<'_>, u16, &str)> = vec![
        (
            "unknown key",
            Box::new(|c| Reply::json(&tokens(&stranger.sign(c)))),
            401,
            "token_key_unknown",
        ),
        (
            "another key",
            Box::new(|c| Reply::json(&tokens(&forger.sign(c)))),
            401,
            "token_signature_invalid",
        ),
        (
            "none",
            Box::new(|c| Reply::json(&tokens(&unsigned(c)))),
            401,
            "token_algorithm_refused",
        ),
        (
            "HMAC",
            Box::new(|c| Reply::json(&tokens(&sign(Algorithm::HS256, SECRET, c)))),
            401,
            "token_algorithm_refused",
        ),
        (
            "Label Studio's key",
            Box::new(|c| Reply::json(&tokens(&sign(Algorithm::HS256, SECRET_KEY, c)))),
            401,
            "token_algorithm_refused",
        ),
        (
            "logout token",
            Box::new(|c| Reply::json(&tokens(&provider.signer.sign_as("logout+jwt", c)))),
            401,
            "token_type_refused",
        ),
        (
            "access token",
            Box::new(|c| Reply::json(&tokens(&provider.signer.sign_as("at+jwt", c)))),
            401,
            "token_type_refused",
        ),
        (
            "no JWT",
            Box::new(|_| Reply::json(&tokens("rubbish"))),
            401,
            "token_malformed",
        ),
        (
            "no ID token",
            Box::new(|_| Reply::json(&json!({"access_token": "at", "token_type": "Bearer"}))),
            503,
            "provider_unavailable",
        ),
        (
            "another type",
            Box::new(|c| {
                let mut tokens = tokens(&provider.signer.sign(c));
                tokens["token_type"] = "DPoP".into();
                Reply::json(&tokens)
            }),
            503,
            "provider_unavailable",
        ),
        (
            "no JSON",
            Box::new(|_| Reply::of(200, "<html>")),
            503,
            "provider_unavailable",
        ),
        (
            "10 MB",
            Box::new(|_| Reply::of(200, vec![b' '; 10_000_000])),
            503,
            "provider_unavailable",
        ),
        (
            "500",
            Box::new(|_| Reply::of(500, "")),
            503,
            "provider_unavailable",
        ),
        (
            "redirect",
            Box::new(|_| Reply {
                headers: elsewhere.clone(),
                ..Reply::of(307, "")
            }),
            503,
            "provider_unavailable",
        ),
        (
            "slow",
            Box::new(|_| Reply::of(200, "").after(Duration::from_secs(3))),
            503,
            "provider_unavailable",
        ),
        (
            "code used",
            Box::new(|_| Reply {
                status: 400,
                ..Reply::json(&json!({"error": "invalid_grant"}))
            }),
            401,
            "sign_in_code_refused",
        ),
        (
            "client unknown",
            Box::new(|_| Reply {
                status: 401,
                ..Reply::json(&json!({"error": "invalid_client"}))
            }),
            503,
            "provider_refuses_client",
        ),
    ];
    for (what, answer_with, status, reason) in rows {
        let browser = Browser::of(&app);
        let flow = Flow::start(&browser, "next=/").await;
        provider.answers(answer_with(&provider.claims(&flow.nonce())));
        let before = provider.asked("/token").len();
        let callback = flow.callback(&provider, &json!({}));
        let answer = browser.visit("GET", &callback, "").await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, reason),
            "{what}: {answer:?}"
        );
        assert!(browser.session().is_none(), "{what}");
        assert_eq!(
            provider.asked("/token").len(),
            before + 1,
            "{what}: a code is sent once"
        );
        assert_eq!(provider.asked("/elsewhere").len(), 0);
    }
}

type AnswerWith<'a> = Box<dyn Fn(&Value) -> Reply + 'a>;

fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "none", "typ": "JWT", "kid": "provider"});
    format!("{}.{}.", part(&header), part(claims))
}

/// Each row: the query of the callback, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_nobody_asked_for_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = world.gate(&provider.settings(&issuer));
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
        assert!(!answer.body.contains("<script>alert") && !answer.body.contains("[31m"));
        assert!(browser.session().is_none(), "{changes}");
    }
    // Somebody took longer than ten minutes.
    let late = world.gate_ahead(Duration::from_secs(601), &provider.settings(&issuer));
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
    let issuer = provider.issuer();
    let app = world.gate(&provider.settings(&issuer));
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

/// The client secret is a key only if the settings say so, and then no other key is.
#[tokio::test(flavor = "multi_thread")]
async fn client_secret_signs_id_tokens_only_where_the_settings_say_so() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let mut settings = provider.settings(&issuer);
    settings.push(("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256"));
    let app = world.gate(&settings);
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

/// A provider whose metadata leads elsewhere is not used at all.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_leads_astray_is_not_used() {
    let world = World::new(&[]).await;
    for changes in [
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"end_session_endpoint": "javascript:alert(1)"}),
        json!({"issuer": "https://other.test"}),
        json!({"token_endpoint": null}),
    ] {
        let provider = Provider::with_metadata(&changes);
        let issuer = provider.issuer();
        let app = world.gate(&provider.settings(&issuer));
        let answer = Browser::of(&app).visit("GET", "/sso/start", "").await;
        answer.expect(503, "provider_unavailable");
    }
}
