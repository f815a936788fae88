//! The audit table: what it holds, who may write it, and what happens while it can't be written.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use label_studio_gate::audit::{AuditEvent, AuditTable as _};
use label_studio_gate::doctor::Level;
use label_studio_gate::postgres::Postgres;
use serde_json::{Value, json};

use crate::actors::{Browser, Caller};
use crate::app::{TestDatabase, settings};
use crate::commands::{gate_with, said};
use crate::doctor::{examine, expect};
use crate::log_lines::Logged;
use crate::schema::versions;
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::wait_until;
use crate::world::{CREATE_USERS, ISSUER, World, issuer_token, migrate};

pub const TABLE: (&str, &str) = ("GATE_AUDIT_TABLE", "true");
const PEER: &str = "192.0.2.7";

fn event(id: u8, age: Duration) -> AuditEvent {
    AuditEvent {
        id: [id; 16],
        at: SystemTime::now() - age,
        event: "refused",
        request_id: "12345678".to_owned(),
        peer: IpAddr::from([192, 0, 2, 7]),
        method: Some("external"),
        user_id: None,
        identity: Some("o'hara@example.com".to_owned()),
        caller_id: None,
        reason: Some("user_unknown"),
        path: Some("/projects".to_owned()),
        provider: None,
    }
}

/// The rows, oldest first, without ID and time.
async fn rows(database: &TestDatabase) -> Vec<Value> {
    let query = "SELECT coalesce(json_agg(to_jsonb(audit) - 'id' - 'at' ORDER BY at, id), '[]') FROM label_studio_gate.audit AS audit";
    serde_json::from_str(&database.text(query).await).unwrap()
}

