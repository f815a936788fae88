//! The lines of the log, one per decision, as `docs/log.md` describes them.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::actors::{Browser, Caller};
use crate::app::TestApp;
use crate::audit::{TABLE, wait_for_event};
use crate::support::cluster::CLUSTER;
use crate::support::gate::{GateProcess, gate_command};
use crate::support::token::{SECRET_KEY, SHARED_SECRET, claims, now, sign, with};
use crate::support::wait_until;
use crate::world::{
    CREATE_USERS, ISSUER, NO_CACHE, NO_SUCH_USER, REQUIRE, SIGNED_COOKIES, User, World,
    issuer_token,
};

const DEBUG: (&str, &str) = ("GATE_LOG_LEVEL", "info,label_studio_gate=debug");
const TRACE: (&str, &str) = ("GATE_LOG_LEVEL", "info,label_studio_gate=trace");
const PEER: &str = "192.0.2.7";

/// A gate as a process of its own, whose log is read.
pub struct Logged {
    pub app: TestApp,
    log: PathBuf,
    _process: GateProcess,
}

impl Logged {
    fn start(database_url: &str, settings: &[(&str, &str)]) -> Self {
        // The directory is removed when the gate has ended.
        let home = tempfile::tempdir().unwrap().keep();
        let log = home.join("gate.log");
        let mut command = gate_command();
        command
            .env("GATE_HTTP_WORKERS", "1")
            .env("GATE_LOG_FORMAT", "json")
            .env("DATABASE_URL", database_url)
            .envs(settings.iter().copied());
        let process = GateProcess::start(&command, &log, Some(&home));
        Self {
            app: TestApp::at(process.port),
            log,
            _process: process,
        }
    }

    pub fn of(world: &World, settings: &[(&str, &str)]) -> Self {
        Self::start(&world.database.gate_url(), settings)
    }

    /// The log so far.
    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The decisions about the request with this ID: without the time, the ID and the peer, which
    /// are the same in every line.
    pub fn decisions(&self, id: &str) -> Vec<Value> {
        let text = self.text();
        let whole_lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let lines = whole_lines.map(|line| serde_json::from_str(line).unwrap());
        let of_request = lines.filter(|line: &Value| line["request_id"] == id);
        let mut decisions = Vec::new();
        for mut line in of_request {
            let fields = line.as_object_mut().unwrap();
            if fields["target"] == "label_studio_gate::step" {
                continue;
            }
            assert_eq!(fields.remove("peer").unwrap(), PEER, "{text}");
            assert!(fields.remove("timestamp").unwrap().is_string(), "{text}");
            fields.remove("request_id");
            decisions.push(line);
        }
        decisions
    }

    /// The steps that led to the decision about the request with this ID.
    fn steps(&self, id: &str) -> Vec<String> {
        let lines: Vec<Value> = (self.text().lines())
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let steps = lines
            .into_iter()
            .filter(|line| line["request_id"] == id && line["target"] == "label_studio_gate::step");
        steps
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Fails unless these are the decisions about the request with this ID.
    #[track_caller]
    pub fn expect(&self, id: &str, expected: &[Value]) {
        let complete = || self.decisions(id).len() >= expected.len();
        wait_until(complete, || format!("{id}: {}", self.text()));
        assert_eq!(self.decisions(id), expected, "{id}");
    }

    pub fn browser<'a>(&'a self, id: &'a str) -> Browser<'a> {
        let browser = Browser::of(&self.app).with_header("X-Request-Id", id);
        browser.with_header("X-Real-IP", PEER)
    }

    fn caller(&self, id: &str, authorization: &str) -> Caller<'_> {
        let caller = Caller::of(&self.app).with_authorization(authorization);
        caller.at(PEER).with_request_id(id)
    }
}

pub fn audit(level: &str, event: &str, fields: &Value) -> Value {
    line(level, event, fields, "audit")
}

fn decision(level: &str, event: &str, fields: &Value) -> Value {
    line(level, event, fields, "label_studio_gate::decision")
}

fn line(level: &str, event: &str, fields: &Value, target: &str) -> Value {
    let line = with(json!({"level": level, "message": event}), fields);
    with(line, &json!({"target": target}))
}

