//! Which user a name finds: letters outside ASCII, usernames, and privileged users.

use serde_json::json;

use crate::app::{TestApp, TestDatabase};
use crate::support::cluster::CLUSTER;
use crate::users::login;
use crate::world::{CREATE_USERS, ISSUER, World};

/// Locales with different `lower()` functions: glibc folds U+0130 and U+212A into ASCII letters,
/// ICU folds only the latter.
const LOCALES: [&str; 4] = [
    "LOCALE 'C.UTF-8'",
    "LOCALE 'en_US.UTF-8'",
    "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
    "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'",
];

/// The address in an issuer's token, and the address of the account that it opens.
const ADDRESSES: &[(&str, Option<&str>)] = &[
    ("admin@corp.test", Some("admin@corp.test")),
    ("ADMIN@CORP.TEST", Some("admin@corp.test")),
    ("mike@corp.test", Some("mike@corp.test")),
    // An exact match takes precedence over one that differs in case.
    ("Exact@corp.test", Some("Exact@corp.test")),
    ("exact@corp.test", Some("exact@corp.test")),
    // Two accounts differ from it in case, so neither is meant.
    ("EXACT@corp.test", None),
    // A letter outside ASCII matches only itself.
    ("zoë@corp.test", Some("zoë@corp.test")),
    ("ZOë@CORP.test", Some("zoë@corp.test")),
    ("zoË@corp.test", None),
    ("straße@corp.test", Some("straße@corp.test")),
    ("STRASSE@corp.test", None),
    ("strasse@corp.test", None),
    ("ΣΊΣΥΦΟΣ@corp.test", Some("ΣΊΣΥΦΟΣ@corp.test")),
    ("σίσυφος@corp.test", None),
    ("σίσυφοσ@corp.test", None),
    // U+0130 and U+0131, the dotted and the dotless i of Turkish; U+212A, the Kelvin sign; U+017F,
    // the long s.
    ("adm\u{130}n@corp.test", None),
    ("adm\u{131}n@corp.test", None),
    ("admi\u{307}n@corp.test", None),
    ("mi\u{212a}e@corp.test", None),
    ("MI\u{212a}E@CORP.TEST", None),
    ("e\u{301}ve@corp.test", None),
    ("\u{e9}ve@corp.test", Some("\u{e9}ve@corp.test")),
    ("gue\u{17f}t@corp.test", None),
    // Full-width letters, a Cyrillic one, a soft hyphen, a zero-width joiner, a byte order mark.
    ("ａｄｍｉｎ@corp.test", None),
    ("\u{430}dmin@corp.test", None),
    ("ad\u{ad}min@corp.test", None),
    ("ad\u{200d}min@corp.test", None),
    ("\u{feff}admin@corp.test", None),
    ("admin@corp\u{3002}test", None),
    // White space that str::trim would remove.
    ("\u{a0}admin@corp.test", None),
    ("admin@corp.test\u{3000}", None),
    (" admin@corp.test", None),
    ("admin@corp.test\n", None),
];

/// The locales that this server has. A database has its own ICU locale since PostgreSQL 15.
fn locales() -> impl Iterator<Item = &'static str> {
    let has_icu = CLUSTER.version() >= 15;
    LOCALES.into_iter().filter(move |locale| {
        let is_there = has_icu || !locale.contains("icu");
        if !is_there {
            eprintln!("not tested, because PostgreSQL has it since 15: {locale}");
        }
        is_there
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn case_is_folded_only_in_ascii_whatever_the_locale() {
    for locale in locales() {
        let database = TestDatabase::of_locale(locale).await;
        let organization = database.organization().await;
        let mut stored: Vec<&str> = ADDRESSES.iter().filter_map(|(_, found)| *found).collect();
        stored.push("guest@corp.test");
        stored.push("eve@corp.test");
        stored.sort_unstable();
        stored.dedup();
        for email in &stored {
            database.user(email, organization).await;
        }
        let app = TestApp::start(&database.gate_url(), &[ISSUER]);
        for (email, expected) in ADDRESSES {
            let answer = login(&app, &json!({"email": email})).await;
            let id = answer.header("X-Gate-User-Id").unwrap_or("0");
            let found = database
                .text(&format!("SELECT email FROM htx_user WHERE id = {id}"))
                .await;
            assert_eq!(found, expected.unwrap_or_default(), "{locale}: {email:?}");
            if expected.is_none() {
                let reasons = ["user_unknown", "token_claim_invalid"];
                assert!(reasons.contains(&answer.reason()), "{locale}: {email:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_has_the_address_of_the_token() {
    for locale in locales() {
        let database = TestDatabase::of_locale(locale).await;
        database.organization().await;
        let app = TestApp::start(&database.gate_url(), &[ISSUER, CREATE_USERS]);
        let mut accounts = Vec::new();
        for (email, expected) in [
            ("\u{212a}evin@corp.test", "\u{212a}evin@corp.test"),
            ("Kevin@Corp.test", "kevin@corp.test"),
            ("\u{130}DA@corp.test", "\u{130}da@corp.test"),
            ("ida@corp.test", "ida@corp.test"),
            ("ÉVE@corp.test", "Éve@corp.test"),
        ] {
            for _ in 0..2 {
                let answer = login(&app, &json!({"email": email})).await;
                assert_eq!(answer.status, 200, "{locale}: {email}: {}", answer.reason());
                accounts.push(answer.header("X-Gate-User-Id").unwrap().to_owned());
            }
            let id = accounts.last().unwrap();
            let query = format!("SELECT email FROM htx_user WHERE id = {id}");
            assert_eq!(database.text(&query).await, expected, "{locale}");
        }
        accounts.dedup();
        assert_eq!(accounts.len(), 5, "{locale}: {accounts:?}");
        assert_eq!(database.text("SELECT count(*) FROM htx_user").await, "5");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_username_logs_in_no_privileged_user() {
    let world = World::new(&[ISSUER, ("JWT_SSO_USERNAME_CLAIM", "preferred_username")]).await;
    world
        .update(&world.superuser, "username = 'admin', is_staff = false")
        .await;
    world.update(&world.staff, "username = 'staff'").await;
    world.update(&world.ann, "username = 'ann'").await;
    let claims = |name: &str| json!({"email": null, "preferred_username": name});
    for (name, status, reason) in [
        ("ann", 200, "session_opened"),
        ("admin", 403, "user_privileged"),
        ("staff", 403, "user_privileged"),
        ("Admin", 403, "user_unknown"),
        ("superuser@example.com", 403, "user_unknown"),
        ("ann@example.com", 403, "user_unknown"),
        (" ann", 403, "user_unknown"),
        ("ann\u{a0}", 403, "user_unknown"),
        ("adm\u{131}n", 403, "user_unknown"),
    ] {
        let answer = login(&world.app, &claims(name)).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{name}");
    }
    // Their email address logs them in, if the issuer may do that.
    let answer = login(&world.app, &json!({"email": "superuser@example.com"})).await;
    answer.expect(200, "session_opened");
    // Without a configured claim no username counts.
    let without = world.gate(&[ISSUER]);
    for name in ["ann", "admin"] {
        let answer = login(&without, &claims(name)).await;
        answer
            .expect(200, "token_claim_missing")
            .expect_no_session();
    }
}
