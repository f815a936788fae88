//! How often one network begins sign-ins and comes back from them.

use serde_json::json;

use super::{Flow, Provider};
use crate::actors::Browser;
use crate::app::Answer;
use crate::log_lines::Logged;
use crate::support::stub::Reply;
use crate::support::wait_until;
use crate::world::World;

const THREE: (&str, &str) = ("GATE_SIGN_IN_STARTS_PER_MINUTE", "3");

fn expect_too_many(answer: &Answer) {
    answer
        .expect(429, "too_many_sign_ins")
        .expect_text("from your network")
        .expect_text(">Try again</a>");
    let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=61).contains(&seconds), "{seconds}");
}

/// Browsers may cause no more than so many requests at a provider.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_begins_no_more_sign_ins_than_the_settings_allow() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[THREE]);
    let starts = async |peer| {
        let browser = Browser::of(&app).with_header("X-Real-IP", peer);
        browser.visit("GET", "/sso/start?next=/", "").await
    };
    // A minute may end in between.
    let mut refused = 0;
    for _ in 0..8 {
        let answer = starts("192.0.2.1").await;
        if answer.status == 429 {
            expect_too_many(&answer);
            refused += 1;
        } else {
            answer.expect_status(303);
        }
    }
    assert!(refused >= 2, "{refused}");
    starts("192.0.2.2").await.expect_status(303);
}

/// Whoever has begun one sign-in can bring its state with as many codes as they like.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_brings_no_more_codes_than_it_may_begin_sign_ins() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[THREE]);
    let begun = Browser::of(&app);
    let flow = Flow::start(&begun, "next=/x").await;
    let brings = async |code: &str, peer| {
        let callback = flow.callback(&provider, &json!({"code": code}));
        let browser = begun.before(&app).with_header("X-Real-IP", peer);
        browser.visit("GET", &callback, "").await
    };
    provider.answers(refused_code());
    // A minute may end in between.
    let mut refused = 0;
    for n in 0..8 {
        let answer = brings(&format!("junk{n}"), "192.0.2.1").await;
        if answer.status == 429 {
            expect_too_many(&answer);
            assert!(answer.set_cookies().is_empty(), "the flow goes on later");
            refused += 1;
        } else {
            answer.expect(401, "sign_in_code_refused");
        }
    }
    assert!(refused >= 2, "{refused}");
    assert_eq!(provider.asked("/token").len(), 8 - refused);
    // Neither a begun sign-in nor one of another network is affected.
    provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
    brings("c0de", "192.0.2.2").await.expect_redirect("/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_codes_are_logged_with_their_peer_and_not_without_end() {
    const PEER: &str = "192.0.2.7";
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let gate = Logged::of(&world, &provider.settings(&issuer));
    provider.answers(refused_code());
    let begun = Browser::of(&gate.app);
    let flow = Flow::start(&begun, "next=/").await;
    let callback = flow.callback(&provider, &json!({}));
    for n in 0..40 {
        let id = format!("refused-{n}");
        let browser = begun.before(&gate.app).with_header("X-Request-Id", &id);
        let browser = browser.with_header("X-Real-IP", PEER);
        let answer = browser.visit("GET", &callback, "").await;
        answer.expect(401, "sign_in_code_refused");
    }
    let is_told = |id: &str| gate.text().contains(id);
    wait_until(|| is_told("for the rest of this minute"), || gate.text());
    let log = gate.text();
    let words: Vec<&str> = (log.lines())
        .filter(|line| line.contains("old or used"))
        .collect();
    // Two lines a sign-in. A minute may end in between.
    assert!((1..=30).contains(&words.len()), "{log}");
    let first = words[0];
    for part in ["refused-0", PEER, "invalid_grant", "ended a sign-in"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    assert!(!log.contains("c0de"), "{log}");
}

fn refused_code() -> Reply {
    let body = json!({"error": "invalid_grant", "error_description": "old or used"});
    Reply {
        status: 400,
        ..Reply::json(&body)
    }
}
