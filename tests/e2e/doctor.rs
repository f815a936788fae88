//! `doctor` at the public URL: through real proxies, before the real Label Studio, with everything
//! as shipped and with one thing broken at a time.

use std::fmt;
use std::process::Output;

use label_studio_gate::django::{SessionCodec, SessionEntries as _};
use secrecy::SecretString;
use serde_json::Value;

use crate::label_studio::{LabelStudio, database};
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::proxy::{KINDS, Proxy};
use crate::sign_in::start_proxy;
use crate::stack::{Engine, GateProcess, Stack, gate_command, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::stub::{Reply, Stub};
use crate::support::token::SECRET_KEY;

const OTHER_KEY: (&str, &str) = (
    "SECRET_KEY",
    "another-secret-key-of-more-than-fifty-characters-0123456789",
);
const REQUIRE: (&str, &str) = ("GATE_POLICY_ANONYMOUS", "require");

/// The command, with the settings of a gate.
pub struct Doctor<'d> {
    engine: Engine,
    database: &'d str,
}

/// What it found.
pub struct Report {
    status: Option<i32>,
    findings: Vec<Value>,
}

impl<'d> Doctor<'d> {
    pub const fn of(engine: Engine, database: &'d str) -> Self {
        Self { engine, database }
    }

    pub fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Report {
        let mut command = gate_command(0, self.engine, CLUSTER.port(), self.database);
        command
            .args(["doctor", "--json"])
            .args(arguments)
            .env("GATE_HTTP_PROXIES", "nginx")
            .envs(settings.iter().copied());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let said = String::from_utf8(stdout).unwrap();
        let report: Value = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&stderr)));
        Report {
            status: status.code(),
            findings: report["findings"].as_array().unwrap().clone(),
        }
    }
}

impl Report {
    /// The checks that failed.
    pub fn failures(&self) -> Vec<&str> {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding["level"] == "failure")
            .map(|finding| finding["check"].as_str().unwrap())
            .collect()
    }

    /// Fails unless a finding of this check has this level and these words.
    #[track_caller]
    pub fn expect(&self, check: &str, level: &str, words: &str) {
        let found = self.findings.iter().any(|finding| {
            let cure = finding["cure"].as_str().unwrap_or_default();
            let said = format!("{}\n{cure}", finding["message"].as_str().unwrap());
            finding["check"] == check && finding["level"] == level && said.contains(words)
        });
        assert!(found, "{check} {level} {words:?}:\n{self}");
    }

    /// Fails unless this check failed with these words and a cure, and nothing else did.
    #[track_caller]
    fn expect_failure(&self, check: &str, words: &str) {
        self.expect(check, "failure", words);
        assert_eq!(self.failures(), [check], "{self}");
        assert_eq!(self.status, Some(1), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |finding: &Value| {
            let (level, check) = (&finding["level"], &finding["check"]);
            format!(
                "{level} {check}: {} → {}",
                finding["message"], finding["cure"]
            )
        };
        let lines: Vec<String> = self.findings.iter().map(shown).collect();
        write!(f, "{:?}\n{}", self.status, lines.join("\n"))
    }
}

/// What `doctor` says at `url` with a login of a new user.
fn login(stack: &Stack, url: &str, settings: &[(&str, &str)]) -> (i32, Report) {
    let email = format!("doctor{}@example.test", fresh());
    let user = stack.user(&email);
    let doctor = Doctor::of(stack.engine, &stack.database);
    (
        user,
        doctor.run(&["--url", url, "--email", &email], settings),
    )
}

/// What it says without a login.
fn visit(stack: &Stack, url: &str, settings: &[(&str, &str)]) -> Report {
    Doctor::of(stack.engine, &stack.database).run(&["--url", url], settings)
}

fn cookies_stack() -> &'static Stack {
    let [signed_cookies, _] = stacks();
    assert_eq!(signed_cookies.engine, Engine::SignedCookies);
    signed_cookies
}

