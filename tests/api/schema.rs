//! The tables of every supported version of Label Studio, and the privileges of the role.

use label_studio_gate::doctor::Level;
use label_studio_gate::postgres::{Postgres, SchemaError};
use serde_json::json;

use crate::app::{TestApp, TestDatabase, settings};
use crate::commands::{gate_with, said};
use crate::doctor::{examine, expect};
use crate::process::{Reload, Service};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;
use crate::support::wait_until;
use crate::world::{CREATE_USERS, ISSUER, NO_CACHE, World, eventually, issuer_token, migrate};

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
    // 1.7 signs with a public constant and is refused.
    for version in versions.into_iter().filter(|version| version != "1.7.0") {
        let database = TestDatabase::of_version(&version).await;
        for engine in ["db", "signed_cookies"] {
            let settings = settings(&database.gate_url(), &[("SESSION_ENGINE", engine)]);
            let backend = Postgres::connect(&settings.database).unwrap();
            let report = examine(&settings).await;
            assert!(report.level() <= Level::Note, "{version}: {report}");
            let findings = report.findings().iter();
            assert!(
                findings
                    .filter(|finding| finding.level == Level::Ok)
                    .count()
                    >= 10,
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
        ("UPDATE htx_user SET is_staff = true", false),
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
        // Until PostgreSQL 14, every role may create tables in the schema "public".
        ("CREATE TABLE surprise ()", CLUSTER.version() < 15),
        ("CREATE ROLE surprise", false),
    ] {
        let outcome = client.batch_execute(statement).await;
        assert_eq!(outcome.is_ok(), allowed, "{statement}: {outcome:?}");
    }
    let rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = ";
    assert_eq!(database.text(&format!("{rights}'{role}'")).await, "f");
}

/// Label Studio 1.7 to 1.8.1 signs its sessions with a constant in its source code, whatever
/// `SECRET_KEY` says: nobody would be logged in, and anybody could forge a session.
#[tokio::test(flavor = "multi_thread")]
async fn label_studio_before_1_8_2_is_refused_with_the_reason() {
    let database = TestDatabase::of_version("1.7.0").await;
    let settings = settings(&database.gate_url(), &[]);
    let backend = Postgres::connect(&settings.database).unwrap();
    assert_eq!(
        backend.read_schema().await.err(),
        Some(SchemaError::PublicSecretKey)
    );
    let organization = "INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now()) RETURNING id";
    let organization = database.text(organization).await.parse().unwrap();
    let user = database.user("ann@example.com", organization).await;
    let gate = TestApp::start(&database.gate_url(), &[]);
    let answer = gate
        .check("/projects/", &format!("ls_auth_token={}", native(user)))
        .await;
    answer
        .expect(503, "database_unavailable")
        .expect_no_session();
    gate.get("/health/ready").await.expect_status(503);

    // The upgrade needs no restart of the gate.
    database
        .run("INSERT INTO django_migrations (app, name, applied) VALUES ('tasks', '0040_auto_20230628_1101', now())")
        .await;
    let answer = gate
        .check("/projects/", &format!("ls_auth_token={}", native(user)))
        .await;
    answer.expect(200, "session_opened");
}

/// The gate notices grants and tables that come while it runs.
#[tokio::test(flavor = "multi_thread")]
async fn grants_and_own_tables_take_effect_without_a_restart() {
    let world = World::new(&[ISSUER, CREATE_USERS, NO_CACHE]).await;
    let token = |email: &str| issuer_token(&json!({ "email": email }));
    let login = async |email: &str| {
        let cookie = format!("ls_auth_token={}", token(email));
        world.app.check("/projects/", &cookie).await
    };
    let reason = async |email| login(email).await.reason().to_owned();
    world
        .database
        .run(&format!("REVOKE INSERT ON htx_user FROM {GATE_ROLE}"))
        .await;
    // It may have read the schema before.
    eventually("no account is created", async || {
        reason("new@example.com").await == "user_not_created"
    })
    .await;
    CLUSTER.grant(&world.database.name);
    eventually("accounts are created", async || {
        reason("new@example.com").await == "session_opened"
    })
    .await;

    // A column that an upgrade of Label Studio requires: no account is created any more.
    world
        .database
        .run("ALTER TABLE htx_user ADD shoe_size integer NOT NULL DEFAULT 1; ALTER TABLE htx_user ALTER shoe_size DROP DEFAULT")
        .await;
    login("second@example.com")
        .await
        .expect(503, "database_unavailable");
    eventually("the gate has noticed the column", async || {
        reason("second@example.com").await == "user_not_created"
    })
    .await;
    world
        .database
        .run("ALTER TABLE htx_user DROP shoe_size")
        .await;
    eventually("the gate has noticed that it is gone", async || {
        reason("second@example.com").await == "session_opened"
    })
    .await;

    // The gate's own tables.
    let revoked = world.superuser.revoke(&world.ann).await;
    assert_eq!(revoked.json()["tokens_revoked"], false);
    migrate(&world.database).await;
    eventually("the gate has noticed its tables", async || {
        world.superuser.revoke(&world.ann).await.json()["tokens_revoked"] == true
    })
    .await;
}

/// A login that fails for lack of a right works as soon as the right is granted.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_grant_for_session_policies_fails_logins_until_it_is_given() {
    let world = World::new(&[]).await;
    let revoke = format!("REVOKE SELECT ON session_policy_sessiontimeoutpolicy FROM {GATE_ROLE}");
    world.database.run(&revoke).await;
    let cookie = format!("ls_auth_token={}", world.ann.token());
    let answer = world.app.check("/projects/", &cookie).await;
    answer.expect(503, "database_unavailable");
    CLUSTER.grant(&world.database.name);
    let answer = world.app.check("/projects/", &cookie).await;
    answer.expect(200, "session_opened");
}

