//! What `doctor` and the log say when Postgres, or what is in front of it, refuses the gate.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use label_studio_gate::doctor::Level;

use crate::app::{TestDatabase, settings};
use crate::doctor::{examine, expect};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::pgbouncer::PgBouncer;

/// A server that refuses every connection with this error: its port.
fn refusing(sqlstate: &'static str, message: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0");
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let _ = socket.write_all(&[b"E", &length[..], fields.as_bytes()].concat());
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_connection_has_a_cure_of_its_own() {
    for (sqlstate, message, cure) in [
        (
            "28P01",
            "password authentication failed for user \"gate\"",
            "POSTGRE_PASSWORD",
        ),
        (
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"gate\", database \"ls\", no encryption",
            "database.tls",
        ),
        (
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"gate\", database \"ls\", SSL encryption",
            "pg_hba.conf",
        ),
        ("28000", "role \"gate\" does not exist", "sql/role.sql"),
        (
            "28000",
            "role \"gate\" is not permitted to log in",
            "ALTER ROLE",
        ),
        ("3D000", "database \"ls\" does not exist", "POSTGRE_NAME"),
        ("08P01", "no such database: nope", "POSTGRE_NAME"),
        (
            "53300",
            "sorry, too many clients already",
            "max_connections",
        ),
        (
            "42501",
            "permission denied for database \"ls\"",
            "sql/role.sql",
        ),
        ("57P03", "the database system is starting up", "wait"),
    ] {
        let port = refusing(sqlstate, message);
        let url = format!("postgres://gate@127.0.0.1:{port}/ls");
        let report = examine(&settings(&url, &[])).await;
        let what = format!("Postgres does not answer: 127.0.0.1:{port}: db error: {message}");
        expect(&report, "database.connection", Level::Failure, &what, cure);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_told_from_one_that_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"N");
        }
    });
    let url = format!("postgres://gate@127.0.0.1:{port}/ls");
    let report = examine(&settings(&url, &[("GATE_DATABASE_TLS", "require")])).await;
    expect(
        &report,
        "database.connection",
        Level::Failure,
        "server does not support TLS",
        "database.tls",
    );
}

/// Statements that fail although the tables and the grants are right.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_statement_has_a_cure_of_its_own() {
    let database = TestDatabase::new().await;
    let read_only = format!(
        "ALTER ROLE {GATE_ROLE} IN DATABASE {} SET default_transaction_read_only",
        database.name
    );
    database.run(&format!("{read_only} = on")).await;
    let report = examine(&settings(&database.gate_url(), &[])).await;
    expect(
        &report,
        "database.privileges",
        Level::Failure,
        "the role cannot record a login: db error: cannot execute",
        "default_transaction_read_only",
    );
    database.run(&format!("{read_only} = off")).await;

    let lock = "BEGIN; LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE";
    database.run(lock).await;
    let limit = [("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "500")];
    let report = examine(&settings(&database.gate_url(), &limit)).await;
    expect(
        &report,
        "database.privileges",
        Level::Failure,
        "the role cannot look up an API token: db error: canceling statement due to statement timeout",
        "database.statement_timeout_ms",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_statement_mode_is_named() {
    let database = TestDatabase::new().await;
    let pooler = PgBouncer::start(2, "pool_mode = statement");
    for more in [&[][..], &[("GATE_DATABASE_PREPARED_STATEMENTS", "false")]] {
        let report = examine(&settings(&pooler.url(&database.name), more)).await;
        let found = report.findings().iter().any(|finding| {
            let cure = finding.cure.as_deref().unwrap_or_default();
            finding.level == Level::Failure && cure.contains("pool_mode = transaction")
        });
        assert!(found, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_named_where_writes_are_asked_for() {
    let database = TestDatabase::new().await;
    let read_only = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name
    );
    database.run(&read_only).await;
    let (port, name) = (CLUSTER.port(), &database.name);
    // With several hosts, the gate looks for the one that accepts writes.
    let hosts = format!("127.0.0.1:{port},localhost:{port}");
    let url = format!("postgres://{GATE_ROLE}@{hosts}/{name}");
    let report = examine(&settings(&url, &[])).await;
    expect(
        &report,
        "database.connection",
        Level::Failure,
        "is a standby, or does not allow writes",
        "primary",
    );
}
