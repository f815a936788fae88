//! What the userinfo endpoint adds, plain or signed.

use serde_json::{Value, json};

use super::{Provider, sign_in};
use crate::actors::Browser;
use crate::issuers::{Signer, encrypted};
use crate::support::stub::Reply;
use crate::support::token::{now, with};
use crate::world::World;

const JWT: &str = "Content-Type: Application/JWT; charset=utf-8\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_adds_what_the_id_token_lacks_and_replaces_nothing() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let app = provider.gate(&world, &[("GATE_SIGN_IN_CREATE_USERS", "true")]);
    let thin =
        json!({"email": null, "email_verified": null, "given_name": null, "family_name": null});
    for (says, changes, reason) in [
        (
            Reply::json(
                &json!({"sub": "ann-at-op", "email": "ann@example.com", "iss": "x", "nonce": "y"}),
            ),
            json!({}),
            None,
        ),
        (
            Reply::json(&json!({"sub": "bob-at-op", "email": "bob@example.com"})),
            json!({}),
            Some((401, "token_claim_invalid")),
        ),
        (
            Reply::json(&json!({"email": "bob@example.com"})),
            json!({}),
            Some((401, "token_claim_invalid")),
        ),
        (
            Reply::json(&json!({"sub": "ann-at-op"})),
            json!({}),
            Some((401, "token_claim_missing")),
        ),
        (
            Reply::json(
                &json!({"sub": "ann-at-op", "email": "ann@example.com", "email_verified": false}),
            ),
            json!({}),
            Some((401, "token_email_unverified")),
        ),
        (
            Reply::of(500, ""),
            json!({}),
            Some((503, "provider_unavailable")),
        ),
        // No signed response, although it says so.
        (
            Reply {
                headers: JWT.to_owned(),
                ..Reply::json(&json!({"sub": "ann-at-op", "email": "ann@example.com"}))
            },
            json!({}),
            Some((401, "token_malformed")),
        ),
        // An address that somebody else has verified.
        (
            Reply::json(
                &json!({"sub": "ann-at-op", "email": "bob@example.com", "email_verified": false}),
            ),
            json!({"email_verified": true}),
            Some((401, "token_email_unverified")),
        ),
        // at_hash is that of another access token.
        (
            Reply::json(&json!({"sub": "ann-at-op", "email": "ann@example.com"})),
            json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
            Some((401, "token_hash_refused")),
        ),
    ] {
        provider.says(says);
        let browser = Browser::of(&app);
        let answer = sign_in(&browser, &provider, &with(thin.clone(), &changes)).await;
        match reason {
            None => {
                answer.expect_redirect("/projects/1?tab=2");
            }
            Some((status, reason)) => {
                answer.expect(status, reason);
            }
        }
    }
    assert!(
        provider
            .asked("/userinfo")
            .iter()
            .all(|head| head.to_lowercase().contains("authorization: bearer at"))
    );
    // Nobody is asked for what is known.
    let asked = provider.asked("/userinfo").len();
    let new = json!({"email": "new@example.com", "sub": "new"});
    sign_in(&Browser::of(&app), &provider, &new)
        .await
        .expect_redirect("/projects/1?tab=2");
    assert_eq!(provider.asked("/userinfo").len(), asked);
    let name =
        "SELECT first_name || ' ' || last_name FROM htx_user WHERE email = 'new@example.com'";
    assert_eq!(world.database.text(name).await, "Ann Lee");
}

/// A signed response (OpenID Connect Core §5.3.2) is verified like everything that is signed.
#[tokio::test(flavor = "multi_thread")]
async fn signed_userinfo_is_verified() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let app = provider.gate(&world, &[]);
    let (stranger, forger) = (Signer::new("stranger"), Signer::new("provider"));
    let claims = |changes: &Value| {
        let claims = json!({"iss": issuer, "aud": "label studio", "sub": "ann-at-op", "email": "ann@example.com"});
        with(claims, changes)
    };
    let signed = |signer: &Signer, changes: &Value| signer.sign(&claims(changes));
    let (own, good) = (&provider.signer, json!({}));
    let audiences = json!({"aud": ["friend", "label studio"]});
    let silent = json!({"iss": null, "aud": null});
    for (token, reason) in [
        (signed(own, &good), None),
        (signed(own, &audiences), None),
        (signed(own, &silent), None),
        (signed(&stranger, &good), Some("token_key_unknown")),
        (signed(&forger, &good), Some("token_signature_invalid")),
        (
            signed(own, &json!({"iss": "https://other.test"})),
            Some("token_issuer_refused"),
        ),
        (
            signed(own, &json!({"aud": "another"})),
            Some("token_audience_refused"),
        ),
        (
            signed(own, &json!({"sub": "bob-at-op"})),
            Some("token_claim_invalid"),
        ),
        (encrypted(), Some("token_header_refused")),
    ] {
        provider.says(Reply {
            headers: JWT.to_owned(),
            ..Reply::of(200, token)
        });
        let thin = json!({"email": null, "iat": now()});
        let answer = sign_in(&Browser::of(&app), &provider, &thin).await;
        match reason {
            None => answer.expect_redirect("/projects/1?tab=2"),
            Some(reason) => answer.expect(401, reason),
        };
    }
}
