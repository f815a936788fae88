//! What `/metrics` tells about the gate's components.

use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, Header};
use label_studio_gate::gate::jws;
use serde_json::json;

use crate::actors::Browser;
use crate::app::TestApp;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{self, now};
use crate::world::{ISSUER, REQUIRE, SIGNED_COOKIES, World};

/// The samples of a gate.
pub struct Samples(String);

impl Samples {
    pub async fn of(app: &TestApp) -> Self {
        Self(app.get("/metrics").await.body)
    }

    /// The value of the sample that is written like this, without the prefix of the name.
    #[track_caller]
    pub fn value(&self, sample: &str) -> f64 {
        let value = self.find(sample);
        value.unwrap_or_else(|| panic!("no {sample} in {}", self.0))
    }

    /// The same, if there is such a sample.
    pub fn find(&self, sample: &str) -> Option<f64> {
        let prefix = format!("label_studio_gate_{sample} ");
        let value = self.0.lines().find_map(|line| line.strip_prefix(&prefix))?;
        Some(value.parse().unwrap())
    }

    #[track_caller]
    pub fn expect(&self, expected: &[(&str, f64)]) {
        for (sample, value) in expected {
            let found = self.value(sample);
            assert!(
                (found - value).abs() < 1e-9,
                "{sample} is {found}: {}",
                self.0
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_pool_and_caches_are_counted() {
    let world = World::new(&[REQUIRE]).await;
    let browser = world.signed_in(&world.ann).await.stolen_session();
    for _ in 0..5 {
        browser.get("/").await.expect(200, "session_valid");
    }
    let samples = Samples::of(&world.app).await;
    samples.expect(&[
        ("statement_duration_seconds_count{statement=\"record_login\"}", 1.0),
        ("statement_duration_seconds_count{statement=\"load_session\"}", 1.0),
        ("statement_duration_seconds_bucket{statement=\"record_login\",le=\"+Inf\"}", 1.0),
        ("statement_requests_bucket{statement=\"record_login\",le=\"1.0\"}", 1.0),
        ("statement_requests_sum{statement=\"record_login\"}", 1.0),
        ("statement_requests_count{statement=\"load_session\"}", 1.0),
        ("statement_failures_total{cause=\"timeout\"}", 0.0),
        ("pool_connections_limit", 16.0),
        ("pool_connections{state=\"in_use\"}", 0.0),
        ("pool_waiting", 0.0),
        ("shed_requests_total{dependency=\"database\"}", 0.0),
        ("cache_hits_total{cache=\"sessions\"}", 4.0),
        ("request_duration_seconds_count{route=\"check\",outcome=\"logged_in\"}", 1.0),
        ("request_duration_seconds_count{route=\"check\",outcome=\"passed\"}", 5.0),
        (
            "configuration_info{engine=\"db\",anonymous=\"require\",methods=\"native\",token_use=\"many\"}",
            1.0,
        ),
    ]);
    assert!(samples.value("pool_connections{state=\"idle\"}") >= 1.0);
    assert!(samples.value("pool_wait_seconds_count") >= 3.0);
    assert!(samples.value("cache_misses_total{cache=\"sessions\"}") >= 1.0);
    assert!(samples.value("cache_hits_total{cache=\"users\"}") >= 4.0);
    assert!(
        !samples.0.contains("statement=\"purge_sessions\""),
        "it was never sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_enabled_method_is_reported() {
    let world = World::new(&[]).await;
    for (settings, methods) in [
        (
            &[
                (
                    "GATE_PROXY_HEADERS_SECRET",
                    "a-secret-that-only-the-proxy-in-front-knows",
                ),
                ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
            ][..],
            "native proxy",
        ),
        (
            &[ISSUER, ("GATE_TOKEN_HEADER", "X-Proxy-Token")],
            "external native proxy",
        ),
        (
            &[
                ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
                ("GATE_SIGN_IN_ISSUER", "https://127.0.0.1:1"),
                ("GATE_SIGN_IN_CLIENT_ID", "gate"),
            ],
            "native openid",
        ),
    ] {
        let samples = Samples::of(&world.gate(settings)).await;
        let sample = format!(
            "configuration_info{{engine=\"db\",anonymous=\"pass\",methods=\"{methods}\",token_use=\"many\"}}"
        );
        samples.expect(&[(&sample, 1.0)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_users_are_counted_by_method() {
    let world = World::with_application(&[]).await;
    world.update(&world.ann, "is_active = false").await;
    let by_token = world.browser().with_token(&world.ann.token());
    by_token.get("/").await.expect(403, "user_inactive");
    let by_session = world.browser().with_application_session("of-ann");
    by_session.get("/").await.expect(403, "user_inactive");
    let samples = Samples::of(&world.app).await;
    samples.expect(&[
        (
            "checks_total{reason=\"user_inactive\",method=\"native\"}",
            1.0,
        ),
        (
            "checks_total{reason=\"user_inactive\",method=\"session\"}",
            1.0,
        ),
        (
            "checks_total{reason=\"user_inactive\",method=\"none\"}",
            0.0,
        ),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_database_are_counted() {
    let world = World::new(&[]).await;
    let nowhere = "postgres://gate@127.0.0.1:1/nowhere";
    let app = TestApp::start(nowhere, &[]);
    let browser = Browser::of(&app).with_token(&world.ann.token());
    browser.get("/").await.expect_status(503);
    let samples = Samples::of(&app).await;
    assert!(samples.value("pool_failures_total{cause=\"unreachable\"}") >= 1.0);
    samples.expect(&[
        (
            "checks_total{reason=\"database_unavailable\",method=\"none\"}",
            1.0,
        ),
        (
            "request_duration_seconds_count{route=\"check\",outcome=\"outage\"}",
            1.0,
        ),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_applications_api_is_timed_and_its_breaker_shown() {
    let world = World::with_application(&[SIGNED_COOKIES]).await;
    let visit = async |session: &str| {
        let browser = world.browser().with_application_session(session);
        browser.get("/").await
    };
    visit("of-ann").await.expect_status(200);
    visit("of-ann").await.expect_status(200);
    visit("made-up").await.expect_status(200);
    let samples = Samples::of(&world.app).await;
    samples.expect(&[
        ("client_api_request_duration_seconds_count{outcome=\"user\"}", 1.0),
        ("client_api_request_duration_seconds_count{outcome=\"nobody\"}", 1.0),
        ("client_api_breaker{state=\"closed\"}", 1.0),
        ("client_api_breaker{state=\"open\"}", 0.0),
        ("cache_hits_total{cache=\"application_sessions\"}", 1.0),
        ("checks_total{reason=\"session_opened\",method=\"session\"}", 2.0),
        (
            "configuration_info{engine=\"signed_cookies\",anonymous=\"pass\",methods=\"native session\",token_use=\"many\"}",
            1.0,
        ),
    ]);
    world.application.now(|_| Reply::of(500, ""));
    for n in 0..8 {
        visit(&format!("another-{n}")).await.expect_status(503);
    }
    let samples = Samples::of(&world.app).await;
    samples.expect(&[
        ("client_api_breaker{state=\"closed\"}", 0.0),
        ("client_api_breaker{state=\"open\"}", 1.0),
    ]);
    let failed = "client_api_request_duration_seconds_count{outcome=\"failed\"}";
    let failed = samples.value(failed);
    assert!(
        (1.0..8.0).contains(&failed),
        "the breaker stops the requests: {failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_an_issuers_keys_grows_while_its_server_is_down() {
    let world = World::new(&[]).await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = jws::private_key(&pair.serialize_pem(), Algorithm::ES256).unwrap();
    let mut jwk = token::jwk(&pair);
    jwk["kid"] = json!("known");
    let jwks = json!({"keys": [jwk]});
    let server = Stub::start(move |_| Reply::json(&jwks));
    let url = server.url("/jwks");
    let app = world.gate(&[
        ("GATE_EXTERNAL_JWKS_URL", &url),
        ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_KEY_SERVER_REFRESH_SECONDS", "60"),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
    ]);
    let claims = json!({
        "email": "ann@example.com", "iat": now(), "exp": now() + 600, "aud": "label-studio",
    });
    let signed_with = |kid: &str| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(kid.to_owned());
        jws::encode(&header, &claims, &key).unwrap()
    };
    let browser = Browser::of(&app).with_token(&signed_with("known"));
    browser.get("/").await.expect(200, "session_opened");

    let before = Samples::of(&app).await;
    before.expect(&[
        ("issuer_keys{issuer=\"external\"}", 1.0),
        ("issuer_keys_refresh_seconds{issuer=\"external\"}", 60.0),
    ]);
    let ok = "key_server_request_duration_seconds_count{issuer=\"external\",outcome=\"ok\"}";
    assert!(before.value(ok) >= 1.0);
    let sampled = Instant::now();
    server.now(|_| Reply::of(500, ""));
    // The cooldown ends, and a token with an unknown key has the gate fetch the keys again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let browser = Browser::of(&app).with_token(&signed_with("unknown"));
    browser.get("/").await.expect(503, "key_server_unavailable");
    let since = sampled.elapsed().as_secs_f64();
    let after = Samples::of(&app).await;
    let failed =
        "key_server_request_duration_seconds_count{issuer=\"external\",outcome=\"failed\"}";
    assert!(after.value(failed) >= 1.0, "{}", after.0);
    let age = after.value("issuer_keys_age_seconds{issuer=\"external\"}");
    assert!(age >= since, "{age} is less than {since}");
}