fn expired(user: &User) -> String {
    let claims = with(claims(user.id), &json!({"exp": now() - 1}));
    sign(jsonwebtoken::Algorithm::HS256, SECRET_KEY, &claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_of_a_check_is_one_line() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[ISSUER, CREATE_USERS, NO_CACHE]);
    let (ann, bob) = (&world.ann, &world.bob);

    let browser = gate.browser("login-00").with_token(&ann.token());
    browser
        .get("/projects/?a=b")
        .await
        .expect(200, "session_opened");
    let fields = json!({"method": "native", "user_id": ann.id, "reason": "session_opened", "path": "/projects/"});
    gate.expect("login-00", &[audit("INFO", "logged in", &fields)]);

    let session = browser.session().unwrap();
    let browser = gate.browser("switch-0").with_cookie("sessionid", &session);
    let browser = browser.with_token(&bob.token());
    browser.get("/").await.expect(200, "user_switched");
    let fields =
        json!({"method": "native", "user_id": bob.id, "reason": "user_switched", "path": "/"});
    gate.expect("switch-0", &[audit("INFO", "user switched", &fields)]);

    let browser = gate.browser("expired-").with_token(&expired(ann));
    browser.get("/").await.expect(200, "token_expired");
    let fields = json!({"reason": "token_expired", "path": "/"});
    gate.expect("expired-", &[audit("INFO", "credential refused", &fields)]);

    let token = issuer_token(&json!({"email": null}));
    let browser = gate.browser("nameless").with_token(&token);
    browser.get("/").await.expect(200, "token_claim_missing");
    let fields = json!({"method": "external", "reason": "token_claim_missing", "claim": "email", "path": "/"});
    gate.expect("nameless", &[audit("INFO", "credential refused", &fields)]);

    world.update(ann, "is_active = false").await;
    let browser = gate.browser("inactive").with_token(&ann.token());
    browser.get("/").await.expect(403, "user_inactive");
    let fields =
        json!({"method": "native", "user_id": ann.id, "reason": "user_inactive", "path": "/"});
    gate.expect("inactive", &[audit("WARN", "refused", &fields)]);

    let token = issuer_token(&json!({"email": null, "username": "o'hara\n\u{202e}"}));
    let named = [("JWT_SSO_USERNAME_CLAIM", "username"), ISSUER];
    let by_name = Logged::of(&world, &named);
    let browser = by_name.browser("unknown-").with_token(&token);
    browser.get("/").await.expect(403, "user_unknown");
    let fields = json!({"method": "external", "identity": "o'hara\\n\\u{202e}", "reason": "user_unknown", "path": "/"});
    by_name.expect("unknown-", &[audit("WARN", "refused", &fields)]);

    let browser = gate
        .browser("created-")
        .with_token(&issuer_token(&json!({})));
    browser.get("/").await.expect(200, "session_opened");
    let id = "SELECT id FROM htx_user WHERE email = 'new@example.com'";
    let id: i32 = world.database.text(id).await.parse().unwrap();
    let created = audit("INFO", "account created", &json!({"user_id": id}));
    let fields =
        json!({"method": "external", "user_id": id, "reason": "session_opened", "path": "/"});
    gate.expect("created-", &[created, audit("INFO", "logged in", &fields)]);

    let browser = gate.browser("cross-00").with_token(&bob.token());
    let browser = browser.with_header("Sec-Fetch-Site", "cross-site");
    browser
        .send("POST", "/api/x")
        .await
        .expect(403, "cross_site_request");
    let fields = json!({"reason": "cross_site_request", "path": "/api/x"});
    gate.expect("cross-00", &[audit("WARN", "refused", &fields)]);

    let malformed = [("X-Request-Id", "malformd"), ("X-Real-IP", PEER)];
    gate.app
        .check_with(&malformed)
        .await
        .expect(403, "request_malformed");
    let hint = "the proxy did not send the original URI in its header";
    let fields = json!({"reason": "request_malformed", "hint": hint});
    gate.expect("malformd", &[audit("WARN", "refused", &fields)]);

    let browser = gate.browser("passed-0");
    browser.get("/").await.expect(200, "no_token");
    let browser = gate.browser("kept-000").with_token(&bob.token());
    browser.get("/").await.expect(200, "session_opened");
    let is_logged = || !gate.decisions("kept-000").is_empty();
    wait_until(is_logged, || gate.text());
    assert!(!gate.text().contains("passed-0"), "at debug only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_must_sign_in_is_one_line() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[REQUIRE, DEBUG]);
    gate.browser("nobody-0")
        .get("/x")
        .await
        .expect(401, "sign_in_required");
    let fields = json!({"reason": "sign_in_required", "path": "/x"});
    gate.expect("nobody-0", &[decision("INFO", "sign-in required", &fields)]);

    let browser = gate.browser("expired-").with_token(&expired(&world.ann));
    browser.get("/").await.expect(401, "token_expired");
    let fields = json!({"reason": "token_expired", "path": "/"});
    gate.expect("expired-", &[audit("INFO", "credential refused", &fields)]);

    let browser = gate.browser("session-").with_token(&world.ann.token());
    browser.get("/").await.expect(200, "session_opened");
    let session = browser.session().unwrap();
    let browser = gate.browser("valid-00").with_cookie("sessionid", &session);
    browser.get("/").await.expect(200, "session_valid");
    let fields = json!({"user_id": world.ann.id, "reason": "session_valid", "path": "/"});
    gate.expect("valid-00", &[decision("DEBUG", "passed", &fields)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_line() {
    let world = World::new(&[]).await;
    let gate = Logged::start("postgres://nobody@127.0.0.1:1/nothing", &[]);
    let browser = gate.browser("outage-0").with_token(&world.ann.token());
    browser.get("/").await.expect(503, "database_unavailable");
    let fields = json!({"reason": "database_unavailable", "path": "/"});
    gate.expect("outage-0", &[decision("ERROR", "cannot decide", &fields)]);

    let caller = gate.caller("outage-1", &world.superuser.authorization());
    caller.issue(&world.ann.email).await.expect_status(503);
    let fields = json!({"reason": "database_unavailable"});
    gate.expect("outage-1", &[decision("ERROR", "cannot decide", &fields)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out_says_who() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[]);
    let ann = &world.ann;
    let browser = gate.browser("signin-0");
    let link = format!("/sso/login?token={}&next=/projects", ann.token());
    browser
        .visit("GET", &link, "")
        .await
        .expect_redirect("/projects");
    let fields = json!({"method": "native", "user_id": ann.id, "reason": "session_opened", "path": "/projects"});
    gate.expect("signin-0", &[audit("INFO", "logged in", &fields)]);

    let session = browser.session().unwrap();
    let browser = gate.browser("signout0").with_cookie("sessionid", &session);
    let foreign = gate.browser("foreign0").with_cookie("sessionid", &session);
    let foreign = foreign.with_header("Sec-Fetch-Site", "cross-site");
    foreign
        .visit("GET", "/sso/logout", "")
        .await
        .expect_status(200);
    let fields = json!({"reason": "cross_site_request"});
    gate.expect("foreign0", &[decision("INFO", "page shown", &fields)]);

    let browser = browser.with_header("Sec-Fetch-Site", "same-origin");
    browser
        .visit("POST", "/sso/logout", "")
        .await
        .expect_status(303);
    gate.expect(
        "signout0",
        &[audit("INFO", "signed out", &json!({"user_id": ann.id}))],
    );
    browser
        .visit("GET", "/sso/signed-out", "")
        .await
        .expect_status(200);
    let shown = decision("INFO", "page shown", &json!({"reason": "no_token"}));
    let signed_out = audit("INFO", "signed out", &json!({"user_id": ann.id}));
    gate.expect("signout0", &[signed_out, shown]);

    let browser = gate.browser("ls-login").with_token(&ann.token());
    browser.get("/").await.expect(200, "session_opened");
    let session = browser.session().unwrap();
    let browser = gate.browser("ls-out-0").with_cookie("sessionid", &session);
    browser.get("/logout").await.expect(200, "no_token");
    gate.expect(
        "ls-out-0",
        &[audit("INFO", "signed out", &json!({"user_id": ann.id}))],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_token_route_says_who_asked_for_whom() {
    let world = World::new(&[]).await;
    let few = ("GATE_TOKEN_ISSUE_FAILURES_PER_MINUTE", "2");
    let gate = Logged::of(&world, &[NO_CACHE, few]);
    let (superuser, staff, ann) = (&world.superuser, &world.staff, &world.ann);
    let refused = |fields: Value| audit("WARN", "token refused", &fields);
    world.update(&world.bob, "is_active = false").await;
    let cases = [
        (
            superuser.authorization(),
            ann.email.as_str(),
            audit(
                "INFO",
                "token issued",
                &json!({"user_id": ann.id, "caller_id": superuser.id}),
            ),
        ),
        (
            superuser.authorization(),
            "nobody@example.com",
            refused(
                json!({"identity": "nobody@example.com", "caller_id": superuser.id, "reason": "user_unknown"}),
            ),
        ),
        (
            superuser.authorization(),
            "bob@example.com",
            refused(
                json!({"user_id": world.bob.id, "caller_id": superuser.id, "reason": "user_inactive"}),
            ),
        ),
        (
            superuser.authorization(),
            "",
            refused(json!({"caller_id": superuser.id, "reason": "body_invalid"})),
        ),
        (
            staff.authorization(),
            superuser.email.as_str(),
            refused(
                json!({"user_id": superuser.id, "caller_id": staff.id, "reason": "not_superuser"}),
            ),
        ),
        (
            ann.authorization(),
            ann.email.as_str(),
            refused(json!({"caller_id": ann.id, "reason": "not_admin"})),
        ),
        (
            String::new(),
            ann.email.as_str(),
            refused(json!({"reason": "no_api_token"})),
        ),
        (
            "Token wrong".to_owned(),
            ann.email.as_str(),
            refused(json!({"reason": "api_token_invalid"})),
        ),
        (
            "Bearer wrong".to_owned(),
            ann.email.as_str(),
            refused(json!({"reason": "api_token_invalid"})),
        ),
        (
            "Token wrong".to_owned(),
            ann.email.as_str(),
            refused(json!({"reason": "too_many_requests"})),
        ),
    ];
    for (n, (authorization, email, expected)) in cases.into_iter().enumerate() {
        let id = format!("issue-{n:02}");
        gate.caller(&id, &authorization).issue(email).await;
        gate.expect(&id, &[expected]);
    }
    let off = "UPDATE jwt_auth_jwtsettings SET legacy_api_tokens_enabled = false";
    world.database.run(off).await;
    gate.caller("legacy-0", &superuser.authorization())
        .issue(&ann.email)
        .await;
    let fields = json!({"caller_id": superuser.id, "reason": "legacy_tokens_disabled"});
    gate.expect("legacy-0", &[refused(fields)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revocation_says_who_revoked_whom() {
    let world = World::with_own_tables(&[]).await;
    let gate = Logged::of(&world, &[]);
    let (superuser, staff, ann) = (&world.superuser, &world.staff, &world.ann);
    world.signed_in(ann).await;
    let revoke = async |gate: &Logged, id: &str, by: &User, email: &str| {
        let caller = gate.caller(id, &by.authorization());
        caller.revoke(email).await.status
    };
    assert_eq!(revoke(&gate, "revoke-0", superuser, &ann.email).await, 200);
    let fields = json!({"user_id": ann.id, "caller_id": superuser.id, "sessions": 1, "tokens_revoked": true});
    gate.expect("revoke-0", &[audit("INFO", "sessions ended", &fields)]);

    assert_eq!(
        revoke(&gate, "revoke-1", superuser, "x@example.com").await,
        422
    );
    let fields =
        json!({"identity": "x@example.com", "caller_id": superuser.id, "reason": "user_unknown"});
    gate.expect("revoke-1", &[audit("WARN", "revocation refused", &fields)]);

    assert_eq!(
        revoke(&gate, "revoke-2", staff, &superuser.email).await,
        403
    );
    let fields = json!({"user_id": superuser.id, "caller_id": staff.id, "reason": "not_superuser"});
    gate.expect("revoke-2", &[audit("WARN", "revocation refused", &fields)]);

    CLUSTER.grant_with(&world.database.name, "revoke=on");
    let cookies = Logged::of(&world, &[SIGNED_COOKIES]);
    world
        .update(&world.bob, "password = 'pbkdf2_sha256$1$x$y'")
        .await;
    assert_eq!(
        revoke(&cookies, "revoke-3", superuser, &world.bob.email).await,
        409
    );
    let fields = json!({"user_id": world.bob.id, "caller_id": superuser.id, "reason": "user_has_password", "tokens_revoked": true});
    cookies.expect("revoke-3", &[audit("WARN", "revocation refused", &fields)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_name_what_was_expected_and_found() {
    let world = World::new(&[]).await;
    let settings = [
        ISSUER,
        DEBUG,
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_EXTERNAL_ISSUER", "https://id.test"),
    ];
    let gate = Logged::of(&world, &settings);
    let token = issuer_token(&json!({"iss": "https://id.test", "aud": "account"}));
    let browser = gate.browser("steps-00").with_token(&token);
    browser
        .get("/?a=b")
        .await
        .expect(200, "token_audience_refused");
    let fields = json!({"reason": "token_audience_refused", "path": "/"});
    gate.expect("steps-00", &[audit("INFO", "credential refused", &fields)]);
    let steps = [
        "request: looked for a token in cookie ls_auth_token: found",
        "request: looked for a token in parameter token: none",
        "external: issuer https://id.test: a shared secret [HS256] made the signature",
        "external: issuer https://id.test: audience \"label-studio\" expected, \"account\" found",
        "native: SECRET_KEY: a shared secret [HS256] did not make the signature",
    ];
    assert_eq!(gate.steps("steps-00"), steps);
}

/// An ID that a page shows is found in the log; without one of the proxy, the gate makes one.
#[tokio::test(flavor = "multi_thread")]
async fn every_id_on_a_page_is_in_the_log() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[("GATE_HTTP_PROXIES", "nginx, caddy")]);
    let unknown = crate::support::token::native(NO_SUCH_USER);
    // The lines about one peer's refusals are limited, so each request comes from another.
    let mut peers = (1..).map(|n| format!("192.0.2.{n}"));
    for path in [
        "/sso/login?token=rubbish".to_owned(),
        "/sso/login".to_owned(),
        format!("/sso/login?token={unknown}"),
        format!("/sso/login?token={}", expired(&world.ann)),
        "/sso/signed-out".to_owned(),
        "/sso/logout".to_owned(),
        "/auth/nginx/login".to_owned(),
        "/auth/nginx/sign-in".to_owned(),
        "/auth/nginx/refused".to_owned(),
        "/auth/caddy".to_owned(),
    ] {
        for given in ["", "<script>", "short", "with space"] {
            let peer = peers.next().unwrap();
            let browser = Browser::of(&gate.app).with_header("X-Request-Id", given);
            let browser = browser.with_header("X-Real-IP", &peer);
            let browser = browser.with_header("Sec-Fetch-Site", "cross-site");
            let answer = browser.visit("GET", &path, "").await;
            let id = answer.header("X-Request-Id").unwrap().to_owned();
            assert_eq!(id.len(), 32, "{path}");
            // A page about a problem shows it; the others carry it in the header only.
            if path != "/sso/signed-out" && path != "/sso/logout" {
                answer.expect_text(&id);
            }
            let is_told = || gate.text().contains(&id);
            wait_until(is_told, || format!("{path}: {id}: {}", gate.text()));
        }
    }
}

/// nginx leaves it to the gate to make an ID, and passes that on.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_an_id_is_answered_with_the_one_in_the_log() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[REQUIRE]);
    let mut ids = HashSet::new();
    for (cookie, status) in [
        (format!("ls_auth_token={}", world.ann.token()), 200),
        (String::new(), 401),
    ] {
        let own = [("X-Original-URI", "/projects"), ("Cookie", &cookie)];
        let given = [own[0], own[1], ("X-Request-Id", "0123456789abcdef-given")];
        let answer = gate.app.check_with(&given).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("X-Request-Id"), None);

        let answer = gate.app.check_with(&own).await;
        assert_eq!(answer.status, status);
        let id = answer.header("X-Request-Id").unwrap().to_owned();
        let is_told = || gate.text().contains(&id);
        wait_until(is_told, || format!("{id}: {}", gate.text()));
        assert!(ids.insert(id), "each request has its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_and_no_row_contains_a_secret() {
    let world = World::with_own_tables(&[]).await;
    let once = ("GATE_TOKEN_USE", "once");
    let gate = Logged::of(&world, &[ISSUER, CREATE_USERS, TRACE, TABLE, once]);
    let (ann, superuser) = (&world.ann, &world.superuser);
    let tokens = [
        ann.token(),
        expired(ann),
        issuer_token(&json!({})),
        issuer_token(&json!({"exp": 1})),
        crate::support::token::native(NO_SUCH_USER),
    ];
    let mut secrets: Vec<String> = tokens.to_vec();
    secrets.extend([SECRET_KEY, SHARED_SECRET, "!unusable"].map(str::to_owned));
    for (n, token) in tokens.iter().enumerate() {
        let id = format!("secret-{n}");
        let browser = gate.browser(&id).with_token(token);
        browser.get(&format!("/?token={token}")).await;
        browser
            .visit("GET", &format!("/sso/login?token={token}&next=/"), "")
            .await;
        browser
            .visit("POST", "/sso/login", &format!("token={token}"))
            .await;
        secrets.extend(browser.session());
        let origin = browser.with_header("Sec-Fetch-Site", "same-origin");
        origin.visit("POST", "/sso/logout", "").await;
        let caller = gate.caller(&id, &format!("Bearer {token}"));
        caller.issue(&ann.email).await;
    }
    let caller = gate.caller("secret-x", &superuser.authorization());
    let issued = caller.issue(&ann.email).await.json();
    secrets.push(issued["token"].as_str().unwrap().to_owned());
    secrets.push(superuser.key.clone());
    caller.revoke(&ann.email).await.expect_status(200);
    let told = || gate.decisions("secret-x").len() == 2;
    wait_until(told, || gate.text());
    let app_log = gate.text();
    // The end of the service writes the rows that are left.
    drop(gate);
    let rows = wait_for_event(&world.database, "sessions ended").await;
    let log = app_log + &rows;
    for secret in &secrets {
        // Parts of a token count as well: a signature alone, or a payload. The header is the same
        // in every token.
        let parts = secret
            .split(['.', ':'])
            .filter(|part| !part.starts_with("eyJ0eXAi"));
        for part in parts.filter(|part| part.len() >= 9) {
            assert!(!log.contains(part), "{part} is in {log}");
        }
    }
}

/// What is no HTTP has neither peer nor ID, and anybody can send any number of it.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_read_leave_no_line_unless_the_level_asks_for_them() {
    let world = World::new(&[]).await;
    for (level, lines) in [("info", 0), ("info,actix_http=error", 20)] {
        let gate = Logged::of(&world, &[("GATE_LOG_LEVEL", level)]);
        let address = gate.app.url.strip_prefix("http://").unwrap();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"G\x01T / HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        gate.browser("later-00")
            .visit("GET", "/sso/login", "")
            .await;
        let found = || gate.text().matches("stream error").count();
        let is_told = || gate.text().contains("later-00") && found() >= lines;
        wait_until(is_told, || gate.text());
        assert_eq!(found(), lines, "{level}: {}", gate.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_one_address_do_not_fill_the_log() {
    let world = World::new(&[]).await;
    let gate = Logged::of(&world, &[REQUIRE]);
    let suppressed = async || {
        let metrics = gate.app.get("/metrics").await.body;
        let name = "label_studio_gate_log_lines_suppressed_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    let refused = async |address: &str| {
        let headers = [("X-Original-URI", "/"), ("X-Real-IP", address)];
        gate.app.check_with(&headers).await.expect_status(401);
    };
    for _ in 0..30 {
        refused("192.0.2.1").await;
    }
    assert_eq!(suppressed().await, 0);
    for _ in 0..7 {
        refused("192.0.2.1").await;
    }
    assert_eq!(suppressed().await, 7);
    refused("192.0.2.2").await;
    assert_eq!(
        suppressed().await,
        7,
        "another address has a limit of its own"
    );
}
