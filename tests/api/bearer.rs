//! ID tokens that oauth2-proxy sends in `Authorization`, beside Label Studio's own API credentials.

use serde_json::json;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::issuers::Signer;
use crate::support::token::{now, with};
use crate::world::{NO_CACHE, REQUIRE, World};

const PROVIDER: &str = "https://sso.example.com/realms/r";

fn gate(world: &World, signer: &Signer, more: &[(&str, &str)]) -> TestApp {
    let issuers = json!([{
        "name": "keycloak", "issuer": PROVIDER, "audience": "label-studio", "public_key": signer.public(),
    }]);
    let issuers = issuers.to_string();
    let settings = [
        ("GATE_TOKEN_HEADER", "Authorization"),
        ("GATE_EXTERNAL_ISSUERS", issuers.as_str()),
    ];
    world.gate(&[&settings, more].concat())
}

fn claims() -> serde_json::Value {
    json!({
        "iss": PROVIDER, "aud": "label-studio", "azp": "label-studio", "sub": "f:1", "typ": "ID",
        "email": "ann@example.com", "email_verified": true, "iat": now(), "exp": now() + 300,
    })
}

async fn get(browser: Browser<'_>, authorization: &str) -> Answer {
    browser
        .with_header("Authorization", authorization)
        .get("/api/projects")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn id_tokens_sign_in_and_api_credentials_pass_as_before() {
    let world = World::new(&[]).await;
    let (signer, other) = (Signer::new("1"), Signer::new("1"));
    for policy in [&[NO_CACHE][..], &[NO_CACHE, REQUIRE]] {
        let app = gate(&world, &signer, policy);
        let required = policy.contains(&REQUIRE);
        let id_token = |changes| signer.sign(&with(claims(), &changes));
        let bearer = |changes| format!("Bearer {}", id_token(changes));

        let opened = get(Browser::of(&app), &bearer(json!({}))).await;
        opened
            .expect(200, "session_opened")
            .expect_user(&world.ann)
            .expect_header("X-Gate-Method", Some("proxy"));
        let session = opened.session().unwrap().to_owned();
        for again in [json!({"jti": "again"}), json!({"exp": now() - 100})] {
            let browser = Browser::of(&app).with_cookie("sessionid", &session);
            get(browser, &bearer(again))
                .await
                .expect(200, "session_kept");
        }
        // What names the provider is its token, and has to be a good one.
        for (token, reason) in [
            (bearer(json!({"exp": now() - 100})), "token_expired"),
            (bearer(json!({"aud": "another"})), "token_audience_refused"),
            (
                format!("bearer {}", other.sign(&claims())),
                "token_signature_invalid",
            ),
        ] {
            let answer = get(Browser::of(&app), &token).await;
            answer
                .expect(if required { 401 } else { 200 }, reason)
                .expect_no_session();
        }

        // Everything else in this header is a credential of Label Studio's API.
        let foreign = bearer(json!({"iss": "https://another.example.com"}));
        let nameless = bearer(json!({"iss": null}));
        let of_label_studio = world.ann.authorization();
        for (authorization, valid) in [
            (of_label_studio.as_str(), true),
            (foreign.as_str(), false),
            (nameless.as_str(), false),
            ("Bearer rubbish", false),
            ("Bearer a.b.c", false),
            ("Bearer", false),
        ] {
            let answer = get(Browser::of(&app), authorization).await;
            answer.expect_no_session();
            match (required, valid) {
                (false, _) | (true, true) => answer.expect(200, "api_credential"),
                (true, false) => answer.expect(401, "sign_in_required"),
            };
            answer.expect_header("X-Gate-Method", None);
        }
        // Label Studio reads the key and not the token.
        let token = bearer(json!({}));
        let browser = Browser::of(&app)
            .with_header("X-Api-Key", &world.bob.key)
            .with_header("Authorization", &token);
        let answer = browser.get("/api/projects").await;
        answer.expect(200, "api_credential").expect_no_session();
    }

    let app = gate(&world, &signer, &[]);
    let token = format!("Bearer {}", signer.sign(&claims()));
    let browser = Browser::of(&app)
        .with_header("Sec-Fetch-Site", "cross-site")
        .with_header("Origin", "https://evil.test")
        .with_header("Authorization", &token);
    let answer = browser.send("POST", "/api/projects").await;
    answer.expect(403, "cross_site_request");
}
