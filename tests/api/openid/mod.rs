//! Sign-in at an OpenID provider that answers well, badly or maliciously.

mod frames;
mod malicious;
mod sessions;
mod userinfo;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::Url;

use crate::actors::Browser;
use crate::app::Answer;
use crate::issuers::{Signer, keys};
use crate::support::stub::{Reply, Stub};
use crate::support::token::{now, with};
use crate::world::{NO_CACHE, REQUIRE, World};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_signs_a_user_in() {
    for engine in ["db", "signed_cookies"] {
        let world = World::new(&[]).await;
        let provider = Provider::start();
        let issuer = provider.issuer();
        let mut settings = provider.settings(&issuer);
        settings.extend([("SESSION_ENGINE", engine), REQUIRE]);
        let app = world.gate(&settings);
        let browser = Browser::of(&app);

        // A page leads to the provider, a script does not.
        let page = browser.with_header("X-Original-URI", "/projects/1?tab=2");
        let refused = page.visit("GET", "/auth/nginx/sign-in", "").await;
        refused.expect_redirect("/sso/start?next=%2Fprojects%2F1%3Ftab%3D2");
        let script = Browser::of(&app)
            .with_header("X-Original-URI", "/api/projects")
            .with_header("Sec-Fetch-Mode", "cors");
        let refused = script.visit("GET", "/auth/nginx/sign-in", "").await;
        refused.expect_status(401);
        script
            .visit("GET", "/sso/start", "")
            .await
            .expect_status(401);

        let browser = Browser::of(&app);
        let start = browser
            .visit("GET", "/sso/start?next=/projects/1%3Ftab=2", "")
            .await;
        start
            .expect_status(303)
            .expect_header("Cache-Control", Some("no-store"))
            .expect_header("Referrer-Policy", Some("no-referrer"));
        let cookie = start.set_cookies()[0].to_owned();
        assert!(cookie.starts_with("__Host-gate_flow_"), "{cookie}");
        for attribute in [
            "Max-Age=600",
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
        ] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let flow = Flow::of(&start);
        for (name, value) in [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "label studio"),
            ("scope", "openid email profile"),
            ("redirect_uri", "https://ls.example.com/sso/callback"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(flow.parameter(name), value, "{name}");
        }
        assert_eq!(flow.parameter("state").len(), 43);

        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({"session_state": "x"}));
        let answer = browser.visit("GET", &callback, "").await;
        answer
            .expect_redirect("/projects/1?tab=2")
            .expect_header("Cache-Control", Some("no-store"))
            .expect_header("Referrer-Policy", Some("no-referrer"));
        browser.get("/").await.expect(200, "session_valid");
        assert!(browser.cookie(cookie.split('=').next().unwrap()).is_none());

        // The code was sent once, with the secret as RFC 6749 §2.3.1 wants it.
        let asked = provider.asked("/token");
        assert_eq!(asked.len(), 1, "{asked:?}");
        let basic = "label+studio:a+client+secret%3A+with+%25+and+%2B%2C+of+more+than+32+bytes";
        let basic = format!("Basic {}", BASE64_STANDARD.encode(basic));
        assert!(asked[0].contains(&basic), "{asked:?}");
        assert!(
            asked[0].contains("code=c0de") && asked[0].contains("code_verifier="),
            "{asked:?}"
        );

        // A reload of the callback, and a tab that was left open.
        browser
            .visit("GET", &callback, "")
            .await
            .expect_redirect("/");
        let late = browser.visit("GET", "/sso/start?next=/x", "").await;
        late.expect_redirect("/x");
        assert_eq!(provider.asked("/token").len(), 1);
        // The same answer in another browser is worth nothing.
        let stranger = Browser::of(&app);
        let answer = stranger.visit("GET", &callback, "").await;
        answer.expect(401, "sign_in_unknown");
        assert!(stranger.session().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_sign_in_side_by_side_at_any_gate_and_make_room() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let (one, two) = (
        world.gate(&provider.settings(&issuer)),
        world.gate(&provider.settings(&issuer)),
    );
    let browser = Browser::of(&one);
    let mut flows = Vec::new();
    for n in 0..7 {
        flows.push(Flow::start(&browser, &format!("next=/{n}")).await);
    }
    // Five of them have a cookie still; the first two made room.
    let other = browser.before(&two);
    for (n, flow) in flows.iter().enumerate().skip(2).rev() {
        provider.gives(&provider.signer.sign(&provider.claims(&flow.nonce())));
        let callback = flow.callback(&provider, &json!({}));
        let answer = other.visit("GET", &callback, "").await;
        answer.expect_redirect(&format!("/{n}"));
    }
    let first = flows[0].callback(&provider, &json!({}));
    other.visit("GET", &first, "").await.expect_redirect("/");
    assert_eq!(world.sessions().await, 1);
    // Five sign-ins in a row look like a loop, which ends on a page.
    world.database.run("DELETE FROM django_session").await;
    let answer = other.visit("GET", "/sso/start?next=/", "").await;
    answer
        .expect(401, "sign_in_required")
        .expect_text("does not keep the sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_keeps_nobody_who_is_signed_in_away() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let mut settings = provider.settings(&issuer);
    settings.push(REQUIRE);
    let app = world.gate(&settings);
    let browser = Browser::of(&app);
    sign_in(&browser, &provider, &json!({}))
        .await
        .expect_status(303);
    provider.stub.now(|_| Reply::of(502, ""));
    browser.get("/").await.expect(200, "session_valid");
    // What is known about the provider leads users there still; a gate that knows nothing says so.
    let answer = Browser::of(&app).visit("GET", "/sso/start", "").await;
    answer.expect_status(303);
    let fresh = world.gate(&settings);
    let answer = Browser::of(&fresh).visit("GET", "/sso/start", "").await;
    answer.expect(503, "provider_unavailable");
    // The provider's document is for another issuer.
    let provider = Provider::start();
    let issuer = format!("{}/", provider.issuer());
    let wrong = world.gate(&provider.settings(&issuer));
    let answer = Browser::of(&wrong).visit("GET", "/sso/start", "").await;
    answer.expect(503, "provider_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_choose_one_of_several_providers() {
    let world = World::new(&[]).await;
    let (one, two) = (Provider::start(), Provider::start());
    let provider = |name: &str, label: &str, issuer: String| json!({"name": name, "label": label, "issuer": issuer, "client_id": "label studio", "client_secret": SECRET, "allow_http": true});
    let providers = json!([
        provider("one", "Staff <1>", one.issuer()),
        provider("two", "", two.issuer())
    ]);
    let providers = providers.to_string();
    let app = world.gate(&[PUBLIC_URL, ("GATE_SIGN_IN_PROVIDERS", &providers)]);
    let browser = Browser::of(&app);
    let answer = browser.visit("GET", "/sso/start?next=/x", "").await;
    answer
        .expect_status(200)
        .expect_text("href=\"/sso/start?next=%2Fx&#38;provider=one\"")
        .expect_text("Staff &#60;1&#62;")
        .expect_text("127.0.0.1");
    let flow = Flow::start(&browser, "next=/x&provider=two").await;
    assert_eq!(
        flow.parameter("redirect_uri"),
        "https://ls.example.com/sso/callback/two"
    );
    two.gives(&two.signer.sign(&two.claims(&flow.nonce())));
    // The answer at the redirect URI of the other one: mix-up (RFC 9700 §4.4).
    let callback = flow.callback(&two, &json!({}));
    let mixed = callback.replace("/sso/callback", "/sso/callback/one");
    let copy = browser.before(&app);
    copy.visit("GET", &mixed, "")
        .await
        .expect(401, "sign_in_unknown");
    assert_eq!(one.asked("/token").len() + two.asked("/token").len(), 0);
    let right = callback.replace("/sso/callback", "/sso/callback/two");
    browser.visit("GET", &right, "").await.expect_redirect("/x");
    for path in [
        "/sso/callback?code=a&state=b",
        "/sso/callback/three?code=a&state=b",
    ] {
        browser.visit("GET", path, "").await.expect_status(403);
    }
}

/// Browsers may cause no more than so many requests at a provider.
#[tokio::test(flavor = "multi_thread")]
async fn one_network_begins_no_more_sign_ins_than_the_settings_allow() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let mut settings = provider.settings(&issuer);
    settings.push(("GATE_SIGN_IN_STARTS_PER_MINUTE", "3"));
    let app = world.gate(&settings);
    let starts = async |peer| {
        let browser = Browser::of(&app).with_header("X-Real-IP", peer);
        browser.visit("GET", "/sso/start?next=/", "").await
    };
    // A minute may end in between.
    let mut refused = 0;
    for _ in 0..8 {
        let answer = starts("192.0.2.1").await;
        if answer.status == 429 {
            assert_eq!(answer.reason(), "overloaded");
            assert!(answer.header("Retry-After").is_some());
            refused += 1;
        } else {
            answer.expect_status(303);
        }
    }
    assert!(refused >= 2, "{refused}");
    starts("192.0.2.2").await.expect_status(303);
}
