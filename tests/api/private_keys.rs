//! A gate that proves with a private key which client of a provider it is (`private_key_jwt`).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use label_studio_gate::gate::jws;
use serde_json::json;
use url::Url;

use crate::actors::Browser;
use crate::support::stub::{Reply, Stub};
use crate::world::World;

/// A provider with a token endpoint that notes what it is asked, and gives nothing.
fn provider() -> Stub {
    let provider = Stub::start(|_| Reply::of(404, ""));
    let url = provider.url("");
    let metadata = Reply::json(&json!({
        "issuer": url, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token"),
        "authorization_endpoint": format!("{url}/authorize"),
    }));
    provider.now(move |head| match head.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => metadata.clone(),
        _ => Reply::of(400, ""),
    });
    provider
}

/// The client's assertion in a request with a form.
fn assertion(request: &str) -> String {
    let (_, form) = request.split_once("\r\n\r\n").unwrap();
    let mut fields = url::form_urlencoded::parse(form.as_bytes());
    let found = fields.find(|(name, _)| name == "client_assertion");
    found.unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_has_the_algorithm_and_the_id_of_the_key() {
    let world = World::new(&[]).await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    // An uncompressed point: 4, x, y.
    let (x, y) = pair.public_key_raw()[1..].split_at(48);
    let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let public = DecodingKey::from_ec_components(&x, &y).unwrap();
    let private = pair.serialize_pem();
    for id in ["the gate's key", ""] {
        let provider = provider();
        let issuer = provider.url("");
        let app = world.gate(&[
            ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
            ("GATE_SIGN_IN_ISSUER", &issuer),
            ("GATE_SIGN_IN_CLIENT_ID", "gate"),
            ("GATE_SIGN_IN_ALLOW_HTTP", "true"),
            ("GATE_SIGN_IN_PRIVATE_KEY", &private),
            ("GATE_SIGN_IN_PRIVATE_KEY_ALGORITHM", "ES384"),
            ("GATE_SIGN_IN_PRIVATE_KEY_ID", id),
        ]);
        let browser = Browser::of(&app);
        let start = browser.visit("GET", "/sso/start", "").await;
        let location: Url = start.header("Location").unwrap().parse().unwrap();
        let mut query = location.query_pairs();
        let (_, state) = query.find(|(name, _)| name == "state").unwrap();
        let callback = format!("/sso/callback?code=c0de&state={state}");
        browser.visit("GET", &callback, "").await;

        let heads = provider.heads();
        let request = heads.iter().find(|head| head.starts_with("POST /token "));
        let assertion = assertion(request.unwrap());
        let header = jsonwebtoken::decode_header(&assertion).unwrap();
        assert_eq!(header.alg, Algorithm::ES384);
        assert_eq!(header.kid.as_deref(), (!id.is_empty()).then_some(id));
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let is_signed = jws::is_signed(signed.as_bytes(), signature, &public, Algorithm::ES384);
        assert!(is_signed, "{assertion}");
    }
}
