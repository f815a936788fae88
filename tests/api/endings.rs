//! A session that has ended (sign-out, revocation, Label Studio's own "Log out") never revives.

use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::actors::Browser;
use crate::audit::{TABLE, wait_for_event};
use crate::support::token::{SECRET_KEY, claims, now, sign, with};
use crate::together::faults::{hang_up, send};
use crate::world::{NO_CACHE, REQUIRE, SIGNED_COOKIES, World, eventually};

/// Both session engines, with every row read again.
const UNCACHED_ENGINES: [&[(&str, &str)]; 2] =
    [&[REQUIRE, NO_CACHE], &[REQUIRE, NO_CACHE, SIGNED_COOKIES]];

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_was_signed_out_is_never_valid_again() {
    for engine in UNCACHED_ENGINES {
        let world = World::with_own_tables(engine).await;
        let token = world.ann.token();
        let browser = world.browser().with_token(&token);
        browser.get("/").await.expect(200, "session_opened");
        let stolen = browser.stolen_session();
        stolen.get("/").await.expect(200, "session_valid");

        let form = browser.visit("POST", "/sso/logout", "").await;
        form.expect_status(303);
        stolen.get("/").await.expect(401, "sign_in_required");
        // The token is still good, but it opens another session.
        let other = world.browser().with_token(&token);
        other.get("/").await.expect(200, "session_opened");
        assert_ne!(other.session(), stolen.session());
        other.get("/").await.expect(200, "session_valid");
        stolen.get("/").await.expect(401, "sign_in_required");
        let both = stolen.before(&world.app).with_token(&token);
        both.get("/").await.expect(200, "session_opened");
        assert_ne!(both.session(), stolen.session());
    }
}

