//! What the log and the audit table say about sign-ins at a provider and its logouts, and what they
//! must never say.

use serde_json::{Value, json};

use super::{Flow, Provider, sign_in};
use crate::actors::{Browser, HostApplication};
use crate::app::Answer;
use crate::audit::{TABLE, wait_for_rows};
use crate::log_lines::{Logged, audit};
use crate::metrics::Samples;
use crate::support::stub::Reply;
use crate::support::token::{SECRET_KEY, now, with};
use crate::support::wait_until;
use crate::world::World;

const LOGOUT: (&str, &str) = ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", "true");
const PEER: &str = "192.0.2.7";

/// Sends a logout token with these claims beside the usual ones. Returns it, too.
async fn log_out(
    gate: &Logged,
    provider: &Provider,
    id: &str,
    changes: &Value,
) -> (Answer, String) {
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = json!({
        "iss": provider.issuer(), "aud": "label studio", "iat": now(), "exp": now() + 120, "jti": id, "events": event,
    });
    let token = provider
        .signer
        .sign_as("logout+jwt", &with(claims, changes));
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Request-Id", id),
        ("X-Real-IP", PEER),
    ];
    let form = format!("logout_token={token}");
    let path = "/sso/backchannel-logout";
    (gate.app.send("POST", path, &headers, &form).await, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_logout_says_whom_it_signed_out() {
    let world = World::with_own_tables(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let settings = [&provider.settings(&issuer)[..], &[TABLE, LOGOUT]].concat();
    let gate = Logged::of(&world, &settings);
    let browser = Browser::of(&gate.app);
    // The provider's account was Bob's before it was Ann's.
    for (sid, email) in [("1", "bob"), ("2", "ann"), ("3", "ann")] {
        let browser = browser.before(&gate.app);
        let claims = json!({"sid": sid, "email": format!("{email}@example.com")});
        sign_in(&browser, &provider, &claims)
            .await
            .expect_status(303);
    }
    let (ann, bob) = (world.ann.id, world.bob.id);
    let ended = |fields: Value| {
        let fields = with(fields, &json!({"provider": issuer}));
        audit("INFO", "signed out by provider", &fields)
    };
    let refused = |fields: &Value| audit("WARN", "provider logout refused", fields);
    let subject = json!({"sub": "ann-at-op"});
    for (id, changes, status, lines) in [
        (
            "session-",
            json!({"sid": "3"}),
            200,
            vec![ended(json!({"user_id": ann, "sessions": 1}))],
        ),
        (
            "again-00",
            with(json!({"sid": "3"}), &subject),
            200,
            vec![ended(json!({"identity": "ann-at-op", "sessions": 0}))],
        ),
        (
            "unnamed-",
            json!({"sid": "3"}),
            200,
            vec![ended(json!({"sessions": 0}))],
        ),
        (
            "subject-",
            subject.clone(),
            200,
            vec![
                ended(json!({"user_id": ann, "sessions": 1})),
                ended(json!({"user_id": bob, "sessions": 1})),
            ],
        ),
        (
            "audience",
            with(subject.clone(), &json!({"aud": "another"})),
            400,
            vec![refused(
                &json!({"provider": issuer, "reason": "token_audience_refused"}),
            )],
        ),
        (
            "id-token",
            with(subject.clone(), &json!({"nonce": "n"})),
            400,
            vec![refused(
                &json!({"provider": issuer, "reason": "token_type_refused"}),
            )],
        ),
        (
            "stranger",
            with(subject.clone(), &json!({"iss": "https://stranger.test"})),
            400,
            vec![refused(&json!({"reason": "token_issuer_refused"}))],
        ),
    ] {
        let (answer, _) = log_out(&gate, &provider, id, &changes).await;
        answer.expect_status(status);
        let mut lines = lines;
        lines.sort_by_key(|line| line["user_id"].as_i64());
        gate.expect(id, &lines);
    }
    // Three logins, and what is above.
    let rows = wait_for_rows(&world.database, 11).await;
    let row = |id: &str| {
        let of_request = rows.iter().find(|row| row["request_id"] == id).unwrap();
        let fields = ["event", "user_id", "identity", "provider", "reason", "peer"];
        fields.map(|field| of_request[field].clone())
    };
    let name = "signed out by provider";
    let expected = json!([name, ann, null, issuer, null, PEER]);
    assert_eq!(json!(row("session-")), expected);
    let expected = json!([name, null, "ann-at-op", issuer, null, PEER]);
    assert_eq!(json!(row("again-00")), expected);
    let name = "provider logout refused";
    let expected = json!([name, null, null, issuer, "token_audience_refused", PEER]);
    assert_eq!(json!(row("audience")), expected);
}

/// Whom it signed out is known from what was deleted: nothing is read before that, whose failure would leave
/// the sessions alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_providers_logout_reads_no_session_before_it_ends_them() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let settings = [&provider.settings(&issuer)[..], &[LOGOUT]].concat();
    let gate = Logged::of(&world, &settings);
    for (sid, email) in [("1", "bob"), ("2", "ann"), ("3", "ann")] {
        let browser = Browser::of(&gate.app);
        let claims = json!({"sid": sid, "email": format!("{email}@example.com")});
        sign_in(&browser, &provider, &claims)
            .await
            .expect_status(303);
    }
    let expired = "UPDATE django_session SET expire_date = now() - interval '1 day' WHERE session_key = \
                     (SELECT min(session_key) FROM django_session)";
    world.database.run(expired).await;
    let before = Samples::of(&gate.app).await;
    let (answer, _) = log_out(&gate, &provider, "subject-", &json!({"sub": "ann-at-op"})).await;
    answer.expect_status(200);
    let after = Samples::of(&gate.app).await;
    let sent = |statement: &str| {
        let sample = format!("statement_duration_seconds_count{{statement=\"{statement}\"}}");
        let [before, after] = [&before, &after].map(|samples| samples.find(&sample).unwrap_or(0.0));
        after - before
    };
    assert_eq!(sent("load_session"), 0.0);
    assert_eq!(sent("end_sessions"), 1.0);
    assert_eq!(world.sessions().await, 0);
    let ended = |user_id: i32, sessions: usize| {
        let fields = json!({"user_id": user_id, "sessions": sessions, "provider": issuer});
        audit("INFO", "signed out by provider", &fields)
    };
    gate.expect(
        "subject-",
        &[ended(world.ann.id, 2), ended(world.bob.id, 1)],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_verified_now_is_told_when_to_try_again() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    provider.stub.now(|_| Reply::of(500, ""));
    let issuer = provider.issuer();
    let settings = [&provider.settings(&issuer)[..], &[LOGOUT]].concat();
    let gate = Logged::of(&world, &settings);
    let (answer, _) = log_out(&gate, &provider, "outage-0", &json!({"sub": "ann"})).await;
    answer.expect_status(503);
    let seconds = answer.header("Retry-After").expect("when to try again");
    assert!((1..=3).contains(&seconds.parse::<u64>().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_provider_are_timed() {
    let world = World::new(&[]).await;
    let provider = Provider::with_metadata(&json!({"require_pushed_authorization_requests": true}));
    provider.says(Reply::json(&json!({"sub": "ann-at-op"})));
    let nickname = ("GATE_SIGN_IN_LAST_NAME_CLAIM", "nickname");
    let app = provider.gate(&world, &[nickname]);
    // What the address would have said is in the form.
    let push = async |browser: &Browser<'_>| {
        Flow::start(browser, "next=/").await;
        let pushed = provider.asked("/push").pop().unwrap();
        let (_, form) = pushed.split_once("\r\n\r\n").unwrap();
        Flow {
            location: format!("https://pushed.test/?{form}").parse().unwrap(),
        }
    };
    let refused = |status, error: &str| {
        let error = Reply::json(&json!({"error": error}));
        Some(Reply { status, ..error })
    };
    for (answer, status) in [
        (None, 303),
        (refused(400, "invalid_grant"), 401),
        // The client's secret has expired, which nobody who signs in can mend.
        (refused(401, "invalid_client"), 503),
        (refused(400, "unauthorized_client"), 503),
        (Some(Reply::hang_up()), 503),
        (Some(Reply::of(200, "<html>")), 503),
    ] {
        let browser = Browser::of(&app);
        let flow = push(&browser).await;
        let id_token = provider.signer.sign(&provider.claims(&flow.nonce()));
        provider.answers(answer.unwrap_or_else(|| Reply::json(&super::tokens(&id_token))));
        let callback = flow.callback(&provider, &json!({}));
        let answer = browser.visit("GET", &callback, "").await;
        answer.expect_status(status);
    }
    let timed = |request: &str, outcome: &str| {
        format!(
            "provider_request_duration_seconds_count{{provider=\"sign_in\",request=\"{request}\",outcome=\"{outcome}\"}}"
        )
    };
    let samples = Samples::of(&app).await;
    for (request, outcome, count) in [
        ("discovery", "ok", 1.0),
        ("pushed_authorization", "ok", 6.0),
        ("token", "ok", 1.0),
        ("token", "refused", 1.0),
        ("token", "failed", 4.0),
        ("userinfo", "ok", 1.0),
    ] {
        samples.expect(&[(&timed(request, outcome), count)]);
    }
}

/// The parts of a secret count as well: a signature alone, or a payload.
#[track_caller]
fn assert_absent(log: &str, secrets: &[String]) {
    for secret in secrets {
        let parts = secret
            .split(['.', ':', '%', '"'])
            .filter(|part| !part.starts_with("eyJ0eXAi"));
        for part in parts.filter(|part| part.len() >= 9) {
            assert!(!log.contains(part), "{part} of {secret} is in the log");
        }
    }
}

const APPLICATION_SESSION: &str = "of-nobody-0123456789abcdef";
const PROXY_SECRET: &str = "a-secret-that-only-the-proxy-in-front-knows";

/// Signs in through a frame and its window. Returns every secret that passes the gate.
async fn sign_in_through_a_window(gate: &Logged, provider: &Provider) -> Vec<String> {
    let mut secrets = vec![SECRET_KEY.to_owned(), super::SECRET.to_owned()];
    let frame = gate.browser("frame-00");
    let frame = frame.with_header("Sec-Fetch-Dest", "iframe");
    let flow = Flow::start(&frame, "next=/projects/1").await;
    secrets.extend(secrets_of(&flow, &frame));
    let declined = json!({"code": null, "error": "login_required", "error_description": "words"});
    let answer = frame
        .visit("GET", &flow.callback(provider, &declined), "")
        .await;
    answer.expect(401, "sign_in_interaction");
    let (_, rest) = answer
        .body
        .split_once("<a class=\"button\" href=\"")
        .unwrap();
    let start = rest.split('"').next().unwrap().replace("&#38;", "&");

    let window = gate.browser("window-0");
    let flow = Flow::of(&window.visit("GET", &start, "").await);
    secrets.extend(secrets_of(&flow, &window));
    let id_token = provider.signer.sign(&provider.claims(&flow.nonce()));
    provider.answers(Reply::json(&json!({
        "access_token": "access-token-0123456789", "refresh_token": "refresh-token-0123456789", "token_type": "Bearer",
        "id_token": id_token,
    })));
    secrets.extend(["access-token-0123456789", "refresh-token-0123456789"].map(str::to_owned));
    secrets.push(id_token);
    let code = "authorization-code-0123456789";
    secrets.push(code.to_owned());
    let callback = flow.callback(provider, &json!({"code": code}));
    let answer = window.visit("GET", &callback, "").await;
    answer.expect_status(200);
    secrets.extend(window.session());
    // The code once more, in a browser that has no such flow.
    gate.browser("replay-0").visit("GET", &callback, "").await;
    let (_, rest) = answer.body.split_once("data-handover=\"").unwrap();
    let handover = rest.split('"').next().unwrap().to_owned();
    let form = format!("handover={handover}");
    secrets.push(handover);
    let answer = frame.visit("POST", "/sso/login", &form).await;
    answer.expect_redirect("/projects/1");
    secrets.extend(frame.session());
    for request in provider.asked("/token") {
        let (_, verifier) = request.split_once("code_verifier=").unwrap();
        secrets.push(verifier.split('&').next().unwrap().to_owned());
        let basic = request.lines().find_map(|line| line.split_once("Basic "));
        secrets.extend(basic.map(|(_, pair)| pair.to_owned()));
    }
    assert_eq!(
        provider.asked("/userinfo").len(),
        1,
        "the access token was used"
    );
    secrets
}

/// What a flow keeps in the URL and in its cookie.
fn secrets_of(flow: &Flow, browser: &Browser<'_>) -> Vec<String> {
    let mut secrets = vec![flow.parameter("state"), flow.nonce()];
    secrets.extend(browser.cookies().into_values());
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_and_no_row_contains_a_secret_of_a_sign_in() {
    // Back-channel logout needs rows.
    for engine in ["db", "signed_cookies"] {
        let world = World::with_own_tables(&[]).await;
        let provider = Provider::start();
        provider.says(Reply::json(&json!({"sub": "ann-at-op", "nickname": "ann"})));
        let (issuer, application) = (provider.issuer(), HostApplication::start());
        let application = application.settings();
        let backchannel = if engine == "db" { "true" } else { "false" };
        let settings = [
            &provider.settings(&issuer)[..],
            &[
                TABLE,
                ("GATE_LOG_LEVEL", "trace"),
                ("SESSION_ENGINE", engine),
                (LOGOUT.0, backchannel),
                ("GATE_SIGN_IN_LAST_NAME_CLAIM", "nickname"),
                ("GATE_PROXY_HEADERS_SECRET", PROXY_SECRET),
                ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
            ],
        ]
        .concat();
        let gate = Logged::of(&world, &application.and(&settings));
        let mut secrets = sign_in_through_a_window(&gate, &provider).await;

        for (id, session) in [("api-0000", "of-ann"), ("api-0001", APPLICATION_SESSION)] {
            let browser = gate.browser(id).with_application_session(session);
            browser.get("/").await;
            secrets.extend(browser.session());
        }
        secrets.push(APPLICATION_SESSION.to_owned());
        secrets.push(HostApplication::SECRET.to_owned());

        for (id, secret) in [
            ("proxy-00", PROXY_SECRET),
            ("proxy-01", "wrong-proxy-secret"),
        ] {
            let browser = gate.browser(id).with_header("Gate-Proxy-Secret", secret);
            let browser = browser.with_header("X-Gate-Identity-Email", "ann@example.com");
            browser.get("/").await;
            secrets.extend(browser.session());
            secrets.push(secret.to_owned());
        }
        if engine == "db" {
            for (id, changes) in [
                ("logout-0", json!({"sid": "session-1"})),
                ("logout-1", json!({"sid": "session-1", "aud": "another"})),
            ] {
                let (_, token) = log_out(&gate, &provider, id, &changes).await;
                secrets.push(token);
            }
        }
        gate.browser("last-000")
            .visit("GET", "/sso/login?token=rubbish", "")
            .await;
        wait_until(|| gate.text().contains("last-000"), || gate.text());
        let log = gate.text();
        assert!(
            log.contains("label_studio_gate::step"),
            "every level is there"
        );
        // The end of the service writes the rows that are left.
        drop(gate);
        let rows = wait_for_rows(&world.database, 4).await;
        assert!(secrets.len() > 20, "{secrets:?}");
        assert_absent(&(log + &Value::from(rows).to_string()), &secrets);
    }
}

/// Whoever reads the log need not know the provider's protocol.
#[tokio::test(flavor = "multi_thread")]
async fn failures_of_a_provider_are_in_the_log_with_a_cure() {
    let world = World::new(&[]).await;
    let provider = Provider::start();
    let issuer = provider.issuer();
    let gate = Logged::of(&world, &provider.settings(&issuer));
    for (answer, error, cure) in [
        (
            json!({"error": "invalid_client"}),
            "invalid_client",
            "compare client_id and client_secret",
        ),
        (
            json!({"error": "invalid_scope"}),
            "invalid_scope",
            "the client's registration at the provider",
        ),
        (
            json!({}),
            "is not a token response",
            "the provider's own log",
        ),
    ] {
        provider.answers(Reply {
            status: 400,
            ..Reply::json(&answer)
        });
        let browser = Browser::of(&gate.app);
        let flow = Flow::start(&browser, "next=/").await;
        let callback = flow.callback(&provider, &json!({}));
        browser.visit("GET", &callback, "").await.expect_status(503);
        let is_told = || {
            let text = gate.text();
            let mut lines = text.lines();
            lines.any(|line| {
                let about = "the OpenID provider's token request failed";
                line.contains(about) && line.contains(error) && line.contains(cure)
            })
        };
        wait_until(is_told, || gate.text());
    }

    let nowhere = Logged::of(&world, &provider.settings("http://127.0.0.1:1"));
    let is_told = || {
        let text = nowhere.text();
        let mut lines = text.lines();
        lines.any(|line| line.contains("provider's metadata") && line.contains("\"cure\":\"check"))
    };
    wait_until(is_told, || nowhere.text());
}
