//! Sign-in at an OpenID provider that answers well, badly or maliciously.

mod flows;
mod frames;
mod limits;
mod logged;
mod malicious;
mod providers;
mod response_heads;
mod sessions;
mod third_party;
mod userinfo;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::issuers::{Signer, keys};
use crate::support::stub::{Reply, Stub};
use crate::support::token::{now, with};
use crate::world::{NO_CACHE, World};

const PUBLIC_URL: (&str, &str) = ("GATE_LABEL_STUDIO_URL", "https://ls.example.com");
const SECRET: &str = "a client secret: with % and +, of more than 32 bytes";

/// A provider. It gives the answers that a test chooses.
struct Provider {
    stub: Stub,
    signer: Arc<Signer>,
    token: Arc<Mutex<Reply>>,
    userinfo: Arc<Mutex<Reply>>,
}

impl Provider {
    fn start() -> Self {
        Self::with_metadata(&json!({}))
    }

    fn with_metadata(changes: &Value) -> Self {
        let stub = Stub::start(|_| Reply::of(404, ""));
        let provider = Self {
            signer: Arc::new(Signer::new("provider")),
            token: Arc::new(Mutex::new(Reply::of(500, ""))),
            userinfo: Arc::new(Mutex::new(Reply::of(404, ""))),
            stub,
        };
        let url = provider.issuer();
        let metadata = json!({
            "issuer": url, "jwks_uri": format!("{url}/jwks"),
            "authorization_endpoint": format!("{url}/authorize?tenant=1"), "token_endpoint": format!("{url}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"), "end_session_endpoint": format!("{url}/end"),
            "pushed_authorization_request_endpoint": format!("{url}/push"),
            "authorization_response_iss_parameter_supported": true,
        });
        let metadata = Reply::json(&with(metadata, changes));
        let jwks = keys(&[&provider.signer]);
        let (token, userinfo) = (provider.token.clone(), provider.userinfo.clone());
        provider.stub.now(move |head| {
            let path = head.split(' ').nth(1).unwrap();
            match path {
                "/.well-known/openid-configuration" => metadata.clone(),
                "/jwks" => jwks.clone(),
                "/token" => token.lock().unwrap().clone(),
                "/userinfo" => userinfo.lock().unwrap().clone(),
                "/push" => Reply {
                    status: 201,
                    ..Reply::json(&json!({"request_uri": "urn:pushed:1", "expires_in": 60}))
                },
                _ => Reply::of(404, ""),
            }
        });
        provider
    }

    fn issuer(&self) -> String {
        self.stub.url("")
    }

    /// The settings with which a gate signs in here.
    fn settings<'s>(&self, issuer: &'s str) -> Vec<(&'static str, &'s str)> {
        vec![
            PUBLIC_URL,
            NO_CACHE,
            ("GATE_SIGN_IN_ISSUER", issuer),
            ("GATE_SIGN_IN_CLIENT_ID", "label studio"),
            ("GATE_SIGN_IN_CLIENT_SECRET", SECRET),
            ("GATE_SIGN_IN_ALLOW_HTTP", "true"),
            ("GATE_KEY_SERVER_TIMEOUT_MS", "2000"),
            ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
        ]
    }

    /// A gate that signs in here, with these settings besides.
    fn gate(&self, world: &World, more: &[(&'static str, &str)]) -> TestApp {
        self.gate_ahead(Duration::ZERO, world, more)
    }

    /// The same with a clock that is ahead.
    fn gate_ahead(&self, ahead: Duration, world: &World, more: &[(&'static str, &str)]) -> TestApp {
        let issuer = self.issuer();
        let mut settings = self.settings(&issuer);
        settings.extend_from_slice(more);
        world.gate_ahead(ahead, &settings)
    }

    /// The claims of an ID token about Ann.
    fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": self.issuer(), "aud": "label studio", "sub": "ann-at-op", "sid": "session-1", "nonce": nonce,
            "iat": now(), "exp": now() + 300, "email": "ann@example.com", "email_verified": true,
            "given_name": "Ann", "family_name": "Lee",
        })
    }

    fn answers(&self, reply: Reply) {
        *self.token.lock().unwrap() = reply;
    }

    /// Answers codes with this ID token.
    fn gives(&self, id_token: &str) {
        self.answers(Reply::json(&tokens(id_token)));
    }

    fn says(&self, reply: Reply) {
        *self.userinfo.lock().unwrap() = reply;
    }

    /// The requests for this path so far.
    fn asked(&self, path: &str) -> Vec<String> {
        let heads = self.stub.heads();
        let is_asked = |head: &String| head.split(' ').nth(1) == Some(path);
        heads.into_iter().filter(is_asked).collect()
    }
}

fn tokens(id_token: &str) -> Value {
    json!({"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": id_token})
}

/// A sign-in on its way.
struct Flow {
    location: Url,
}

impl Flow {
    /// Opens `/sso/start` as a page.
    async fn start(browser: &Browser<'_>, query: &str) -> Self {
        let answer = browser
            .visit("GET", &format!("/sso/start?{query}"), "")
            .await;
        Self::of(&answer)
    }

    /// The redirect to the provider.
    fn of(answer: &Answer) -> Self {
        answer.expect_status(303);
        Self {
            location: answer.header("Location").unwrap().parse().unwrap(),
        }
    }

    fn parameter(&self, name: &str) -> String {
        let mut pairs = self.location.query_pairs();
        let found = pairs.find(|(key, _)| key == name);
        found.map_or_else(String::new, |(_, value)| value.into_owned())
    }

    fn nonce(&self) -> String {
        self.parameter("nonce")
    }

    /// The provider's answer.
    fn callback(&self, provider: &Provider, changes: &Value) -> String {
        let answer =
            json!({"code": "c0de", "state": self.parameter("state"), "iss": provider.issuer()});
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in with(answer, changes).as_object().unwrap() {
            query.append_pair(name, value.as_str().unwrap());
        }
        format!("/sso/callback?{}", query.finish())
    }
}

/// Signs in with an ID token whose claims are changed like this.
async fn sign_in(browser: &Browser<'_>, provider: &Provider, changes: &Value) -> Answer {
    let flow = Flow::start(browser, "next=/projects/1%3Ftab=2").await;
    let claims = with(provider.claims(&flow.nonce()), changes);
    provider.gives(&provider.signer.sign(&claims));
    let callback = flow.callback(provider, &json!({}));
    browser.visit("GET", &callback, "").await
}
