//! What the gate shows to operators and users, word for word.
//!
//! After an intended change, `INSTA_UPDATE=always cargo test --test api texts` writes the
//! snapshots.

use label_studio_gate::gate::reason::Reason;

use crate::app::settings;
use crate::commands::{gate_with, said};
use crate::doctor::examine;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;
use crate::world::{NO_SUCH_USER, World, issuer_token};

#[test]
fn the_help_of_every_command() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["check-config", "--help"],
        &["doctor", "--help"],
        &["migrate", "--help"],
        &["purge", "--help"],
        &["token", "--help"],
        &["inspect", "--help"],
        &["healthcheck", "--help"],
    ] {
        let name = command.join(" ").replace(" --help", "").replace("--", "");
        insta::assert_snapshot!(format!("help_of_{name}"), said(&gate_with(command, &[])));
    }
}

#[test]
fn what_check_config_prints() {
    let variables = [
        ("JWT_SSO_SECRET", "a-shared-secret-of-thirty-two-bytes"),
        ("GATE_POLICY_ANONYMOUS", "require"),
    ];
    let output = said(&gate_with(&["check-config"], &variables));
    insta::assert_snapshot!(output);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctors_report_of_a_healthy_world() {
    let world = World::with_own_tables(&[]).await;
    let settings = settings(&world.database.gate_url(), &[]);
    let report = examine(&settings).await;
    let report = report
        .to_string()
        .replace(&world.database.name, "[database]")
        .replace(&CLUSTER.port().to_string(), "[port]")
        .replace(GATE_ROLE, "[role]");
    insta::assert_snapshot!(report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_in_both_languages() {
    let world = World::new(&[]).await;
    let expired = issuer_token(&serde_json::json!({"exp": 1}));
    let unknown = native(NO_SUCH_USER);
    for (page, path) in [
        ("token_malformed", "/sso/login?token=rubbish".to_owned()),
        ("token_refused", format!("/sso/login?token={expired}")),
        ("user_unknown", format!("/sso/login?token={unknown}")),
        ("signed_out", "/sso/signed-out".to_owned()),
        ("sign_out", "/sso/logout".to_owned()),
    ] {
        for language in ["en", "ko"] {
            let browser = world
                .browser()
                .with_header("Accept-Language", language)
                .with_header("Sec-Fetch-Site", "cross-site")
                .with_header("X-Request-Id", "0123456789abcdef0123456789abcdef");
            let answer = browser.visit("GET", &path, "").await;
            // The same on every page.
            let (before, rest) = answer.body.split_once("<style>").unwrap();
            let (_, after) = rest.split_once("</style>").unwrap();
            let text = format!("{before}<style>[style]</style>{after}");
            insta::assert_snapshot!(format!("page_{page}_{language}"), text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_are_told_for_each_reason() {
    let world = World::new(&[]).await;
    for language in ["en", "ko"] {
        let mut told = String::new();
        for reason in Reason::all() {
            let page = match reason {
                Reason::CredentialError(_) | Reason::SignInRequired => "/auth/nginx/sign-in",
                Reason::Denied(_) => "/auth/nginx/refused",
                Reason::Outage(_) => "/auth/nginx/undecided",
                Reason::Granted(_) => continue,
            };
            let browser = world
                .browser()
                .with_header("Accept-Language", language)
                .with_header("X-Original-URI", "/projects/")
                .with_header("X-Gate-Reason", reason.code());
            let answer = browser.visit("GET", page, "").await;
            let text = |start: &str, end: &str| {
                let (_, text) = answer.body.split_once(start).unwrap();
                text.split(end).next().unwrap().replace("&#39;", "'")
            };
            let (title, advice) = (text("<h1>", "</h1>"), text("<p>", "</p>"));
            told += &format!("{}\n    {title}\n    {advice}\n", reason.code());
        }
        insta::assert_snapshot!(format!("told_{language}"), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_the_metrics() {
    let world = World::new(&[]).await;
    // Statements are measured once there has been one.
    world.signed_in(&world.ann).await;
    let metrics = world.app.get("/metrics").await.body;
    let names: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("# HELP") || line.starts_with("# TYPE"))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
}