/// How many stored sessions belong to this user.
fn sessions_of(stack: &Stack, user: i32) -> usize {
    let codec = SessionCodec::new(&SecretString::from(SECRET_KEY));
    let rows = stack.sql("SELECT session_data FROM django_session");
    let owners = rows
        .lines()
        .filter_map(|row| codec.decode_row(row).ok()?.user_id());
    owners.filter(|owner| *owner == user).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_through_nginx_is_followed_hop_by_hop() {
    for stack in stacks() {
        for settings in [&[][..], &[REQUIRE], &[("GATE_NATIVE_ENABLED", "false")]] {
            let (proxy, _gate) = start_proxy(stack, settings);
            let (user, report) = login(stack, &proxy.url, settings);
            assert_eq!(report.failures(), [""; 0], "{report}");
            for (check, words) in [
                ("public.url", "answers"),
                ("public.gate", "the proxy asks the gate"),
                ("public.session_engine", ""),
                ("public.secret_key", "the same SECRET_KEY"),
                ("public.session_cookie", "the same name and attributes"),
                ("public.address", "load from the public URL"),
                ("public.login", "Label Studio knows doctor"),
                ("public.sign_out", "signed out"),
            ] {
                if check == "public.login" && !settings.contains(&("GATE_NATIVE_ENABLED", "false"))
                {
                    report.expect("public.cookies", "ok", "loses the token; the session lasts");
                }
                // With "require", only a login reaches Label Studio, and it knows the session.
                let unseen = settings.contains(&REQUIRE)
                    && [
                        "public.session_engine",
                        "public.secret_key",
                        "public.session_cookie",
                    ]
                    .contains(&check);
                if !unseen {
                    report.expect(check, "ok", words);
                }
            }
            report.expect("public.login", "note", "htx_user.last_login changes");
            assert_eq!(sessions_of(stack, user), 0, "{report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_in_without_an_email_address() {
    for engine in [Engine::SignedCookies, Engine::Database] {
        // No other test signs anybody in here.
        let stack = &Stack::start(engine);
        let logins = || stack.sql("SELECT max(last_login) FROM htx_user");
        let before = logins();
        let report = visit(stack, &stack.proxies[0].url, &[]);
        assert_eq!(report.failures(), [""; 0], "{report}");
        // Label Studio's own sign-up is open.
        assert_eq!(report.status, Some(2), "{report}");
        report.expect("public.sign_up", "warning", "DISABLE_SIGNUP_WITHOUT_LINK=1");
        report.expect("public.login", "note", "did not try a login and a sign-out");
        report.expect("public.secret_key", "ok", "the same SECRET_KEY");
        report.expect("public.session_engine", "ok", "");
        assert_eq!(logins(), before);
        login(stack, &stack.proxies[0].url, &[]);
        assert_ne!(logins(), before, "a login is seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_works_through_every_other_proxy() {
    for stack in stacks() {
        for kind in KINDS {
            let proxy = Proxy::start(kind, stack.gates[0].port, stack.label_studio.port);
            let settings = [("GATE_HTTP_PROXIES", kind.proxy())];
            let (user, report) = login(stack, &proxy.url, &settings);
            assert_eq!(report.failures(), [""; 0], "{kind:?}: {report}");
            report.expect("public.gate", "ok", "the proxy asks the gate");
            report.expect("public.login", "ok", "Label Studio knows doctor");
            report.expect("public.cookies", "ok", "the session lasts");
            assert_eq!(sessions_of(stack, user), 0, "{kind:?}: {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_session_engine_or_secret_key_is_seen_without_a_login() {
    for stack in stacks() {
        let other = match stack.engine {
            Engine::Database => Engine::SignedCookies,
            Engine::SignedCookies => Engine::Database,
        };
        let gate = GateProcess::start(other, CLUSTER.port(), &stack.database);
        let proxy = Nginx::start(&binaries()[0], &[gate.port], stack.label_studio.port);
        let report = Doctor::of(other, &stack.database).run(&["--url", &proxy.url], &[]);
        report.expect_failure("public.session_engine", "set SESSION_ENGINE of the gate");

        let (proxy, _gate) = start_proxy(stack, &[OTHER_KEY]);
        let report = visit(stack, &proxy.url, &[OTHER_KEY]);
        let failure = "Label Studio signs its sessions with another SECRET_KEY";
        report.expect("public.secret_key", "failure", failure);
        report.expect(
            "public.secret_key",
            "failure",
            "give both services the same SECRET_KEY",
        );
    }
}

/// With `require`, nothing but a login reaches Label Studio, which then answers 401.
#[tokio::test(flavor = "multi_thread")]
async fn another_secret_key_is_seen_by_a_login_where_everybody_must_be_signed_in() {
    for stack in stacks() {
        let settings = [OTHER_KEY, REQUIRE];
        let (proxy, _gate) = start_proxy(stack, &settings);
        let (user, report) = login(stack, &proxy.url, &settings);
        report.expect("public.secret_key", "failure", "another SECRET_KEY");
        assert_eq!(sessions_of(stack, user), 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_other_settings_than_doctors_is_named() {
    let stack = cookies_stack();
    for settings in [&[][..], &[REQUIRE]] {
        let (proxy, _gate) = start_proxy(stack, settings);
        let report = visit(stack, &proxy.url, &[settings, &[OTHER_KEY]].concat());
        report.expect(
            "public.gate",
            "failure",
            "run doctor with the settings of the gate",
        );
    }
}

/// Each line has a mistake in nginx's files, and the check that fails with its words.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_nginx_files_are_named_with_their_line() {
    let stack = cookies_stack();
    let original_uri = "proxy_set_header X-Original-URI     $request_uri;";
    for (file, line, instead, check, words) in [
        (
            "gate.conf",
            original_uri,
            "",
            "public.gate",
            "does not send the original URI to the gate (request_malformed)",
        ),
        (
            "gate.conf",
            original_uri,
            "proxy_set_header X-Original-URI $uri;",
            "public.gate",
            "does not see a token in the address",
        ),
        (
            "gate.conf",
            "proxy_set_header Cookie             $http_cookie;",
            "",
            "public.gate",
            "does not see the token's cookie",
        ),
        (
            "gate-check.conf",
            "auth_request     /_gate/auth;",
            "",
            "public.gate",
            "each location that passes requests to Label Studio must include gate-check.conf",
        ),
        (
            "gate-proxy.conf",
            "proxy_set_header Cookie            $label_studio_cookie;",
            "proxy_set_header Cookie $http_cookie;",
            "public.login",
            "does not copy the gate's cookies onto the request",
        ),
        (
            "gate.conf",
            "proxy_pass http://label_studio_gate_checks/auth/nginx;",
            "proxy_pass http://127.0.0.1:1/auth/nginx;",
            "public.url",
            "check that the gate runs, its address in the proxy",
        ),
    ] {
        let gate = stack.gates[0].port;
        let mistakes = [(file, line, instead)];
        let proxy = Nginx::start_changed(gate, stack.label_studio.port, &[], &mistakes);
        let (user, report) = login(stack, &proxy.url, &[]);
        report.expect_failure(check, words);
        assert_eq!(sessions_of(stack, user), 0, "{report}");
    }
    let lost = [(
        "gate-check.conf",
        "add_header Set-Cookie    $gate_set_cookie_2   always;",
        "",
    )];
    let proxy = Nginx::start_changed(stack.gates[0].port, stack.label_studio.port, &[], &lost);
    let (_, report) = login(stack, &proxy.url, &[]);
    assert_eq!(report.failures(), [""; 0], "{report}");
    report.expect(
        "public.cookies",
        "warning",
        "the deletion of the token's cookie",
    );
}

/// With the short cut, nginx must know the names that the gate knows.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_between_gate_and_nginx_are_named() {
    let stack = cookies_stack();
    for (setting, words) in [
        (
            ("JWT_SSO_COOKIE_NAME", "our_token"),
            "must name token.cookie",
        ),
        (("JWT_SSO_TOKEN_PARAM", "jwt"), "must be token.parameter"),
    ] {
        let gate =
            GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &[setting]);
        let proxy = Nginx::start_changed(gate.port, stack.label_studio.port, &[SHORT_CUT], &[]);
        let report = visit(stack, &proxy.url, &[setting]);
        report.expect_failure("public.gate", words);
    }
    let setting = ("SESSION_COOKIE_NAME", "our_session");
    let (proxy, _gate) = start_proxy(stack, &[setting]);
    let report = visit(stack, &proxy.url, &[setting]);
    let words = "Label Studio's session cookie is called \"sessionid\"";
    report.expect_failure("public.session_cookie", words);
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_that_differ_from_label_studios_are_named() {
    let stack = cookies_stack();
    for (settings, level, words) in [
        (
            &[("SESSION_COOKIE_PATH", "/label-studio")][..],
            "failure",
            "browsers keep two cookies",
        ),
        (
            &[("SESSION_COOKIE_SAMESITE", "Strict")],
            "warning",
            "SameSite=Strict",
        ),
    ] {
        let (proxy, _gate) = start_proxy(stack, settings);
        let report = visit(stack, &proxy.url, settings);
        report.expect("public.session_cookie", level, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_label_studio_does_not_know_is_named() {
    let database = database();
    let elsewhere = [("LABEL_STUDIO_HOST", "http://elsewhere.test:8080")];
    let studio = LabelStudio::with_environment(&database, false, &elsewhere);
    let gate = GateProcess::start(Engine::SignedCookies, CLUSTER.port(), &database);
    let proxy = Nginx::start(&binaries()[0], &[gate.port], studio.port);
    let report = Doctor::of(Engine::SignedCookies, &database).run(&["--url", &proxy.url], &[]);
    let words = format!("set LABEL_STUDIO_HOST={} in Label Studio", proxy.url);
    report.expect_failure("public.address", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_the_address_of_label_studio_is_followed() {
    let stack = cookies_stack();
    let target = stack.proxies[0].url.clone();
    let redirect = Stub::start(move |head| {
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut reply = Reply::of(301, "");
        reply.headers = format!("Location: {target}{path}\r\n");
        reply
    });
    let (_, report) = login(stack, &redirect.url(""), &[]);
    let words = format!("set label_studio.url to {}", stack.proxies[0].url);
    report.expect("public.url", "warning", &words);
    report.expect("public.login", "ok", "Label Studio knows doctor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_studio_that_does_not_answer_is_named() {
    let stack = cookies_stack();
    let proxy = Nginx::start(&binaries()[0], &[stack.gates[0].port], free_port());
    let report = visit(stack, &proxy.url, &[]);
    report.expect_failure(
        "public.url",
        "check the address of Label Studio in the proxy",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_request_that_reaches_label_studio_fails_where_everybody_must_be_signed_in() {
    let stack = cookies_stack();
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &[REQUIRE]);
    let open = Nginx::start_changed(gate.port, stack.label_studio.port, &[SHORT_CUT], &[]);
    let report = visit(stack, &open.url, &[REQUIRE]);
    report.expect_failure("public.anonymous", "none includes gate-short-cut.conf");

    let (closed, _gate) = start_proxy(stack, &[REQUIRE]);
    let report = visit(stack, &closed.url, &[REQUIRE]);
    assert_eq!(report.status, Some(0), "{report}");
    report.expect("public.anonymous", "ok", "the proxy asks the gate");
    report.expect("public.sign_up", "ok", "nobody can sign up");
    report.expect(
        "public.login",
        "note",
        "did not see whether Label Studio has the same SECRET_KEY",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_public_url_is_reported() {
    let stack = cookies_stack();
    let url = "http://127.0.0.1:1/label-studio";
    let doctor = Doctor::of(stack.engine, &stack.database);
    // The address in the settings may be reachable for browsers only.
    let report = doctor.run(&[], &[("LABEL_STUDIO_HOST", url)]);
    assert_eq!(report.status, Some(0), "{report}");
    report.expect("public.url", "note", "was not reached from here");
    visit(stack, url, &[]).expect_failure("public.url", "was not reached from here");
}

/// Nothing that doctor prints or the gate logs contains the tokens or sessions of the trial.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_shown() {
    for stack in stacks() {
        let (proxy, gate) = start_proxy(stack, &[]);
        let (_, report) = login(stack, &proxy.url, &[("GATE_LOG_LEVEL", "trace")]);
        let said = format!("{report}{}{}", gate.log(), proxy.read("access.log"));
        assert!(!said.contains("eyJ"), "{said}");
        assert!(!said.contains("sessionid="), "{said}");
    }
}
