//! The tables of every supported version of Label Studio, and the privileges of the role.

use label_studio_gate::doctor;
use label_studio_gate::postgres::Postgres;

use crate::app::{TestDatabase, settings};
use crate::support::cluster::{CLUSTER, GATE_ROLE};

pub fn versions() -> Vec<String> {
    let directory =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema")).unwrap();
    let names = directory.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
        .collect()
}

/// `doctor` sends each statement once under the gate's role; Postgres checks its names, types
/// and privileges.
#[tokio::test(flavor = "multi_thread")]
async fn every_statement_works_with_every_version_and_the_least_privileges() {
    let versions = versions();
    assert_eq!(versions.len(), 18, "{versions:?}");
    for version in versions {
        let database = TestDatabase::of_version(&version).await;
        for engine in ["db", "signed_cookies"] {
            let settings = settings(&database.gate_url(), &[("SESSION_ENGINE", engine)]);
            let backend = Postgres::connect(&settings.database).unwrap();
            let report = doctor::examine(&settings, &backend, std::time::SystemTime::now()).await;
            let report = report.unwrap_or_else(|report| panic!("{version}: {report}"));
            assert!(
                report.lines().filter(|line| line.starts_with("ok")).count() >= 10,
                "{report}"
            );
            let schema = backend.schema().await.unwrap();
            let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
            assert_eq!(schema.has_jwt_tokens, minor >= 17, "{version}");
            assert_eq!(schema.has_session_policy, minor >= 20, "{version}");
            assert_eq!(schema.legacy_tokens_by_default, minor < 22, "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_may_do_what_it_needs_and_nothing_else() {
    let database = TestDatabase::new().await;
    // As in the README, without the privilege to create users.
    let role = "the_least_role";
    CLUSTER.psql(
        &database.name,
        &["-v", &format!("role={role}"), "-f", "sql/role.sql"],
    );
    CLUSTER.psql(&database.name, &["-c", &format!("ALTER ROLE {role} LOGIN")]);
    let url = CLUSTER.url(role, &database.name);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let new_user = "INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                    last_activity, activity_at, phone, avatar) VALUES ('', false, '', 'x', '', '', false, true, now(), now(), now(), '', '')";
    for (statement, allowed) in [
        (new_user, false),
        (
            "INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id) VALUES (now(), now(), 1, 1)",
            false,
        ),
        ("UPDATE htx_user SET first_name = '' WHERE id = -1", true),
        ("UPDATE htx_user SET email = '' WHERE id = -1", false),
        ("SELECT id, email, password, is_active FROM htx_user", true),
        ("UPDATE htx_user SET last_login = now() WHERE id = -1", true),
        ("SELECT phone FROM htx_user", false),
        ("SELECT * FROM htx_user", false),
        ("UPDATE htx_user SET password = 'x'", false),
        ("UPDATE htx_user SET is_superuser = true", false),
        ("UPDATE htx_user SET is_active = true", false),
        ("INSERT INTO htx_user (email) VALUES ('x')", false),
        ("DELETE FROM htx_user", false),
        ("SELECT token FROM token_blacklist_outstandingtoken", false),
        ("DELETE FROM token_blacklist_blacklistedtoken", false),
        ("UPDATE authtoken_token SET user_id = 1", false),
        (
            "INSERT INTO authtoken_token (key, created, user_id) VALUES ('x', now(), 1)",
            false,
        ),
        (
            "UPDATE jwt_auth_jwtsettings SET legacy_api_tokens_enabled = true",
            false,
        ),
        ("UPDATE django_session SET session_key = 'x'", false),
        ("TRUNCATE django_session", false),
        ("SELECT title FROM organization", false),
        ("DROP TABLE django_session", false),
        ("CREATE TABLE surprise ()", false),
        ("CREATE ROLE surprise", false),
    ] {
        let outcome = client.batch_execute(statement).await;
        assert_eq!(outcome.is_ok(), allowed, "{statement}: {outcome:?}");
    }
    let rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = ";
    assert_eq!(database.text(&format!("{rights}'{role}'")).await, "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_wrong() {
    let database = TestDatabase::new().await;
    let report = async |url: &str, more: &[(&str, &str)]| {
        let settings = settings(url, more);
        let backend = Postgres::connect(&settings.database).unwrap();
        let report = doctor::examine(&settings, &backend, std::time::SystemTime::now()).await;
        report.unwrap_err()
    };
    let nowhere = report("postgres://nobody@127.0.0.1:1/nothing", &[]).await;
    assert!(
        nowhere.contains("FAIL  Postgres does not answer"),
        "{nowhere}"
    );

    database
        .run(&format!(
            "REVOKE UPDATE (last_login) ON htx_user FROM {GATE_ROLE}"
        ))
        .await;
    let revoked = report(&database.gate_url(), &[]).await;
    assert!(
        revoked.contains("FAIL  the role cannot record a login"),
        "{revoked}"
    );
    assert!(revoked.contains("run sql/role.sql"), "{revoked}");

    let other_key = [(
        "SECRET_KEY",
        "another-secret-key-of-more-than-fifty-characters-0123456789",
    )];
    let row = "INSERT INTO django_session VALUES ('k234567812345678', 'e30:1r31eq:JSex4IvqKT2tHiyLFfDtkooZXqivzjEOP-zKMvsVwpI', now() + interval '1 day')";
    database.run(row).await;
    let other_report = report(&database.gate_url(), &other_key).await;
    assert!(
        other_report.contains("1 of 1 recent sessions are signed with another SECRET_KEY"),
        "{other_report}"
    );
}
