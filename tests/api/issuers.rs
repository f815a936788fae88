//! Method 1 as it is configured, with key servers that answer well, badly or not at all.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, TestDatabase};
use crate::people::SHARED;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{SECRET_KEY, now, sign};

/// An EC key of an issuer, under a name.
struct Signer {
    key: EncodingKey,
    id: &'static str,
    public: String,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        label_studio_gate::startup::install_crypto();
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            key: EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap(),
            id,
            public: pair.public_key_pem(),
        }
    }

    fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = self.id.into();
        jwk
    }

    fn token(&self, issuer: &str) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        let claims = json!({
            "email": "worker@example.com", "iat": now(), "exp": now() + 600, "iss": issuer, "aud": "label-studio",
        });
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

async fn database() -> TestDatabase {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    database.user("worker@example.com", organization).await;
    database
}

async fn login(app: &TestApp, token: &str) -> Answer {
    app.check("/", &format!("ls_auth_token={token}")).await
}

fn served(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("GATE_EXTERNAL_JWKS_URL", url.to_owned()),
        ("GATE_EXTERNAL_ALLOW_HTTP", "true".to_owned()),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio".to_owned()),
        ("GATE_KEY_SERVER_TIMEOUT_MS", "500".to_owned()),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1".to_owned()),
    ]
}

