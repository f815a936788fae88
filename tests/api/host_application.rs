//! Method 3, with a host application that answers well, slowly, wrongly or not at all.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::actors::{Browser, HostApplication};
use crate::app::{ANONYMOUS_SESSION, Answer, TestApp};
use crate::issuers::{Signer, published_at};
use crate::log_lines::Logged;
use crate::metrics::Samples;
use crate::support::stub::{Hold, Reply, Stub};
use crate::support::token::{SECRET_KEY, claims, now, sign, with};
use crate::support::wait_until;
use crate::world::{NO_CACHE, User, World, eventually, migrate};

fn expired_token(user: &User) -> String {
    let expired = json!({"exp": now() - 20, "iat": now() - 100});
    let expired = with(claims(user.id), &expired);
    sign(jsonwebtoken::Algorithm::HS256, SECRET_KEY, &expired)
}

/// The answer to a new browser with this session of the host application.
async fn login(app: &TestApp, session: &str) -> Answer {
    let browser = Browser::of(app).with_application_session(session);
    browser.get("/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_applications_session_logs_in_creates_and_switches_users() {
    let world = World::with_application(&[]).await;
    let browser = world.browser().with_application_session("of-carol");
    let answer = browser.get("/").await;
    let session = browser.session().unwrap();
    let cookies = format!("connect.sid=of-carol; sessionid={session}");
    answer
        .expect(200, "session_opened")
        .expect_header("X-Gate-Method", Some("session"))
        .expect_header("X-Gate-Email", Some("carol@example.com"))
        .expect_header("X-Gate-Cookie", Some(&cookies))
        .expect_header("X-Gate-Set-Cookie-2", None);
    let head = &world.application.heads()[0];
    assert!(head.starts_with("GET /api/auth/verify-session "), "{head}");
    assert!(!head.contains("sessionid"), "{head}");

    // The next requests find the session, and cost neither a question nor a row.
    for _ in 0..10 {
        let answer = browser.get("/").await;
        answer
            .expect(200, "session_kept")
            .expect_header("X-Gate-Cookie", None);
    }
    assert_eq!((world.application.asked(), world.sessions().await), (1, 1));

    // Somebody else signs in to the host application.
    let browser = browser.with_application_session("of-ann");
    let answer = browser.get("/").await;
    answer.expect(200, "user_switched").expect_user(&world.ann);
    assert_eq!(world.sessions().await, 1, "Carol's session has ended");

    // Nobody is signed in there: the request goes on as it came.
    for (session, reason) in [
        ("of-nobody", "client_session_forbidden"),
        ("made-up", "client_session_unknown"),
        ("with%20space", "client_session_unknown"),
    ] {
        let answer = login(&world.app, session).await;
        answer
            .expect(200, reason)
            .expect_header("X-Gate-Cookie", None);
        // Remembered as what it was.
        let answer = login(&world.app, session).await;
        answer.expect_reason(reason);
    }
    for cookies in ["x=y", "connect.sid="] {
        let answer = world.app.check("/", cookies).await;
        answer.expect_reason("no_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_takes_precedence_over_the_host_applications_session() {
    let world = World::with_application(&[]).await;
    let browser = || world.browser().with_application_session("of-ann");
    let answer = browser().with_token(&world.bob.token()).get("/").await;
    answer.expect_user(&world.bob);
    assert_eq!(world.application.asked(), 0);
    // An unacceptable token is deleted, and the session counts.
    let answer = browser().with_token("a.b.c").get("/").await;
    answer.expect_user(&world.ann);
    assert!(answer.header("X-Gate-Set-Cookie-2").is_some());
    assert!(!answer.header("X-Gate-Cookie").unwrap().contains("a.b.c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_ask_about_a_session_once() {
    let world = World::with_application(&[]).await;
    let slowly = |head: &str| HostApplication::knows(head).after(Duration::from_millis(200));
    world.application.now(slowly);
    let logins = (0..50).map(|_| login(&world.app, "of-ann"));
    for answer in join_all(logins).await {
        answer.expect_user(&world.ann);
    }
    assert_eq!(world.application.asked(), 1);
    assert_eq!(world.sessions().await, 1);
    // "No" is remembered too, for five seconds.
    let begun = Instant::now();
    join_all((0..20).map(|_| login(&world.app, "made-up"))).await;
    let most = 2 + usize::try_from(begun.elapsed().as_secs() / 5).unwrap();
    let asked = world.application.asked();
    assert!((2..=most).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_can_be_switched_off_and_answers_expire() {
    let world = World::new(&[]).await;
    let application = &world.application;
    let gate_that_caches = |seconds| {
        let ttl = ("JWT_SSO_SESSION_CACHE_TTL", seconds);
        world.gate_with_application(application, &[ttl])
    };
    let app = gate_that_caches("0");
    for _ in 0..3 {
        login(&app, "of-ann").await;
    }
    assert_eq!(application.asked(), 3);
    let (long, short) = (gate_that_caches("3600"), gate_that_caches("1"));
    for app in [&long, &long, &short] {
        login(app, "of-ann").await.expect_user(&world.ann);
    }
    assert_eq!(application.asked(), 5);
    // Ann has signed out meanwhile.
    application.now(|_| Reply::of(401, ""));
    eventually("the answer expires", async || {
        login(&short, "of-ann").await.reason() == "client_session_unknown"
    })
    .await;
    login(&long, "of-ann").await.expect_user(&world.ann);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_of_the_host_application_logs_nobody_in() {
    const OUTAGE: (u16, &str) = (503, "client_api_unavailable");
    const MISSING: (u16, &str) = (200, "token_claim_missing");
    const INVALID: (u16, &str) = (200, "token_claim_invalid");
    let world = World::new(&[]).await;
    let name_of_a_wrong_type = json!({"email": "ann@example.com", "first_name": {}});
    let users = world.users().await;
    for (what, reply, (status, reason)) in [
        ("HTML", Reply::of(200, "<html>sign in</html>"), OUTAGE),
        ("a list", Reply::json(&json!(["ann@example.com"])), OUTAGE),
        ("a string", Reply::json(&json!("ann@example.com")), OUTAGE),
        ("nothing", Reply::of(200, ""), OUTAGE),
        ("10 MB", Reply::of(200, "x".repeat(10_000_000)), OUTAGE),
        ("an error", Reply::of(500, ""), OUTAGE),
        ("a redirect", Reply::of(302, ""), OUTAGE),
        ("no content", Reply::of(204, ""), OUTAGE),
        ("no email", Reply::json(&json!({"id": 7})), MISSING),
        ("a number", Reply::json(&json!({"email": 7})), INVALID),
        (
            "several emails",
            Reply::json(&json!({"email": ["a@b.c"]})),
            INVALID,
        ),
        ("no address", Reply::json(&json!({"email": "ann"})), INVALID),
        (
            "a name of a wrong type",
            Reply::json(&name_of_a_wrong_type),
            INVALID,
        ),
    ] {
        let application = HostApplication::answering(move |_| reply.clone());
        let app = world.gate_with_application(&application, &[]);
        let answer = login(&app, "of-ann").await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{what}");
        assert!(answer.session().is_none(), "{what}");
    }
    assert_eq!(world.users().await, users);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_host_application_logs_nobody_out() {
    let world = World::with_application(&[
        ("JWT_SSO_SESSION_CACHE_TTL", "0"),
        ("JWT_SSO_SESSION_VERIFY_TIMEOUT", "1"),
    ])
    .await;
    let application = &world.application;
    let browser = world.browser().with_application_session("of-ann");
    browser.get("/").await.expect_status(200);
    assert!(browser.session().is_some());
    world.database.run(ANONYMOUS_SESSION).await;

    application.now(|head| HostApplication::knows(head).after(Duration::from_secs(3)));
    for _ in 0..5 {
        let answer = browser.get("/").await;
        answer
            .expect(200, "session_kept_unasked")
            .expect_header("X-Gate-Cookie", None);
    }
    wait_until(
        || application.asked() == 6,
        || format!("{} requests", application.asked()),
    );
    // The breaker is open by now.
    let begun = Instant::now();
    for _ in 0..40 {
        unanswerable(&world).await;
        let answer = browser.get("/").await;
        answer.expect_reason("session_kept_unasked");
    }
    let trials = application.asked() - 6;
    // A trial takes a second, and after it there is a pause.
    let most = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!(trials <= most, "{trials} trials in {:?}", begun.elapsed());
    let without_session = world.app.check("/", "x=y").await;
    without_session.expect_reason("no_token");

    application.now(HostApplication::knows);
    eventually(
        "the gate notices that the application is back",
        async || login(&world.app, "of-bob").await.status == 200,
    )
    .await;
    browser.get("/").await.expect(200, "session_kept");
}

/// Requests that no session in Label Studio can do for.
async fn unanswerable(world: &World) {
    let answers = join_all([
        world.app.check("/", "connect.sid=of-bob"),
        world
            .app
            .check("/", "connect.sid=of-bob; sessionid=anonymous0123456"),
        world
            .app
            .check("/", "connect.sid=of-dave; sessionid=made-up-0123456789"),
    ]);
    for answer in answers.await {
        answer.expect(503, "client_api_unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_trial_is_under_way_nobody_else_waits_for_the_host_application() {
    let world = World::with_application(&[
        ("JWT_SSO_SESSION_CACHE_TTL", "0"),
        ("JWT_SSO_SESSION_VERIFY_TIMEOUT", "60"),
        ("GATE_HTTP_DECISION_TIMEOUT_MS", "60000"),
    ])
    .await;
    let application = &world.application;
    let browser = world.browser().with_application_session("of-ann");
    browser.get("/").await.expect_status(200);
    world.database.run(ANONYMOUS_SESSION).await;
    application.now(|_| Reply::of(503, ""));
    for _ in 0..5 {
        login(&world.app, "of-bob").await.expect_status(503);
    }

    let hold = Hold::default();
    application.now(held_back(&hold));
    let before = application.asked();
    let trial = eventually("the trial is answered", async || {
        login(&world.app, "of-carol").await.status == 200
    });
    let others = async {
        eventually("a trial begins", async || application.asked() > before).await;
        for _ in 0..40 {
            unanswerable(&world).await;
            let answer = browser.get("/").await;
            answer.expect_reason("session_kept_unasked");
        }
        assert_eq!(application.asked(), before + 1, "one trial at a time");
        hold.release();
    };
    tokio::join!(trial, others);
    browser.get("/").await.expect(200, "session_kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_cannot_be_verified_now_is_not_passed_over() {
    let world = World::with_application(&[]).await;
    let (down, signer) = (Stub::start(|_| Reply::of(500, "")), Signer::new("new"));
    let url = down.url("/keys");
    let settings = [
        &published_at(&url)[..],
        &[("JWT_SSO_SESSION_CACHE_TTL", "0")],
    ]
    .concat();
    let app = world.gate_with_application(&world.application, &settings);
    let browser = Browser::of(&app).with_application_session("of-bob");
    let browser = browser.with_token(&signer.token("of-ann"));
    let answer = browser.get("/").await;
    answer
        .expect(503, "key_server_unavailable")
        .expect_no_session()
        .expect_header("X-Gate-Set-Cookie-2", None);

    // Nor is one behind a token that is refused.
    let expired = expired_token(&world.ann);
    let browser = Browser::of(&app).with_application_session("of-ann");
    browser.get("/").await.expect(200, "session_opened");
    world.application.now(|_| Reply::of(500, ""));
    let answer = browser.with_token(&expired).get("/").await;
    answer.expect(200, "session_kept_unasked");
    let browser = Browser::of(&app).with_application_session("of-ann");
    let answer = browser.with_token(&expired).get("/").await;
    answer.expect(503, "client_api_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_before_a_sign_out_is_not_kept() {
    let world = World::with_application(&[]).await;
    let hold = Hold::default();
    world.application.now(held_back(&hold));
    let question = tokio::spawn({
        let app = world.app.clone();
        async move { login(&app, "of-ann").await.status }
    });
    let application = &world.application;
    eventually("the application is asked", async || {
        application.asked() == 1
    })
    .await;
    let browser = world.browser().with_application_session("of-ann");
    let form = browser.visit("POST", "/sso/logout", "").await;
    form.expect_status(303);
    world.application.now(|_| Reply::of(401, ""));
    let answer = login(&world.app, "of-ann").await;
    answer.expect_reason("client_session_unknown");
    assert!(!question.is_finished(), "it was asked before the sign-out");
    hold.release();
    assert_eq!(question.await.unwrap(), 200);
    let answer = login(&world.app, "of-ann").await;
    answer.expect_reason("client_session_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_restarts_is_asked_again_at_once() {
    let world = World::with_application(&[("JWT_SSO_SESSION_CACHE_TTL", "0")]).await;
    let application = &world.application;
    application.now(|_| Reply::of(503, ""));
    let begun = Instant::now();
    for _ in 0..20 {
        login(&world.app, "of-ann").await.expect_status(503);
    }
    let asked = application.asked();
    let most = FAILURES + most_trials(begun.elapsed());
    assert!((FAILURES..=most).contains(&asked), "{asked}");
    application.now(HostApplication::knows);
    eventually("it is asked again", async || {
        login(&world.app, "of-bob").await.status == 200
    })
    .await;
}

/// So many failures in a row open the breaker.
const FAILURES: usize = 5;

/// The most trials in this time after the breaker has opened. The pause before the first is 250 ms, and
/// doubles up to two seconds.
fn most_trials(elapsed: Duration) -> usize {
    let pauses = [250, 500, 1000].into_iter().chain(std::iter::repeat(2000));
    let due = pauses.scan(Duration::ZERO, |sum, pause| {
        *sum += Duration::from_millis(pause);
        Some(*sum)
    });
    due.take_while(|due| *due <= elapsed).count()
}

/// What the application answers, once the test lets go of it.
fn held_back(hold: &Hold) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    let hold = hold.clone();
    move |head| {
        hold.wait();
        HostApplication::knows(head)
    }
}

/// The request that asked may be gone by then: its proxy has hung up.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waits_for_is_cached() {
    let world = World::with_application(&[]).await;
    let hold = Hold::default();
    world.application.now(held_back(&hold));
    tokio::select! {
        answer = world.app.check("/", "connect.sid=of-ann") => panic!("{answer:?}"),
        () = eventually("it is asked", async || world.application.asked() == 1) => {}
    }
    hold.release();
    let cached = "cache_entries{cache=\"application_sessions\"}";
    eventually("the answer is cached", async || {
        Samples::of(&world.app).await.value(cached) > 0.0
    })
    .await;
    let answer = login(&world.app, "of-ann").await;
    answer.expect_user(&world.ann);
    assert_eq!(world.application.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_session_cookies_with_one_name_are_told_apart() {
    for engine in ["db", "signed_cookies"] {
        let world = World::with_application(&[
            ("JWT_SSO_SESSION_COOKIE_NAME", "sessionid"),
            ("SESSION_COOKIE_PATH", "/label-studio"),
            ("SESSION_ENGINE", engine),
        ])
        .await;
        let answer = world.app.check("/", "a=b; sessionid=of-ann").await;
        let session = answer.expect_user(&world.ann).session().unwrap();
        // Label Studio sees its own cookie only.
        let seen = format!("a=b; sessionid={session}");
        answer.expect_header("X-Gate-Cookie", Some(&seen));
        let set_cookie = answer.header("X-Gate-Set-Cookie-1").unwrap();
        assert!(set_cookie.contains("Path=/label-studio"), "{set_cookie}");
        for cookies in [
            format!("sessionid={session}; a=b; sessionid=of-ann"),
            format!("sessionid=of-ann; a=b; sessionid={session}"),
        ] {
            let answer = world.app.check("/", &cookies).await;
            answer
                .expect(200, "session_kept")
                .expect_header("X-Gate-Cookie", Some(&seen));
        }
        // Signed out of the host application, but still in Label Studio.
        let signed_out = format!("sessionid=made-up; sessionid={session}; a=b");
        let answer = world.app.check("/", &signed_out).await;
        answer
            .expect_reason("client_session_unknown")
            .expect_header("X-Gate-Cookie", Some(&seen));
        let own = format!("sessionid={session}");
        let answer = world.app.check("/", &own).await;
        answer.expect_reason("no_token");
        // The host application never learns of Label Studio's sessions.
        let heads = world.application.heads();
        assert!(heads.iter().all(|head| !head.contains(session)), "{engine}");
    }
}

/// Label Studio's cookie comes first, because its path is longer.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_of_label_studio_does_not_hide_the_applications() {
    for engine in ["db", "signed_cookies"] {
        let world = World::with_application(&[]).await;
        migrate(&world.database).await;
        let settings = [
            ("JWT_SSO_SESSION_COOKIE_NAME", "sessionid"),
            ("SESSION_ENGINE", engine),
            ("SESSION_COOKIE_PATH", "/label-studio"),
            NO_CACHE,
        ];
        let gate = world.gate_with_application(&world.application, &settings);
        let answer = gate.check("/", "sessionid=of-ann").await;
        let ended = answer.expect_user(&world.ann).session().unwrap();
        let browser = Browser::of(&gate).with_cookie("sessionid", ended);
        let signed_out = browser.visit("POST", "/sso/logout", "").await;
        signed_out.expect_status(303);
        for cookies in [
            format!("sessionid={ended}; sessionid=of-ann"),
            format!("sessionid=of-ann; sessionid={ended}"),
        ] {
            let answer = gate.check("/", &cookies).await;
            answer.expect(200, "session_opened").expect_user(&world.ann);
        }
        if engine == "signed_cookies" {
            let heads = world.application.heads();
            assert!(heads.iter().all(|head| !head.contains(ended)), "{heads:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_cookies_do_not_lock_others_out() {
    const UNKNOWN: (u16, &str) = (200, "client_session_unknown");
    const FORBIDDEN: (u16, &str) = (200, "client_session_forbidden");
    const OUTAGE: (u16, &str) = (503, "client_api_unavailable");
    let world = World::new(&[]).await;
    for (reply, (status, reason)) in [
        (Reply::of(400, ""), UNKNOWN),
        (Reply::of(403, ""), FORBIDDEN),
        (Reply::of(404, "<html>"), UNKNOWN),
        (Reply::of(413, ""), UNKNOWN),
        (Reply::of(422, "{}"), UNKNOWN),
        (Reply::of(431, ""), UNKNOWN),
        (Reply::of(204, ""), OUTAGE),
        (Reply::of(302, ""), OUTAGE),
        (Reply::of(200, "<html>"), OUTAGE),
        (Reply::of(200, "x".repeat(10_000_000)), OUTAGE),
    ] {
        let what = format!("{} with {} bytes", reply.status, reply.body.len());
        let application =
            HostApplication::answering(move |head| match HostApplication::knows(head) {
                made_up if made_up.status == 401 => reply.clone(),
                known => known,
            });
        let app = world.gate_with_application(&application, &[]);
        for n in 0..12 {
            let answer = login(&app, &format!("made-up-{n}")).await;
            assert_eq!((answer.status, answer.reason()), (status, reason), "{what}");
        }
        login(&app, "of-ann").await.expect_user(&world.ann);
        assert_eq!(application.asked(), 13, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_says_it_cannot_answer_is_left_alone() {
    let world = World::new(&[]).await;
    for status in [408, 429, 500, 502, 503, 504] {
        let application = HostApplication::answering(move |_| Reply::of(status, ""));
        let app = world.gate_with_application(&application, &[]);
        let begun = Instant::now();
        for n in 0..8 {
            let answer = login(&app, &format!("n{n}")).await;
            answer.expect_reason("client_api_unavailable");
        }
        let asked = application.asked();
        let most = FAILURES + most_trials(begun.elapsed());
        assert!((FAILURES..=most).contains(&asked), "{status}: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_longer_than_4_kb_is_not_sent() {
    let world = World::with_application(&[]).await;
    let answer = login(&world.app, &"x".repeat(4097)).await;
    answer.expect(200, "client_session_unknown");
    assert_eq!(world.application.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_counts_where_its_field_is_configured() {
    let world = World::new(&[]).await;
    world.update(&world.ann, "username = 'ann'").await;
    world
        .update(&world.superuser, "username = 'admin', is_staff = false")
        .await;
    let application = HostApplication::answering(|head| {
        let ann = head.contains("of-ann");
        Reply::json(&json!({"username": if ann { "ann" } else { "admin" }}))
    });
    let field = "JWT_SSO_SESSION_USERNAME_FIELD";
    for (setting, session, status, reason) in [
        ("username", "of-ann", 200, "session_opened"),
        ("username", "of-admin", 403, "user_privileged"),
        ("login", "of-ann", 200, "token_claim_missing"),
        ("login", "of-admin", 200, "token_claim_missing"),
    ] {
        let app = world.gate_with_application(&application, &[(field, setting)]);
        let answer = login(&app, session).await;
        answer.expect(status, reason);
        assert_eq!(answer.session().is_some(), reason == "session_opened");
    }
}

/// A gate with another secret than the application's, whose API answers `wrong_secret` to it.
fn application_with_another_secret(wrong_secret: Reply) -> HostApplication {
    HostApplication::answering(move |head| {
        let is_right = head.contains("x-verify-token: the-applications-own-secret");
        match is_right {
            true => HostApplication::knows(head),
            false => wrong_secret.clone(),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_verify_secret_is_in_the_log() {
    let world = World::new(&[]).await;
    let alike = "answers a wrong secret as it answers client_session.verify_secret";
    for (status, reason, said) in [
        (403, "client_session_forbidden", alike),
        (401, "client_session_unknown", alike),
        (
            404,
            "client_session_unknown",
            "there is probably nothing at the path",
        ),
    ] {
        let application =
            application_with_another_secret(Reply::of(status, r#"{"error": "Unauthorized"}"#));
        let gate = Logged::of(&world, &application.settings().and(&[]));
        for session in ["of-ann", "of-bob"] {
            login(&gate.app, session).await.expect(200, reason);
        }
        wait_until(|| gate.text().contains(said), || gate.text());
        assert!(!gate.text().contains("verify-secret-of-the-tests"));
        // Twice with its own secret, once with a wrong one, and not for each session.
        let trials = application.trials();
        let wrong = "x-verify-token: label-studio-gate-tries-a-wrong-secret";
        let with_a_wrong_one = trials.iter().filter(|head| head.contains(wrong));
        assert_eq!((trials.len(), with_a_wrong_one.count()), (3, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_verify_secret_is_not_doubted() {
    let world = World::new(&[]).await;
    let application = HostApplication::start();
    let gate = Logged::of(&world, &application.settings().and(&[]));
    for session in ["made-up", "of-ann", "made-up-too"] {
        login(&gate.app, session).await.expect_status(200);
    }
    let tried = || application.trials().len() == 3;
    wait_until(tried, || gate.text());
    // What follows the trial in the log shows that the trial said nothing.
    login(&gate.app, "of-bob").await.expect_user(&world.bob);
    let both = || gate.text().matches("session_opened").count() == 2;
    wait_until(both, || gate.text());
    assert!(!gate.text().contains("verify_secret"), "{}", gate.text());
}