/// Tables that the role may not use are never ignored: they hold revocations.
#[tokio::test(flavor = "multi_thread")]
async fn own_tables_without_grants_fail_logins() {
    let world = World::new(&[]).await;
    let owner = settings(&CLUSTER.url("postgres", &world.database.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(None, false).await.unwrap();
    let app = world.gate(&[]);
    let cookie = format!("ls_auth_token={}", world.ann.token());
    let answer = app.check("/projects/", &cookie).await;
    answer.expect(503, "database_unavailable");
    let ready = async || app.get("/health/ready").await.status;
    eventually("the gate is not ready", async || ready().await == 503).await;
    owner.migrate(Some(GATE_ROLE), false).await.unwrap();
    let answer = app.check("/projects/", &cookie).await;
    answer.expect(200, "session_opened");
    eventually("the gate is ready", async || ready().await == 200).await;
}

/// What is wrong with the database is in the log before anybody comes, with its cure.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_looked_at_when_the_service_starts() {
    let unusable = TestDatabase::new().await;
    let owner = settings(&CLUSTER.url("postgres", &unusable.name), &[]);
    let owner = Postgres::connect(&owner.database).unwrap();
    owner.migrate(None, false).await.unwrap();
    let without = TestDatabase::new().await;
    let nowhere = CLUSTER.url(GATE_ROLE, "no_such_database");
    for (url, told, cure) in [
        (nowhere, "cannot connect to Postgres", "POSTGRE_NAME"),
        (
            unusable.gate_url(),
            "this role may not use them",
            "migrate --role",
        ),
        (
            without.gate_url(),
            "the gate's own tables do not exist",
            "migrate --role",
        ),
    ] {
        let service = Service::start("", &[("DATABASE_URL", &url), ("GATE_TOKEN_USE", "once")]);
        let has_told = || {
            let log = service.log();
            let mut lines = log.lines();
            lines.any(|line| line.contains(told) && line.contains(cure))
        };
        wait_until(has_told, || service.log());
    }
}

/// New settings may ask for other tables, or name another database.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_looked_at_again_after_a_reload() {
    let of = |url: &str, more: &str| format!("[database]\nurl = \"{url}\"\n{more}");
    let (first, second) = (TestDatabase::new().await, TestDatabase::new().await);
    let (at_first, at_second) = (first.gate_url(), second.gate_url());
    let nowhere = "postgres://gate@127.0.0.1:1/nothing";
    let once = "[token]\nuse = \"once\"\n";
    let service = Service::start(&of(nowhere, ""), &[("GATE_LOG_LEVEL", "info")]);
    let tells = |what: &str, times: usize| {
        let has_told = || service.log().matches(what).count() == times;
        wait_until(has_told, || service.log());
    };
    for (settings, times) in [(of(&at_first, once), 1), (of(&at_second, once), 2)] {
        assert_eq!(service.reload(&settings).await, Reload::Applied);
        tells("the gate's own tables do not exist", times);
    }
    // The same pool, which has read the schema before there were tables.
    assert_eq!(service.reload(&of(&at_second, "")).await, Reload::Applied);
    migrate(&second).await;
    assert_eq!(service.reload(&of(&at_second, once)).await, Reload::Applied);
    tells("has_own_tables=true", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_which_roles_may_use_the_tables() {
    let database = TestDatabase::new().await;
    let owner = CLUSTER.url("postgres", &database.name);
    let migrated = |arguments: &[&str]| {
        let arguments = [&["migrate"], arguments].concat();
        said(&gate_with(&arguments, &[("DATABASE_URL", &owner)]))
    };
    let told = migrated(&[]);
    assert!(
        told.contains("no other role may use them") && told.contains("every login fails"),
        "{told}"
    );
    assert!(told.contains("migrate --role ROLE"), "{told}");
    let told = migrated(&["--role", GATE_ROLE]);
    assert_eq!(
        told,
        format!("the gate's own tables exist; roles that may use them: {GATE_ROLE}\n")
    );
    // An upgrade of the tables takes nothing away.
    assert_eq!(migrated(&[]), told);
}

/// What `migrate` lacks is not what `sql/role.sql` grants.
#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_what_it_lacks() {
    let database = TestDatabase::new().await;
    let fails = |role: &str, granted: &str, cure: &str| {
        let url = CLUSTER.url(role, &database.name);
        let variables = [("DATABASE_URL", &*url)];
        let output = gate_with(&["migrate", "--role", granted], &variables);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{role}, {granted}: {told}");
        assert!(told.contains(cure), "{role}, {granted}: {told}");
        assert!(!told.contains("cure=\"run sql/role.sql"), "{told}");
    };
    fails(GATE_ROLE, GATE_ROLE, "GRANT CREATE ON DATABASE");
    fails("postgres", "no_such_role", "create the role first");
    migrate(&database).await;
    fails(
        GATE_ROLE,
        GATE_ROLE,
        "owner of the schema label_studio_gate",
    );
}

/// Label Studio's tables may be in a schema that the role does not look at, or may not use.
#[tokio::test(flavor = "multi_thread")]
async fn tables_in_another_schema_are_found_and_named() {
    let database = TestDatabase::new().await;
    database
        .run("ALTER SCHEMA public RENAME TO annotation; CREATE SCHEMA public")
        .await;
    let report = examine(&settings(&database.gate_url(), &[])).await;
    expect(
        &report,
        "database.tables",
        Level::Failure,
        "Label Studio's tables are in the schema \"annotation\", which is not in the search_path",
        "SET search_path",
    );
    database
        .run(&format!(
            "ALTER SCHEMA annotation RENAME TO other; ALTER SCHEMA public RENAME TO empty; ALTER SCHEMA other RENAME TO public;
             REVOKE USAGE ON SCHEMA public FROM PUBLIC, {GATE_ROLE}"
        ))
        .await;
    let report = examine(&settings(&database.gate_url(), &[])).await;
    expect(
        &report,
        "database.tables",
        Level::Failure,
        "the role may not use the schema \"public\" with Label Studio's tables",
        "run sql/role.sql",
    );
    assert_eq!(report.failures(), 1, "{report}");
}
