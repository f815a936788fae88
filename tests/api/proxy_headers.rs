//! Headers in which a proxy in front names the user without a signature.

use futures_util::future::join_all;

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::world::{NO_CACHE, REQUIRE, SIGNED_COOKIES, World};

const SECRET: &str = "a-secret-that-only-the-proxy-in-front-knows";
const SETTINGS: [(&str, &str); 3] = [
    ("GATE_PROXY_HEADERS_SECRET", SECRET),
    ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
    ("GATE_PROXY_HEADERS_USERNAME", "Remote-User"),
];
const GROUPS: [(&str, &str); 2] = [
    ("GATE_PROXY_HEADERS_GROUPS", "X-authentik-groups"),
    ("GATE_PROXY_HEADERS_ALLOWED_GROUPS", "annotators"),
];
const BARS: (&str, &str) = ("GATE_PROXY_HEADERS_GROUPS_SEPARATOR", "bar");
const ANN: (&str, &str) = ("X-Gate-Identity-Email", "ann@example.com");
const KNOWN: (&str, &str) = ("Gate-Proxy-Secret", SECRET);

fn gate(world: &World, more: &[(&str, &str)]) -> TestApp {
    world.gate(&[&SETTINGS, more].concat())
}

async fn get(mut browser: Browser<'_>, headers: &[(&'static str, &'static str)]) -> Answer {
    for (name, value) in headers {
        browser = browser.with_header(name, value);
    }
    browser.get("/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_sign_in_with_the_secret_alone() {
    let world = World::new(&[]).await;
    for engine in [&[][..], &[SIGNED_COOKIES]] {
        let app = gate(&world, engine);
        let before = world.sessions().await;
        // A page's first requests.
        let parallel = (0..10).map(async |_| get(Browser::of(&app), &[ANN, KNOWN]).await);
        let answers = join_all(parallel).await;
        if engine.is_empty() {
            assert_eq!(world.sessions().await, before + 1, "they met");
        }
        for answer in &answers {
            answer
                .expect(200, "session_opened")
                .expect_user(&world.ann)
                .expect_header("X-Gate-Method", Some("proxy"));
        }
        let session = answers[0].session().unwrap().to_owned();
        let browser = || Browser::of(&app).with_cookie("sessionid", &session);
        get(browser(), &[ANN, KNOWN])
            .await
            .expect(200, "session_kept");
        // Whoever has the session has it without the header, too.
        get(browser(), &[ANN]).await.expect(200, "session_kept");
        let bob = ("X-Gate-Identity-Email", "bob@example.com");
        get(browser(), &[bob])
            .await
            .expect(200, "proxy_secret_wrong")
            .expect_no_user();
        let switched = get(browser(), &[bob, KNOWN]).await;
        switched
            .expect(200, "user_switched")
            .expect_user(&world.bob);
    }

    let app = gate(&world, &[]);
    for secret in ["", "x", "A-secret-that-only-the-proxy-in-front-knows"] {
        let answer = get(Browser::of(&app), &[ANN, ("Gate-Proxy-Secret", secret)]).await;
        answer
            .expect(200, "proxy_secret_wrong")
            .expect_no_session()
            .expect_no_user();
    }
    let nobody = get(Browser::of(&app), &[KNOWN]).await;
    nobody.expect(200, "no_token");
    // By username, as this user's row has it.
    let name = ("X-Gate-Identity-Username", "ann@example.com");
    let row = format!("username = '{}'", name.1);
    world.update(&world.ann, &row).await;
    get(Browser::of(&app), &[name, KNOWN])
        .await
        .expect(200, "session_opened")
        .expect_user(&world.ann);
    let stranger = ("X-Gate-Identity-Email", "stranger@example.com");
    get(Browser::of(&app), &[stranger, KNOWN])
        .await
        .expect(403, "user_unknown");
    let users = world.users().await;
    let creating = gate(&world, &[("GATE_PROXY_HEADERS_CREATE_USERS", "true")]);
    get(Browser::of(&creating), &[stranger, KNOWN])
        .await
        .expect(200, "session_opened");
    assert_ne!(world.users().await, users);
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_headers_are_refused_and_only_the_named_ones_are_read() {
    let world = World::new(&[]).await;
    let app = gate(&world, &[("GATE_HTTP_PROXIES", "nginx,caddy")]);
    let bob = ("X-Gate-Identity-Email", "bob@example.com");
    for unclear in [
        &[ANN, bob, KNOWN][..],
        &[ANN, ANN, KNOWN],
        &[ANN, KNOWN, KNOWN],
        // As nginx joins two.
        &[
            ("X-Gate-Identity-Email", "ann@example.com, bob@example.com"),
            KNOWN,
        ],
        &[ANN, ("X-Gate-Identity-Username", "ann, bob"), KNOWN],
    ] {
        get(Browser::of(&app), unclear)
            .await
            .expect(403, "identity_ambiguous")
            .expect_no_session();
    }
    for (name, reason) in [
        ("Remote-Email", "session_opened"),
        ("remote-email", "session_opened"),
        ("Remote_Email", "no_token"),
        ("X-Gate-Identity-Email", "no_token"),
    ] {
        let headers = [
            ("X-Forwarded-Uri", "/"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Host", "ls.example.com"),
            (name, "ann@example.com"),
            KNOWN,
        ];
        let answer = app.send("GET", "/auth/caddy", &headers, "").await;
        answer.expect(200, reason);
        let other = [
            ("X-Original-URI", "/"),
            ("Remote-Email", "ann@example.com"),
            KNOWN,
        ];
        app.check_with(&other).await.expect(200, "no_token");
    }
    // A page of another site doesn't act with them.
    let browser = Browser::of(&app)
        .with_header("Sec-Fetch-Site", "cross-site")
        .with_header("Origin", "https://evil.test")
        .with_header(ANN.0, ANN.1)
        .with_header(KNOWN.0, KNOWN.1);
    browser
        .send("POST", "/api/projects")
        .await
        .expect(403, "cross_site_request");
    // Label Studio's own API credentials have precedence.
    let authorization = world.bob.authorization();
    let browser = Browser::of(&app).with_header("Authorization", &authorization);
    get(browser, &[ANN, KNOWN])
        .await
        .expect(200, "api_credential");
    // Without the settings, nobody reads them.
    let off = world.gate(&[]);
    get(Browser::of(&off), &[ANN, KNOWN])
        .await
        .expect(200, "no_token");
}

/// An administrator whom the proxy names keeps the way through Label Studio's own form.
#[tokio::test(flavor = "multi_thread")]
async fn staff_and_superusers_are_never_signed_in() {
    let world = World::new(&[]).await;
    for (user, email) in [
        (&world.staff, "staff@example.com"),
        (&world.superuser, "superuser@example.com"),
    ] {
        world.update(user, &format!("email = '{email}'")).await;
        let named = ("X-Gate-Identity-Email", email);
        for policy in [&[NO_CACHE][..], &[NO_CACHE, REQUIRE]] {
            let app = gate(&world, policy);
            let anonymous = get(Browser::of(&app), &[named, KNOWN]).await;
            let status = if policy.contains(&REQUIRE) { 401 } else { 200 };
            anonymous
                .expect(status, "proxy_not_for_staff")
                .expect_no_session();
            // Nor does a token of somebody else sign them in, such as one in a link.
            let lent = Browser::of(&app).with_token(&world.bob.token());
            get(lent, &[named, KNOWN])
                .await
                .expect(status, "proxy_not_for_staff")
                .expect_no_session()
                .expect_token_deleted();
            // They have signed in with their password.
            let own = Browser::of(&app).with_token(&user.token());
            own.get("/").await.expect(200, "session_opened");
            let session = own.session().unwrap();
            let browser = || Browser::of(&app).with_cookie("sessionid", &session);
            get(browser(), &[named, KNOWN])
                .await
                .expect(200, "proxy_not_for_staff")
                .expect_no_session();
            // Nobody else can use their session, and they can't use anybody else's.
            let answer = get(browser(), &[ANN, KNOWN]).await;
            answer.expect(200, "user_switched").expect_user(&world.ann);
            let anns = answer.session().unwrap().to_owned();
            let browser = Browser::of(&app).with_cookie("sessionid", &anns);
            get(browser, &[named, KNOWN])
                .await
                .expect(403, "user_privileged");
        }
    }
    // Nor by the groups that they have.
    world.update(&world.ann, "is_staff = true").await;
    let app = gate(&world, &[NO_CACHE]);
    get(Browser::of(&app), &[ANN, KNOWN])
        .await
        .expect(200, "proxy_not_for_staff")
        .expect_no_session();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_in_a_header_let_in_and_keep_out() {
    let world = World::new(&[]).await;
    let commas = gate(&world, &GROUPS);
    let bars = gate(&world, &[&GROUPS[..], &[BARS]].concat());
    for (app, groups, reason) in [
        (&commas, "leads, annotators", "session_opened"),
        (&commas, "leads|annotators", "group_not_allowed"),
        (&bars, "leads|annotators", "session_opened"),
        (&bars, "leads,annotators", "group_not_allowed"),
        (&commas, "Annotators", "group_not_allowed"),
        (&commas, "", "groups_missing"),
    ] {
        let groups = ("X-Gate-Identity-Groups", groups);
        let answer = get(Browser::of(app), &[ANN, groups, KNOWN]).await;
        assert_eq!(answer.reason(), reason, "{groups:?}");
    }
    // They take effect when they change.
    let inside = ("X-Gate-Identity-Groups", "annotators,leads");
    let opened = get(Browser::of(&commas), &[ANN, inside, KNOWN]).await;
    let session = opened.session().unwrap().to_owned();
    for (groups, status, reason) in [
        ("leads,annotators", 200, "session_kept"),
        ("leads", 403, "group_not_allowed"),
    ] {
        let browser = Browser::of(&commas).with_cookie("sessionid", &session);
        let groups = ("X-Gate-Identity-Groups", groups);
        get(browser, &[ANN, groups, KNOWN])
            .await
            .expect(status, reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_the_session_that_headers_opened() {
    let world = World::with_own_tables(&[]).await;
    let app = gate(&world, &[REQUIRE, NO_CACHE]);
    let opened = get(Browser::of(&app), &[ANN, KNOWN]).await;
    let session = opened.session().unwrap().to_owned();
    world.superuser.revoke(&world.ann).await.expect_status(200);
    let browser = Browser::of(&app).with_cookie("sessionid", &session);
    // Within the tolerated difference of clocks, the proxy's word may be from before.
    get(browser, &[ANN, KNOWN])
        .await
        .expect(401, "token_revoked");
    let earlier =
        "UPDATE label_studio_gate.revocation SET revoked_at = revoked_at - interval '5 minutes'";
    world.database.run(earlier).await;
    let browser = Browser::of(&app).with_cookie("sessionid", &session);
    let again = get(browser, &[ANN, KNOWN]).await;
    again.expect(200, "session_opened");
    assert_ne!(again.session(), Some(session.as_str()));
}