pub async fn wait_for_rows(database: &TestDatabase, count: usize) -> Vec<Value> {
    for _ in 0..300 {
        let found = rows(database).await;
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{count} rows expected: {:?}", rows(database).await);
}

/// The whole table, once it has this event.
pub async fn wait_for_event(database: &TestDatabase, event: &str) -> String {
    for _ in 0..300 {
        let table = Value::from(rows(database).await).to_string();
        if table.contains(event) {
            return table;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no event {event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_work_with_every_version_and_the_least_privileges() {
    for version in versions() {
        let database = TestDatabase::of_version(&version).await;
        migrate(&database).await;
        let settings = settings(&database.gate_url(), &[TABLE]);
        let backend = Postgres::connect(&settings.database).unwrap();
        let batch = [
            event(1, Duration::ZERO),
            event(2, Duration::from_secs(864_000)),
        ];
        for _ in 0..2 {
            backend.append(&batch).await.unwrap();
        }
        assert_eq!(
            rows(&database).await.len(),
            2,
            "{version}: sent twice, written once"
        );
        let last_week = SystemTime::now() - Duration::from_secs(604_800);
        assert_eq!(backend.purge_audit(last_week).await, Ok(1), "{version}");
        assert_eq!(rows(&database).await.len(), 1, "{version}");
    }
}

/// Whoever takes over the gate can't rewrite what it wrote.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_may_only_append_unless_events_are_kept_for_a_time() {
    let database = TestDatabase::new().await;
    let owner = settings(&CLUSTER.url("postgres", &database.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(Some(GATE_ROLE), false).await.unwrap();
    let url = database.gate_url();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let may = async |statement: &str| client.batch_execute(statement).await.is_ok();
    let read = "SELECT identity FROM label_studio_gate.audit";
    let delete = "DELETE FROM label_studio_gate.audit WHERE at < now()";
    for statement in [
        read,
        delete,
        "SELECT id FROM label_studio_gate.audit",
        "UPDATE label_studio_gate.audit SET event = ''",
        "TRUNCATE label_studio_gate.audit",
    ] {
        assert!(!may(statement).await, "{statement}");
    }
    let forever = [TABLE, ("GATE_AUDIT_RETENTION_DAYS", "0")];
    for (more, is_well) in [(&forever[..], true), (&[TABLE], false)] {
        let report = examine(&settings(&url, more)).await;
        let text = report.to_string();
        assert!(
            text.contains("the role may write the audit table"),
            "{text}"
        );
        assert_eq!(report.failures() == 0, is_well, "{text}");
        assert_eq!(
            text.contains("cannot delete old audit events"),
            !is_well,
            "{text}"
        );
    }
    owner.migrate(Some(GATE_ROLE), true).await.unwrap();
    assert!(may(delete).await);
    assert!(!may(read).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_in_the_table() {
    let world = World::with_own_tables(&[]).await;
    let gate = world.gate(&[TABLE, ISSUER, CREATE_USERS]);
    let (ann, superuser) = (&world.ann, &world.superuser);
    let browser = |id| {
        let browser = Browser::of(&gate).with_header("X-Request-Id", id);
        browser.with_header("X-Real-IP", PEER)
    };
    let row = |event: &str, id: &str, fields: Value| {
        let mut row = json!({
            "event": event, "request_id": id, "peer": PEER, "method": null, "user_id": null, "identity": null,
            "caller_id": null, "reason": null, "path": null, "provider": null,
        });
        let fields = fields.as_object().unwrap().clone();
        row.as_object_mut().unwrap().extend(fields);
        row
    };
    browser("passed-0").get("/").await.expect(200, "no_token");
    let login = browser("login-00").with_token(&ann.token());
    login
        .get("/projects?a=b")
        .await
        .expect(200, "session_opened");
    let refused = browser("refused-").with_token(&issuer_token(&json!({"exp": 1})));
    refused.get("/").await.expect(200, "token_expired");
    let created = browser("created-").with_token(&issuer_token(&json!({})));
    created.get("/").await.expect(200, "session_opened");
    let caller = Caller::of(&gate).with_authorization(&superuser.authorization());
    let caller = caller.at(PEER).with_request_id("caller-0");
    caller.issue("nobody@example.com").await.expect_status(422);
    caller.issue(&ann.email).await.expect_status(200);
    caller.revoke(&ann.email).await.expect_status(200);

    let id = "SELECT id FROM htx_user WHERE email = 'new@example.com'";
    let new: i32 = world.database.text(id).await.parse().unwrap();
    let expected = [
        row(
            "logged in",
            "login-00",
            json!({"method": "native", "user_id": ann.id, "reason": "session_opened", "path": "/projects"}),
        ),
        row(
            "credential refused",
            "refused-",
            json!({"reason": "token_expired", "path": "/"}),
        ),
        row("account created", "created-", json!({"user_id": new})),
        row(
            "logged in",
            "created-",
            json!({"method": "external", "user_id": new, "reason": "session_opened", "path": "/"}),
        ),
        row(
            "token refused",
            "caller-0",
            json!({"identity": "nobody@example.com", "caller_id": superuser.id, "reason": "user_unknown"}),
        ),
        row(
            "token issued",
            "caller-0",
            json!({"user_id": ann.id, "caller_id": superuser.id}),
        ),
        row(
            "sessions ended",
            "caller-0",
            json!({"user_id": ann.id, "caller_id": superuser.id}),
        ),
    ];
    let found = wait_for_rows(&world.database, expected.len()).await;
    assert_eq!(found, expected);
    let dump = Value::from(found).to_string();
    for secret in [
        &ann.key,
        &superuser.key,
        &login.session().unwrap(),
        &"eyJ".to_owned(),
    ] {
        assert!(!dump.contains(secret.as_str()), "{secret} is in {dump}");
    }
}

/// The table of an earlier version is written as far as its columns go, until `migrate` adds the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_fewer_columns_is_written_until_migrate_adds_them() {
    let world = World::with_own_tables(&[]).await;
    let former = "ALTER TABLE label_studio_gate.audit DROP COLUMN provider";
    world.database.run(former).await;
    let gate = world.gate(&[TABLE]);
    let login = async || {
        let browser = Browser::of(&gate).with_token(&world.ann.token());
        browser.get("/").await.expect(200, "session_opened");
    };
    login().await;
    let before = wait_for_rows(&world.database, 1).await;
    assert_eq!(before[0].get("provider"), None);
    let url = world.database.gate_url();
    let examined = async || examine(&settings(&url, &[TABLE])).await;
    let what = "the audit table has no column provider";
    let report = examined().await;
    expect(&report, "database.audit", Level::Warning, what, "migrate");
    migrate(&world.database).await;
    let report = examined().await;
    assert!(!report.to_string().contains(what), "{report}");
    login().await;
    let after = wait_for_rows(&world.database, 2).await;
    assert_eq!(after[1].get("provider"), Some(&Value::Null));
    assert_eq!(after[1]["user_id"], world.ann.id);
}

/// What the operator has added to the table is filled by Postgres.
#[tokio::test(flavor = "multi_thread")]
async fn columns_of_the_operators_own_have_their_defaults() {
    let world = World::with_own_tables(&[]).await;
    let url = world.database.gate_url();
    let settings = settings(&url, &[]);
    let added = "ALTER TABLE label_studio_gate.audit
                     ADD COLUMN written_at timestamptz NOT NULL DEFAULT now(),
                     ADD COLUMN network text GENERATED ALWAYS AS (host(peer)) STORED,
                     ADD COLUMN site text DEFAULT 'seoul'";
    world.database.run(added).await;
    for (id, lacking) in [
        (1, ""),
        (
            2,
            "ALTER TABLE label_studio_gate.audit DROP COLUMN provider",
        ),
    ] {
        world.database.run(lacking).await;
        // A gate that knows the table as it is now.
        let backend = Postgres::connect(&settings.database).unwrap();
        backend.append(&[event(id, Duration::ZERO)]).await.unwrap();
    }
    let rows = rows(&world.database).await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(
            (&row["network"], &row["site"]),
            (&json!("192.0.2.7"), &json!("seoul"))
        );
        assert!(row["written_at"].is_string(), "{row}");
    }
}

/// Nothing waits for the table: logins go on without it, and events are written once it is there.
#[tokio::test(flavor = "multi_thread")]
async fn events_wait_until_the_table_can_be_written() {
    let world = World::with_own_tables(&[]).await;
    let logged = Logged::of(&world, &[TABLE]);
    let gate = &logged.app;
    let lock = format!("REVOKE INSERT ON label_studio_gate.audit FROM {GATE_ROLE}");
    world.database.run(&lock).await;
    for _ in 0..3 {
        let browser = Browser::of(gate).with_token(&world.ann.token());
        browser.get("/").await.expect(200, "session_opened");
    }
    let said = "the audit table cannot be written";
    wait_until(|| logged.text().contains(said), || logged.text());
    assert_eq!(rows(&world.database).await.len(), 0);
    let unlock = format!("GRANT INSERT ON label_studio_gate.audit TO {GATE_ROLE}");
    world.database.run(&unlock).await;
    assert_eq!(wait_for_rows(&world.database, 3).await.len(), 3);
    let metrics = gate.get("/metrics").await.body;
    assert!(
        metrics.contains("label_studio_gate_audit_events_lost_total 0\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_ends_writes_what_is_left() {
    let world = World::with_own_tables(&[]).await;
    let gate = Logged::of(&world, &[TABLE]);
    for _ in 0..20 {
        let browser = Browser::of(&gate.app).with_token(&world.ann.token());
        browser.get("/").await.expect(200, "session_opened");
    }
    drop(gate);
    assert_eq!(wait_for_rows(&world.database, 20).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_deletes_old_events() {
    let world = World::with_own_tables(&[]).await;
    let url = world.database.gate_url();
    let settings = settings(&url, &[]);
    let backend = Postgres::connect(&settings.database).unwrap();
    let day = Duration::from_secs(86_400);
    backend
        .append(&[event(1, day), event(2, 40 * day), event(3, 50 * day)])
        .await
        .unwrap();
    let purge = |days| {
        let table = [
            ("DATABASE_URL", url.as_str()),
            TABLE,
            ("GATE_AUDIT_RETENTION_DAYS", days),
        ];
        said(&gate_with(&["purge"], &table))
    };
    assert!(!purge("0").contains("audit"));
    assert!(purge("30").contains("deleted 2 old audit events"));
    assert_eq!(rows(&world.database).await.len(), 1);
}