/// Label Studio has the row deleted a moment later, which a gate's cache doesn't see.
#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_sign_out_ends_a_session_in_the_cache() {
    let world = World::new(&[REQUIRE, ("GATE_DATABASE_CACHE_SECONDS", "300")]).await;
    for uri in ["/logout", "/logout/"] {
        let browser = world.signed_in(&world.ann).await;
        let stolen = browser.stolen_session();
        stolen.get("/").await.expect(200, "session_valid");
        browser.get(uri).await.expect(200, "session_valid");
        stolen.get("/").await.expect(401, "sign_in_required");
        assert_eq!(world.sessions().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_sign_out_ends_a_signed_cookie() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let elsewhere = world.gate(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]);
    for uri in ["/logout", "/logout/"] {
        let browser = world.signed_in(&world.ann).await;
        // Label Studio signs the cookie again in every response, so copies differ as strings.
        let stolen = browser.stolen_session();
        browser.get(uri).await.expect(200, "session_valid");
        stolen.get("/").await.expect(401, "sign_in_required");
        stolen
            .before(&elsewhere)
            .get("/")
            .await
            .expect(401, "sign_in_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_end_a_session_through_label_studios_sign_out() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let browser = world.signed_in(&world.ann).await;
    let forged = browser
        .before(&world.app)
        .with_header("Sec-Fetch-Site", "cross-site");
    forged
        .send("POST", "/logout/")
        .await
        .expect(403, "cross_site_request");
    browser.get("/").await.expect(200, "session_valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_before_a_revocation_open_nothing() {
    for engine in [&[REQUIRE][..], &[REQUIRE, SIGNED_COOKIES]] {
        let world = World::with_own_tables(engine).await;
        let password = "password = 'pbkdf2_sha256$1$a$b'";
        world.update(&world.ann, password).await;
        let elsewhere = world.gate(engine);
        let token = world.ann.token();
        let outstanding = world.ann.token();
        let browser = world.browser().with_token(&token);
        browser.get("/").await.expect(200, "session_opened");

        let answer = world.superuser.revoke(&world.ann).await;
        assert_eq!(
            (answer.status, &answer.json()["tokens_revoked"]),
            (200, &json!(true)),
            "{}",
            answer.body
        );
        browser.get("/").await.expect(401, "sign_in_required");
        for app in [&world.app, &elsewhere] {
            for old in [&token, &outstanding] {
                let browser = Browser::of(app).with_token(old);
                browser.get("/").await.expect(401, "token_revoked");
            }
        }
        // Other users keep their access. A token that a gate issues now is good, and opens a session
        // that is.
        world.signed_in(&world.bob).await;
        let issued = world.superuser.issue(&world.ann).await.json();
        let fresh = issued["token"].as_str().unwrap();
        for app in [&elsewhere, &world.app] {
            let browser = Browser::of(app).with_token(fresh);
            browser.get("/").await.expect(200, "session_opened");
            browser.get("/").await.expect(200, "session_valid");
        }
        // Tokens of others count once clocks that differ can't have dated them.
        let issued_at = |iat: Value| {
            let claims = with(claims(world.ann.id), &json!({"iat": iat}));
            sign(Algorithm::HS256, SECRET_KEY, &claims)
        };
        for doubtful in [json!(null), json!(now() + 1)] {
            let browser = world.browser().with_token(&issued_at(doubtful));
            browser.get("/").await.expect(401, "token_revoked");
        }
        let minute =
            "UPDATE label_studio_gate.revocation SET revoked_at = revoked_at - interval '1 minute'";
        world.database.run(minute).await;
        // The others remember the user's row for some seconds.
        let stranger = world.gate(engine);
        let later = Browser::of(&stranger).with_token(&issued_at(json!(now() + 1)));
        later.get("/").await.expect(200, "session_opened");
        later.get("/").await.expect(200, "session_valid");
    }
}

/// A session that was opened by a gate whose clock is ahead, and one that ends by it.
#[tokio::test(flavor = "multi_thread")]
async fn gates_whose_clocks_differ_agree_which_sessions_have_ended() {
    for engine in UNCACHED_ENGINES {
        let world = World::with_own_tables(engine).await;
        let password = "password = 'pbkdf2_sha256$1$a$b'";
        world.update(&world.ann, password).await;
        // Within the tolerance for `iat`, so that each accepts the tokens of the other.
        let fast = world.gate_ahead(Duration::from_secs(50), engine);
        let gates = [&world.app, &fast];
        for (one, other) in [(gates[0], gates[1]), (gates[1], gates[0])] {
            let issued = world.superuser.issue(&world.ann).await.json();
            let token = issued["token"].as_str().unwrap();
            let browser = Browser::of(one).with_token(token);
            browser.get("/").await.expect(200, "session_opened");
            let stolen = browser.stolen_session();
            stolen.get("/").await.expect(200, "session_valid");
            // As long as nothing ends it, every gate accepts it.
            stolen
                .before(other)
                .get("/")
                .await
                .expect(200, "session_valid");

            let admin = world.superuser.caller().before(other);
            assert_eq!(admin.revoke(&world.ann.email).await.status, 200);
            for gate in gates {
                stolen
                    .before(gate)
                    .get("/")
                    .await
                    .expect(401, "sign_in_required");
                let replayed = Browser::of(gate).with_token(token);
                replayed.get("/").await.expect(401, "token_revoked");
            }
            // A sign-out by either clock ends the session too, and the next one is good.
            let token = admin.issue(&world.ann.email).await.json();
            let token = token["token"].as_str().unwrap();
            let ended = Browser::of(one).with_token(token);
            ended.get("/").await.expect(200, "session_opened");
            let stolen = ended.stolen_session();
            let form = ended.before(other).visit("POST", "/sso/logout", "").await;
            form.expect_status(303);
            let next = Browser::of(&world.app).with_token(token);
            next.get("/").await.expect(200, "session_opened");
            for gate in gates {
                stolen
                    .before(gate)
                    .get("/")
                    .await
                    .expect(401, "sign_in_required");
                let next = next.stolen_session();
                next.before(gate)
                    .get("/")
                    .await
                    .expect(200, "session_valid");
            }
        }
    }
}

/// With many sessions, a revocation may take longer than its caller waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_caller_has_gone_ends_every_session_and_is_recorded() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, TABLE]).await;
    world.signed_in(&world.ann).await;
    let lock = "BEGIN; LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE";
    world.database.run(lock).await;
    let authorization = world.superuser.authorization();
    let body = json!({"email": world.ann.email}).to_string();
    let request = format!(
        "POST /api/sso/revoke HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let caller = send(&world.app, &request);
    tokio::time::sleep(Duration::from_secs(1)).await;
    hang_up(caller);
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.database.run("COMMIT").await;
    wait_for_event(&world.database, "sessions ended").await;
    assert_eq!(world.sessions().await, 0);
}

/// Logins that run in parallel with a revocation either end with it or are refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_amid_logins_leaves_no_session() {
    let world = World::with_own_tables(&[REQUIRE]).await;
    let tokens: Vec<String> = (0..40).map(|_| world.ann.token()).collect();
    let logins = join_all(tokens.iter().map(async |token| {
        let browser = world.browser().with_token(token);
        browser.get("/").await;
        browser
    }));
    let (browsers, answer) = tokio::join!(logins, world.superuser.revoke(&world.ann));
    assert_eq!(answer.status, 200, "{}", answer.body);
    for browser in browsers {
        browser.get("/").await.expect(401, "sign_in_required");
    }
}

async fn login_waits(world: &World) {
    eventually("a login waits for its user's row", async || {
        world.stuck() > 0
    })
    .await;
}

async fn revocation_is_recorded(world: &World) {
    let query = "SELECT EXISTS (SELECT FROM label_studio_gate.revocation)";
    eventually("the revocation is recorded", async || {
        world.database.text(query).await == "t"
    })
    .await;
}

/// A login that was under way before the revocation does not know of it. Where sign-in is optional,
/// Label Studio alone judges its session.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_for_the_logins_that_are_under_way() {
    let world = World::with_own_tables(&[]).await;
    world.lock(world.ann.id).await;
    let browser = world.browser().with_token(&world.ann.token());
    let revocation = async {
        login_waits(&world).await;
        world.superuser.revoke(&world.ann).await
    };
    let unlock = async {
        revocation_is_recorded(&world).await;
        world.unlock().await;
    };
    let (login, revocation, ()) = tokio::join!(browser.get("/"), revocation, unlock);
    login.expect(200, "session_opened");
    revocation.expect_status(200);
    assert_eq!(world.sessions().await, 0);
}

/// With many rows, a revocation takes a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_under_way_does_not_end_sessions_that_begin_after_it() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE]).await;
    let former = world.signed_in(&world.ann).await.stolen_session();
    world.lock(world.bob.id).await;
    // The revocation waits for logins that are under way, such as this one.
    let bob = world.browser().with_token(&world.bob.token());
    let revocation = async {
        login_waits(&world).await;
        world.superuser.revoke(&world.ann).await
    };
    let login_after_it = async {
        revocation_is_recorded(&world).await;
        let issued = world.superuser.issue(&world.ann).await.json();
        let again = world.browser();
        let again = again.with_token(issued["token"].as_str().unwrap());
        again.get("/").await.expect(200, "session_opened");
        world.unlock().await;
        again
    };
    let (login, revocation, again) = tokio::join!(bob.get("/"), revocation, login_after_it);
    login.expect_status(200);
    assert_eq!(revocation.json()["sessions"], json!(1));
    again.get("/").await.expect(200, "session_valid");
    former.get("/").await.expect(401, "sign_in_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_another_users_signed_cookie_in_that_browser() {
    let world = World::with_own_tables(&[REQUIRE, NO_CACHE, SIGNED_COOKIES]).await;
    let browser = world.signed_in(&world.ann).await;
    let stolen = browser.stolen_session();
    let browser = browser.with_token(&world.bob.token());
    browser.get("/").await.expect(200, "user_switched");
    browser.get("/").await.expect(200, "session_valid");
    stolen.get("/").await.expect(401, "sign_in_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gates_own_tables_a_revocation_says_that_tokens_stay_good() {
    let world = World::new(&[]).await;
    let token = world.ann.token();
    let browser = world.browser().with_token(&token);
    browser.get("/").await.expect(200, "session_opened");
    let answer = world.superuser.revoke(&world.ann).await.json();
    assert_eq!(
        (&answer["sessions"], &answer["tokens_revoked"]),
        (&json!(1), &json!(false))
    );
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("label-studio-gate migrate"), "{detail}");
    let again = world.browser().with_token(&token);
    again.get("/").await.expect(200, "session_opened");
    assert_ne!(again.session(), browser.session());
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_cannot_act_for_a_superuser() {
    let world = World::new(&[]).await;
    let allowing = world.gate(&[("GATE_TOKEN_ISSUE_STAFF_FOR_SUPERUSERS", "true")]);
    let (staff, superuser) = (&world.staff, &world.superuser);
    for (app, by, status) in [
        (&world.app, staff, 403),
        (&world.app, superuser, 200),
        (&allowing, staff, 200),
    ] {
        let caller = by.caller();
        let caller = caller.before(app);
        let answer = caller.issue(&superuser.email).await;
        answer.expect_status(status);
        let answer = caller.revoke(&superuser.email).await;
        answer.expect_status(status);
    }
    let answer = staff.issue(superuser).await;
    assert_eq!(answer.body, r#"{"error":"Admin privileges required"}"#);
    staff.issue(&world.ann).await.expect_status(200);
}
