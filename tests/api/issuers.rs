//! Method 1 with several issuers, and with key servers that answer well, badly or not at all.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use label_studio_gate::gate::jws;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::support::stub::{Hold, Reply, Stub};
use crate::support::token::{self, SECRET_KEY, claims, now, sign, with};
use crate::world::{ISSUER, NO_CACHE, World, eventually, issuer_token};

/// An issuer's EC key with its key ID.
pub struct Signer {
    key: EncodingKey,
    id: &'static str,
    pair: KeyPair,
}

impl Signer {
    pub fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            key: jws::private_key(&pair.serialize_pem(), Algorithm::ES256).unwrap(),
            id,
            pair,
        }
    }

    fn jwk(&self) -> Value {
        let mut jwk = token::jwk(&self.pair);
        jwk["kid"] = self.id.into();
        jwk
    }

    /// The public key in PEM form.
    pub fn public(&self) -> String {
        self.pair.public_key_pem()
    }

    /// A token with this header and these claims, each part padded.
    pub fn sign_padded(&self, header: &Value, claims: &Value) -> String {
        let parts = [header, claims].map(|part| URL_SAFE.encode(part.to_string()));
        let signed = parts.join(".");
        let signature = jws::sign(signed.as_bytes(), &self.key, Algorithm::ES256).unwrap();
        format!("{signed}.{signature}==")
    }

    pub fn token(&self, issuer: &str) -> String {
        self.sign(&json!({
            "email": "ann@example.com", "iat": now(), "exp": now() + 600, "iss": issuer, "aud": "label-studio",
        }))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as("JWT", claims)
    }

    /// A token with this `typ`.
    pub fn sign_as(&self, typ: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        header.typ = Some(typ.to_owned());
        jws::encode(&header, claims, &self.key).unwrap()
    }
}

async fn login(app: &TestApp, token: &str) -> Answer {
    Browser::of(app).with_token(token).get("/").await
}

/// The settings of an issuer that publishes its keys at this URL.
pub fn published_at(url: &str) -> [(&'static str, &str); 5] {
    [
        ("GATE_EXTERNAL_JWKS_URL", url),
        ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_KEY_SERVER_TIMEOUT_MS", "3000"),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
    ]
}

/// Whether the gate has read the keys of its issuer.
async fn knows_keys(app: &TestApp) -> bool {
    let metrics = app.get("/metrics").await.body;
    let name = "label_studio_gate_issuer_keys{";
    let mut keys = metrics.lines().filter(|line| line.starts_with(name));
    let count = keys.next().and_then(|line| line.rsplit(' ').next());
    count.is_some_and(|count| count.parse::<f64>().unwrap() > 0.0)
}

/// A token that only its reader could decrypt (RFC 7516 §7.1).
pub fn encrypted() -> String {
    let header =
        BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"provider"}"#);
    format!("{header}.a2V5.aXY.Y2lwaGVy.dGFn")
}

