use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::*;
use crate::telemetry::{Format, subscriber};

const FIELDS: &[(&str, &str)] = &[
    ("timestamp", "When, in UTC (RFC 3339)."),
    ("level", "See above."),
    ("message", "The event."),
    ("request_id", "The ID of the request; see below."),
    (
        "peer",
        "The address of the browser or caller; see [proxies.md](proxies.md#what-to-set-in-the-gate).",
    ),
    (
        "method",
        "How the user proved who they are: `external`, `native`, `session` or `proxy` ([methods.md](methods.md)), or `openid` ([sign-in.md](sign-in.md)).",
    ),
    ("user_id", "Whom the event concerns: `htx_user.id`."),
    (
        "identity",
        "The address or username that a verified credential, or an administrator's call, names, if no user has it. `signed out by provider`: the `sub` in the logout token, if no session was found.",
    ),
    (
        "caller_id",
        "The owner of the API token of a call to `/api/sso/token` or `/api/sso/revoke`: `htx_user.id`.",
    ),
    (
        "reason",
        "Why: a code of [reasons.md](reasons.md). Absent if the event says it all.",
    ),
    (
        "claim",
        "Where the user was looked for, if a verified credential names none, or none who may sign in: the claim, or the field of your application's answer.",
    ),
    (
        "path",
        "The path that was asked for, without its query, at most 200 characters.",
    ),
    (
        "provider",
        "`signed out by provider`, `provider logout refused`: the OpenID provider, by its issuer. Absent if the token names none of the settings.",
    ),
    (
        "sessions",
        "`sessions ended`, `signed out by provider`: how many rows were deleted. Absent with signed cookies.",
    ),
    (
        "tokens_revoked",
        "`sessions ended`, `revocation refused`: whether tokens issued before are revoked.",
    ),
    ("hint", "What to look at."),
    ("target", "`audit` or `label_studio_gate::decision`."),
];

/// What `work` logs.
fn logged(format: Format, work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let everything = Targets::new().with_default(LevelFilter::TRACE);
    let (everything, _) = subscriber(format, everything, move || writer.clone());
    tracing::subscriber::with_default(everything, work);
    let bytes = sink.0.lock().expect("lock").clone();
    String::from_utf8(bytes).expect("text")
}

fn peer() -> PeerAddress {
    PeerAddress::for_tests("192.0.2.7")
}

/// The table in `docs/log.md` is generated from the fields. `UPDATE_DOCS=1` writes it.
#[test]
fn the_log_fields_are_documented() {
    let mut table = String::from("| field | meaning |\n|---|---|\n");
    for (field, meaning) in FIELDS {
        let _ = writeln!(table, "| `{field}` | {meaning} |");
    }
    crate::documents::compare_part("docs/log.md", "fields", &table);

    let principal = Principal {
        method: Some(Method::External),
        user_id: Some(7),
        identity: Some("ann@example.com".to_owned()),
        claim: Some("groups".to_owned()),
    };
    let entry = Entry {
        hint: Some("x"),
        ..Entry::new(Event::Refused)
    };
    let entry = entry.because("x").about(&principal).called_by(Some(1));
    let entry = entry.at(Some("/")).ended(Some(3), true);
    let entry = entry.by_provider(Some("https://id.example.com"));
    let line = logged(Format::Json, || entry.log("12345678", peer()));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let found: Vec<&String> = line.as_object().expect("an object").keys().collect();
    let documented: Vec<&str> = FIELDS.iter().map(|(field, _)| *field).collect();
    assert_eq!(found, documented);
}

#[test]
fn text_from_outside_stays_on_its_line() {
    let principal = Principal {
        identity: Some(format!(
            "a\n2026 INFO audit: logged in\u{1b}[31m{}",
            "x".repeat(500)
        )),
        ..Principal::default()
    };
    let path = format!("/{}", "p".repeat(500));
    for format in [Format::Human, Format::Json] {
        let entry = Entry::new(Event::Refused).about(&principal).at(Some(&path));
        let lines = logged(format, || entry.log("12345678", peer()));
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(!lines.contains('\u{1b}'), "{lines}");
        assert!(lines.chars().count() < 600, "{lines}");
    }
}

#[test]
fn fields_without_a_value_are_left_out() {
    let entry = Entry::new(Event::Passed).because("no_token");
    let line = logged(Format::Human, || entry.log("12345678", peer()));
    let (_, line) = line.trim_end().split_once("DEBUG ").expect("the level");
    assert_eq!(
        line,
        "label_studio_gate::decision: passed request_id=\"12345678\" peer=192.0.2.7 reason=\"no_token\""
    );
}
