//! Every decision ends in time, whatever is slow, and what was given up leaves nothing half done.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use label_studio_gate::gate::jws;
use serde_json::json;

use crate::actors::{Browser, Caller, HostApplication};
use crate::app::Answer;
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{self, claims, now, with};
use crate::support::wait_until;
use crate::world::World;

/// A decision takes half a second at most; everything else may take longer.
const BRIEF: &[(&str, &str)] = &[
    ("GATE_HTTP_DECISION_TIMEOUT_MS", "500"),
    ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "20000"),
    ("GATE_DATABASE_WAIT_TIMEOUT_MS", "20000"),
    ("GATE_DATABASE_POOL_SIZE", "2"),
];

/// The time that an answer may take on a busy machine.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_database_costs_the_time_of_one_decision_and_loses_no_session() {
    let world = World::new(BRIEF).await;
    let token = world.ann.token();
    let browser = world.browser().with_token(&token);
    let lock = "BEGIN; LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE";
    world.database.run(lock).await;
    let begun = Instant::now();
    // Two have a connection and wait for the lock; the others wait for a connection.
    let token_of_bob = world.bob.token();
    let others = || Browser::of(&world.app).with_token(&token_of_bob);
    let others: Vec<_> = (0..6).map(|_| others()).collect();
    let answers = join_all(others.iter().map(|browser| browser.get("/")));
    let (first, others) = tokio::join!(browser.get("/"), answers);
    let answers: Vec<_> = others.iter().chain([&first]).collect();
    for answer in &answers {
        answer
            .expect_status(503)
            .expect_header("X-Gate-Set-Cookie-2", None);
        assert!(answer.header("Retry-After").is_some());
    }
    let stuck = |answer: &&&Answer| answer.reason() == "database_unavailable";
    assert!(answers.iter().filter(stuck).count() >= 2, "{answers:?}");
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(500)..SOON).contains(&took),
        "{took:?}"
    );
    // The callers' routes, too.
    let caller = Caller::of(&world.app).with_authorization(&world.superuser.authorization());
    let begun = Instant::now();
    caller.issue(&world.bob.email).await.expect_status(503);
    assert!(begun.elapsed() < SOON);
    world.database.run("ROLLBACK").await;

    // What was given up has been committed or rolled back: the token's session is one.
    let until = Instant::now() + SOON;
    let answer = loop {
        let answer = browser.get("/").await;
        if answer.status == 200 {
            break answer;
        }
        assert!(Instant::now() < until, "{answer:?}");
    };
    assert!(answer.session().is_some());
    let key = answer.session().unwrap().to_owned();
    let stored = format!("SELECT count(*) FROM django_session WHERE session_key = '{key}'");
    assert_eq!(world.database.text(&stored).await, "1");
    assert!(world.sessions().await <= 2, "one per token");
    // No connection was thrown away for it, and none is left in a transaction.
    let count = |condition| CLUSTER.gate_connections(&world.database.name, condition);
    wait_until(
        || count("state LIKE '%transaction%'") == 0,
        || "a transaction is open".to_owned(),
    );
    assert!(count("true") <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_key_server_is_not_waited_for_longer_and_its_answer_is_used() {
    let world = World::new(&[]).await;
    let secret = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let algorithm = jsonwebtoken::Algorithm::ES256;
    let key = jws::private_key(&secret.serialize_pem(), algorithm).unwrap();
    let jwk = token::jwk(&secret);
    let keys = Reply::json(&json!({"keys": [jwk]})).after(Duration::from_secs(4));
    let server = Stub::start(move |_| keys.clone());
    let url = server.url("/keys");
    let method = [
        ("GATE_EXTERNAL_JWKS_URL", url.as_str()),
        ("GATE_EXTERNAL_ALLOW_HTTP", "true"),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
    ];
    let app = world.gate(&[BRIEF, &method].concat());
    let identity =
        json!({"email": world.ann.email, "aud": "label-studio", "iss": null, "exp": now() + 600});
    let claims = with(claims(world.ann.id), &identity);
    let token = jws::encode(&jsonwebtoken::Header::new(algorithm), &claims, &key).unwrap();
    let browser = Browser::of(&app).with_token(&token);
    let begun = Instant::now();
    let answer = browser.get("/").await;
    answer.expect(503, "key_server_unavailable");
    assert!(
        begun.elapsed() < Duration::from_millis(3900),
        "{:?}",
        begun.elapsed()
    );
    let until = Instant::now() + 2 * SOON;
    while browser.get("/").await.status != 200 {
        assert!(Instant::now() < until, "not known yet");
    }
    assert_eq!(server.asked(), 1, "the request that nobody waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_application_leaves_time_to_find_the_users_own_session() {
    let world = World::with_application(&[
        ("GATE_HTTP_DECISION_TIMEOUT_MS", "2000"),
        ("JWT_SSO_SESSION_CACHE_TTL", "0"),
    ])
    .await;
    let browser = world.browser().with_application_session("of-ann");
    browser.get("/").await.expect(200, "session_opened");
    let slowly = |head: &str| HostApplication::knows(head).after(Duration::from_secs(20));
    world.application.now(slowly);
    let begun = Instant::now();
    browser.get("/").await.expect(200, "session_kept_unasked");
    let stranger = world.app.check("/", "connect.sid=of-bob").await;
    stranger.expect(503, "client_api_unavailable");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}