fn start(database: &TestDatabase, settings: &[(&'static str, String)]) -> TestApp {
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    TestApp::start(&database.gate_url(), &settings)
}

fn keys(signers: &[&Signer]) -> Reply {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    Reply::json(&json!({"keys": keys}))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_issuers_and_the_native_method_work_at_once() {
    let database = database().await;
    let (one, two) = (Signer::new("1"), Signer::new("2"));
    let issuers = json!([
        {"name": "one", "public_key": one.public, "issuer": "https://one.test", "audience": "label-studio"},
        {"name": "two", "public_key": [two.public], "issuer": "https://two.test", "audience": ["x", "label-studio"],
         "required_claims": {"email": ["worker@example.com", "other@example.com"]}},
    ]);
    let app = start(
        &database,
        &[
            ("JWT_SSO_SECRET", SHARED.to_owned()),
            ("GATE_EXTERNAL_ISSUERS", issuers.to_string()),
        ],
    );
    let shared = json!({"email": "worker@example.com", "exp": now() + 600});
    let id: i32 = database
        .text("SELECT id FROM htx_user")
        .await
        .parse()
        .unwrap();
    for (what, token, expected) in [
        (
            "shared",
            sign(Algorithm::HS256, SHARED, &shared),
            "external",
        ),
        ("one", one.token("https://one.test"), "external"),
        ("two", two.token("https://two.test"), "external"),
        ("native", crate::support::token::native(id), "native"),
    ] {
        let answer = login(&app, &token).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_opened"),
            "{what}"
        );
        assert_eq!(answer.header("X-Gate-Method"), Some(expected), "{what}");
    }
    // One issuer's key doesn't vouch for the other's tokens.
    let answer = login(&app, &one.token("https://two.test")).await;
    assert_eq!(answer.reason(), "token_algorithm_refused");
    assert!(answer.session().is_none());
    let app = start(&database, &[("GATE_EXTERNAL_ISSUERS", issuers.to_string())]);
    let answer = login(&app, &one.token("https://two.test")).await;
    assert_eq!(answer.reason(), "token_issuer_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_rotated_and_kept_while_their_server_is_down() {
    let database = database().await;
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let jwks = keys(&[&old]);
    let server = Stub::start(move |_| jwks.clone());
    let app = start(&database, &served(&server.url("/keys")));
    let answer = login(&app, &old.token("x")).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    assert_eq!(server.asked(), 1);

    // A key that isn't known is asked for once in a cool-down, however many tokens name it.
    for n in 0..20 {
        let token = new.token(&n.to_string());
        assert_eq!(login(&app, &token).await.reason(), "token_key_unknown");
    }
    assert!(server.asked() <= 2, "{}", server.asked());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let jwks = keys(&[&old, &new]);
    server.now(move |_| jwks.clone());
    let asked = server.asked();
    let tokens: Vec<String> = (0..20).map(|n| new.token(&n.to_string())).collect();
    for answer in join_all(tokens.iter().map(|token| login(&app, token))).await {
        assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
    }
    assert_eq!(
        server.asked(),
        asked + 1,
        "many tokens with a new key are one question"
    );

    // Down, and slow in telling: who has a known key doesn't notice.
    server.now(|_| Reply::of(500, "").after(Duration::from_millis(400)));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let unknown = Signer::new("unknown");
    let token = unknown.token("x");
    let waiting = tokio::spawn({
        let (client, url) = (app.client.clone(), app.url.clone());
        async move {
            let request = client
                .get(format!("{url}/auth/nginx"))
                .header("X-Original-URI", "/")
                .header("Cookie", format!("ls_auth_token={token}"));
            request.send().await.unwrap().status().as_u16()
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    for signer in [&old, &new] {
        let begun = Instant::now();
        let answer = login(&app, &signer.token("again")).await;
        assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
        assert!(
            begun.elapsed() < Duration::from_millis(250),
            "it waited for the key server"
        );
    }
    assert_eq!(
        waiting.await.unwrap(),
        503,
        "an unknown key cannot be judged now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_server_answers_is_not_believed_blindly() {
    let database = database().await;
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
        ("too slow", good.clone().after(Duration::from_secs(2))),
        ("no keys", Reply::json(&json!({"keys": []}))),
        (
            "a secret",
            Reply::json(&json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "now"}]})),
        ),
    ] {
        let server = Stub::start(move |_| reply.clone());
        let app = start(&database, &served(&server.url("/keys")));
        let answer = login(&app, &signer.token("x")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (503, "key_server_unavailable"),
            "{what}"
        );
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect was followed");
    // Allowed, it is.
    let mut settings = served(&elsewhere.url("/keys"));
    settings.push(("GATE_KEY_SERVER_REDIRECTS", "1".to_owned()));
    let app = start(&database, &settings);
    assert_eq!(login(&app, &signer.token("x")).await.status, 200);
    // What arrives in time after an outage is taken in the background, without a restart.
    let server = Stub::start(|_| Reply::of(503, ""));
    let app = start(&database, &served(&server.url("/keys")));
    assert_eq!(login(&app, &signer.token("x")).await.status, 503);
    server.now(move |_| good.clone());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let asked = server.asked();
    assert_eq!(login(&app, &signer.token("x")).await.status, 200);
    assert_eq!(
        server.asked(),
        asked,
        "the keys were there before the token came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_document_counts_for_its_own_issuer_alone() {
    let database = database().await;
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
        let settings = [
            ("GATE_EXTERNAL_DISCOVERY", server.url(path)),
            ("GATE_EXTERNAL_ALLOW_HTTP", "true".to_owned()),
            ("GATE_EXTERNAL_AUDIENCE", "label-studio".to_owned()),
        ];
        let app = start(&database, &settings);
        let answer = login(&app, &signer.token(&server.url(path))).await;
        assert_eq!(answer.status, expected, "{path:?}: {}", answer.reason());
        if expected == 200 {
            let other = login(&app, &signer.token("https://somebody.else")).await;
            assert_eq!(other.reason(), "token_issuer_refused");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_tokens_log_in_only_where_that_is_switched_on() {
    let database = database().await;
    let id = database.text("SELECT id FROM htx_user").await;
    let access = |jti: &str, kind: &str, exp: i64| {
        let claims =
            json!({"token_type": kind, "exp": exp, "iat": now(), "jti": jti, "user_id": id});
        sign(Algorithm::HS256, SECRET_KEY, &claims)
    };
    let two_centuries = now() + 6_307_200_000;
    let off = start(&database, &[]);
    let on = start(
        &database,
        &[
            ("JWT_SSO_VERIFY_NATIVE_TOKEN", "true".to_owned()),
            ("GATE_DATABASE_CACHE_SECONDS", "0".to_owned()),
        ],
    );
    let personal = access("p", "refresh", two_centuries);
    for token in [access("a", "access", now() + 300), personal.clone()] {
        let answer = login(&off, &token).await;
        assert_eq!(answer.reason(), "token_claim_missing");
        assert!(answer.session().is_none());
        let answer = login(&on, &token).await;
        assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
        assert_eq!(answer.header("X-Gate-Method"), Some("native"));
    }
    // Used for years, a personal access token has one session at a time.
    let sessions = database.sessions().await;
    for _ in 0..5 {
        login(&on, &personal).await;
    }
    assert_eq!(database.sessions().await, sessions);

    let answer = login(&on, &access("x", "sliding", now() + 300)).await;
    assert_eq!(answer.reason(), "token_claim_missing");
    let answer = login(&on, &access("x", "access", now() - 1)).await;
    assert_eq!(answer.reason(), "token_expired");

    database
        .run(
            "WITH token AS (INSERT INTO token_blacklist_outstandingtoken (token, jti, expires_at) VALUES ('h.p', 'p', now()) RETURNING id)
             INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) SELECT now(), id FROM token",
        )
        .await;
    assert_eq!(login(&on, &personal).await.reason(), "token_revoked");
    database
        .run("UPDATE jwt_auth_jwtsettings SET api_tokens_enabled = false")
        .await;
    let answer = login(&on, &access("a", "access", now() + 300)).await;
    assert_eq!(answer.reason(), "api_tokens_disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_former_secret_key_are_accepted_during_its_rotation() {
    let database = database().await;
    let id: i32 = database
        .text("SELECT id FROM htx_user")
        .await
        .parse()
        .unwrap();
    let former = "a-former-secret-key-of-more-than-fifty-characters-0123456789";
    let token = sign(Algorithm::HS256, former, &crate::support::token::claims(id));
    let answer = login(&start(&database, &[]), &token).await;
    assert_eq!(answer.reason(), "token_signature_invalid");
    let app = start(&database, &[("SECRET_KEY_FALLBACKS", former.to_owned())]);
    let answer = login(&app, &token).await;
    assert_eq!((answer.status, answer.reason()), (200, "session_opened"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_token_lives_no_longer_than_it_may() {
    let database = database().await;
    let id = database.text("SELECT id FROM htx_user").await;
    let token = |exp: Value| {
        let id: i32 = id.parse().unwrap();
        let claims = crate::support::token::claims(id);
        let changes = json!({"exp": exp});
        let claims = crate::support::token::with(claims, &changes);
        sign(Algorithm::HS256, SECRET_KEY, &claims)
    };
    let two_centuries = now() + 6_307_200_000;
    let longest = "GATE_NATIVE_MAX_LIFETIME_SECONDS";
    for (setting, exp, reason) in [
        ("86400", json!(now() + 3600), "session_opened"),
        ("86400", json!(now() + 90_000), "token_lifetime_too_long"),
        ("86400", json!(two_centuries), "token_lifetime_too_long"),
        ("86400", json!(1e300), "token_claim_invalid"),
        // Never less than the tokens that are issued here live: ten minutes.
        ("1", json!(now() + 590), "session_opened"),
        ("1", json!(now() + 700), "token_lifetime_too_long"),
        // Any, as far as there are dates.
        ("0", json!(two_centuries), "session_opened"),
        ("0", json!(1e300), "token_claim_invalid"),
    ] {
        let app = start(&database, &[(longest, setting.to_owned())]);
        let answer = login(&app, &token(exp.clone())).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, reason),
            "{setting}: {exp}"
        );
        assert_eq!(answer.session().is_some(), reason == "session_opened");
    }
}