pub fn keys(signers: &[&Signer]) -> Reply {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    Reply::json(&json!({"keys": keys}))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_issuers_and_the_native_method_work_at_once() {
    let world = World::new(&[]).await;
    let (one, two) = (Signer::new("1"), Signer::new("2"));
    let issuers = json!([
        {"name": "one", "public_key": one.public(), "issuer": "https://one.test", "audience": "label-studio"},
        {"name": "two", "public_key": [two.public()], "issuer": "https://two.test", "audience": ["x", "label-studio"],
         "required_claims": {"email": ["ann@example.com", "other@example.com"]}},
    ]);
    let issuers = issuers.to_string();
    let issuers = ("GATE_EXTERNAL_ISSUERS", issuers.as_str());
    let app = world.gate(&[ISSUER, issuers]);
    let shared = issuer_token(&json!({"email": "ann@example.com", "iat": null}));
    for (token, method) in [
        (shared, "external"),
        (one.token("https://one.test"), "external"),
        (two.token("https://two.test"), "external"),
        (world.ann.token(), "native"),
    ] {
        let answer = login(&app, &token).await;
        answer
            .expect(200, "session_opened")
            .expect_header("X-Gate-Method", Some(method));
    }
    // One issuer's key is good for its own tokens only.
    let answer = login(&app, &one.token("https://two.test")).await;
    answer
        .expect_reason("token_algorithm_refused")
        .expect_no_session();
    let app = world.gate(&[issuers]);
    let answer = login(&app, &one.token("https://two.test")).await;
    answer.expect_reason("token_issuer_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_rotated_and_kept_while_their_server_is_down() {
    let world = World::new(&[]).await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let jwks = keys(&[&old]);
    let server = Stub::start(move |_| jwks.clone());
    let url = server.url("/keys");
    let mut settings = published_at(&url);
    settings[3].1 = "30000";
    let app = world.gate(&settings);
    let answer = login(&app, &old.token("x")).await;
    answer.expect(200, "session_opened");
    assert_eq!(server.asked(), 1);

    // An unknown key is asked for once per cool-down, however many tokens name it.
    let begun = Instant::now();
    for n in 0..20 {
        let token = new.token(&n.to_string());
        login(&app, &token).await.expect_reason("token_key_unknown");
    }
    let most = 2 + begun.elapsed().as_secs();
    assert!(server.asked() as u64 <= most, "{}", server.asked());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let jwks = keys(&[&old, &new]);
    server.now(move |_| jwks.clone());
    let asked = server.asked();
    let tokens: Vec<String> = (0..20).map(|n| new.token(&n.to_string())).collect();
    let begun = Instant::now();
    for answer in join_all(tokens.iter().map(|token| login(&app, token))).await {
        answer.expect(200, "session_opened");
    }
    // Many tokens with a new key cause one request per cool-down.
    let most = asked + 1 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let asked = asked + 1..=most;
    assert!(asked.contains(&server.asked()), "{}", server.asked());

    // The key server is down and slow: tokens with known keys do not wait for it.
    let hold = Hold::default();
    let held = hold.clone();
    server.now(move |_| {
        held.wait();
        Reply::of(500, "")
    });
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let before = server.asked();
    let unknown = Signer::new("unknown");
    let token = unknown.token("x");
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { login(&app, &token).await.status }
    });
    eventually("the server is asked", async || server.asked() > before).await;
    for signer in [&old, &new] {
        let answer = login(&app, &signer.token("again")).await;
        answer.expect(200, "session_opened");
    }
    assert!(!waiting.is_finished(), "they waited for the key server");
    hold.release();
    assert_eq!(
        waiting.await.unwrap(),
        503,
        "an unknown key cannot be verified now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_of_a_key_server_is_an_outage() {
    let world = World::new(&[]).await;
    let signer = Signer::new("now");
    let good = keys(&[&signer]);
    let huge = {
        let mut body = good.body.clone();
        body.pop();
        body.extend_from_slice(format!(r#","x":"{}"}}"#, "x".repeat(10_000_000)).as_bytes());
        Reply::of(200, body)
    };
    let elsewhere = Stub::start({
        let good = good.clone();
        move |_| good.clone()
    });
    let mut redirect = Reply::of(302, "");
    redirect.headers = format!("Location: {}\r\n", elsewhere.url("/keys"));
    for (what, reply) in [
        ("10 MB", huge),
        ("HTML", Reply::of(200, "<html>")),
        ("an error", Reply::of(500, good.body.clone())),
        ("a redirect", redirect),
        ("too slow", good.clone().after(Duration::from_secs(10))),
        ("no keys", Reply::json(&json!({"keys": []}))),
        (
            "a secret",
            Reply::json(&json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "now"}]})),
        ),
    ] {
        let server = Stub::start(move |_| reply.clone());
        let app = world.gate(&published_at(&server.url("/keys")));
        let answer = login(&app, &signer.token("x")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (503, "key_server_unavailable"),
            "{what}"
        );
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect was followed");
    // With redirects switched on, it is followed.
    let url = elsewhere.url("/keys");
    let mut settings = published_at(&url).to_vec();
    settings.push(("GATE_KEY_SERVER_REDIRECTS", "1"));
    let app = world.gate(&settings);
    login(&app, &signer.token("x")).await.expect_status(200);
    // After an outage the keys are read in the background, without a restart.
    let server = Stub::start(|_| Reply::of(503, ""));
    let app = world.gate(&published_at(&server.url("/keys")));
    login(&app, &signer.token("x")).await.expect_status(503);
    server.now(move |_| good.clone());
    eventually("the keys are read", async || knows_keys(&app).await).await;
    let asked = server.asked();
    login(&app, &signer.token("x")).await.expect_status(200);
    assert_eq!(
        server.asked(),
        asked,
        "the keys were there before the token came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_soon_after_a_key_server_that_was_down_at_start_is_up() {
    let world = World::new(&[]).await;
    let signer = Signer::new("now");
    let server = Stub::start(|_| Reply::of(503, ""));
    let url = server.url("/keys");
    let mut settings = published_at(&url);
    // The pauses are short even if the cooldown is not.
    settings[4].1 = "600";
    let begun = Instant::now();
    let app = world.gate(&settings);
    eventually("the pauses are short", async || server.asked() >= 3).await;
    let asked = server.asked();
    // Between two attempts are 250 ms, 500 ms and so on, up to five seconds.
    let elapsed = begun.elapsed();
    let (mut most, mut due, mut pause) = (1, 250, 250);
    while due <= elapsed.as_millis() {
        most += 1;
        pause = 5000.min(2 * pause);
        due += pause;
    }
    assert!(asked <= most, "{asked} attempts in {elapsed:?}");
    let begun = Instant::now();
    for _ in 0..20 {
        let answer = login(&app, &signer.token("x")).await;
        answer.expect(503, "key_server_unavailable");
    }
    // A token may trigger one attempt a second, beside the next regular one.
    let most = asked + 2 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(server.asked() <= most, "{} attempts", server.asked());

    // Back: the background task reads the keys, although no token asks for them.
    let jwks = keys(&[&signer]);
    server.now(move |_| jwks.clone());
    eventually("the keys are read", async || knows_keys(&app).await).await;
    let asked = server.asked();
    login(&app, &signer.token("x")).await.expect_status(200);
    assert_eq!(server.asked(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_finds_a_key_server_that_is_back_before_the_next_pause_ends() {
    let world = World::new(&[]).await;
    let (known, unknown) = (Signer::new("known"), Signer::new("unknown"));
    let jwks = keys(&[&known]);
    let server = Stub::start(move |_| jwks.clone());
    let url = server.url("/keys");
    let mut settings = published_at(&url);
    settings[4].1 = "2";
    let app = world.gate(&settings);
    login(&app, &known.token("x")).await.expect_status(200);

    // The keys are rotated while the server is down.
    server.now(|_| Reply::of(503, ""));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let answer = login(&app, &unknown.token("x")).await;
    answer.expect(503, "key_server_unavailable");
    let jwks = keys(&[&unknown]);
    server.now(move |_| jwks.clone());
    eventually("the new key is found", async || {
        login(&app, &unknown.token("x")).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_document_counts_only_for_its_own_issuer() {
    let world = World::new(&[]).await;
    let signer = Signer::new("now");
    for (path, claimed, expected) in [
        ("/realms/x", "/realms/x", 200),
        ("/", "/", 200),
        ("", "", 200),
        ("/realms/x", "/realms/y", 503),
    ] {
        let jwks = keys(&[&signer]);
        let server = Stub::start(|_| Reply::of(404, ""));
        let (url, keys_url) = (server.url(claimed), server.url("/keys"));
        let expected_path = format!(
            "GET {}/.well-known/openid-configuration ",
            path.trim_end_matches('/')
        );
        server.now(move |head| {
            if head.starts_with(&expected_path) {
                Reply::json(&json!({"issuer": url, "jwks_uri": keys_url}))
            } else if head.starts_with("GET /keys ") {
                jwks.clone()
            } else {
                Reply::of(404, "")
            }
        });
        let issuer = server.url(path);
        let app = world.gate(&[
            ("GATE_EXTERNAL_DISCOVERY", issuer.as_str()),
            ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
            ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ]);
        let answer = login(&app, &signer.token(&issuer)).await;
        assert_eq!(answer.status, expected, "{path:?}: {}", answer.reason());
        if expected == 200 {
            let other = login(&app, &signer.token("https://somebody.else")).await;
            other.expect_reason("token_issuer_refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_tokens_log_in_only_where_that_is_switched_on() {
    let world = World::new(&[]).await;
    let id = world.ann.id.to_string();
    let access = |jti: &str, kind: &str, exp: i64| {
        let claims =
            json!({"token_type": kind, "exp": exp, "iat": now(), "jti": jti, "user_id": id});
        sign(Algorithm::HS256, SECRET_KEY, &claims)
    };
    let two_centuries = now() + 6_307_200_000;
    let (off, on) = (
        &world.app,
        world.gate(&[("JWT_SSO_VERIFY_NATIVE_TOKEN", "true"), NO_CACHE]),
    );
    let personal = access("p", "refresh", two_centuries);
    for token in [access("a", "access", now() + 300), personal.clone()] {
        let answer = login(off, &token).await;
        answer
            .expect_reason("token_claim_missing")
            .expect_no_session();
        let answer = login(&on, &token).await;
        answer
            .expect(200, "session_opened")
            .expect_header("X-Gate-Method", Some("native"));
    }
    // A personal access token is used for years and has one session at a time.
    let sessions = world.sessions().await;
    for _ in 0..5 {
        login(&on, &personal).await;
    }
    assert_eq!(world.sessions().await, sessions);

    let answer = login(&on, &access("x", "sliding", now() + 300)).await;
    answer.expect_reason("token_claim_missing");
    let answer = login(&on, &access("x", "access", now() - 1)).await;
    answer.expect_reason("token_expired");

    world
        .database
        .run(
            "WITH token AS (INSERT INTO token_blacklist_outstandingtoken (token, jti, expires_at) VALUES ('h.p', 'p', now()) RETURNING id)
             INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT now(), id FROM token",
        )
        .await;
    login(&on, &personal).await.expect_reason("token_revoked");
    world
        .database
        .run("UPDATE jwt_auth_jwtsettings SET api_tokens_enabled = false")
        .await;
    let answer = login(&on, &access("a", "access", now() + 300)).await;
    answer.expect_reason("api_tokens_disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_former_secret_key_are_accepted_during_its_rotation() {
    let world = World::new(&[]).await;
    let former = "a-former-secret-key-of-more-than-fifty-characters-0123456789";
    let token = sign(Algorithm::HS256, former, &claims(world.ann.id));
    let answer = login(&world.app, &token).await;
    answer.expect_reason("token_signature_invalid");
    let rotating = world.gate(&[("SECRET_KEY_FALLBACKS", former)]);
    let answer = login(&rotating, &token).await;
    answer.expect(200, "session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_token_with_too_long_a_lifetime_is_refused() {
    let world = World::new(&[]).await;
    let token = |exp: &Value| {
        let claims = with(claims(world.ann.id), &json!({"exp": exp}));
        sign(Algorithm::HS256, SECRET_KEY, &claims)
    };
    let two_centuries = now() + 6_307_200_000;
    let longest = "GATE_NATIVE_MAX_LIFETIME_SECONDS";
    for (setting, exp, reason) in [
        ("86400", json!(now() + 3600), "session_opened"),
        ("86400", json!(now() + 90_000), "token_lifetime_too_long"),
        ("86400", json!(two_centuries), "token_lifetime_too_long"),
        ("86400", json!(1e300), "token_claim_invalid"),
        // The limit is never below the lifetime of tokens the gate issues: ten minutes.
        ("1", json!(now() + 590), "session_opened"),
        ("1", json!(now() + 700), "token_lifetime_too_long"),
        // No limit, as far as there are dates.
        ("0", json!(two_centuries), "session_opened"),
        ("0", json!(1e300), "token_claim_invalid"),
    ] {
        let app = world.gate(&[(longest, setting)]);
        let answer = login(&app, &token(&exp)).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, reason),
            "{setting}: {exp}"
        );
        assert_eq!(answer.session().is_some(), reason == "session_opened");
    }
}
