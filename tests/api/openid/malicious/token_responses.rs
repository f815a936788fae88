//! Answers to the code: forged, of another kind, endless or late.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::super::{Flow, Provider, SECRET, tokens};
use crate::actors::Browser;
use crate::issuers::{Signer, encrypted};
use crate::support::stub::Reply;
use crate::support::token::{SECRET_KEY, sign};
use crate::world::World;

/// Each row: the provider's answer to the code, and the reason.
#[tokio::test(flavor = "multi_thread")]
async fn token_responses_of_a_malicious_provider_prove_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = provider.gate(&world, &[]);
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
            "encrypted",
            Box::new(|_| Reply::json(&tokens(&encrypted()))),
            401,
            "token_header_refused",
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
            "connection cut",
            Box::new(|_| Reply::hang_up()),
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
