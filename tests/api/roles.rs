//! `sql/role.sql`, run by a role that owns Label Studio's tables and nothing else.

use std::process::Command;

use crate::app::TestDatabase;
use crate::support::cluster::{CLUSTER, roles};

/// Runs `sql/role.sql` as `owner`, and returns whether it worked and what psql said.
fn grant_as(owner: &str, database: &str, role: &str) -> (bool, String) {
    let output = Command::new("psql")
        .env("PATH", CLUSTER.path())
        .args([
            "-X",
            "-q",
            "-v",
            &format!("role={role}"),
            "-f",
            "sql/role.sql",
        ])
        .arg(CLUSTER.url(owner, database))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_the_tables_who_may_not_create_roles_grants_to_an_existing_role() {
    let database = TestDatabase::new().await;
    let (owner, role) = ("an_owner_of_tables", "a_role_of_the_owner");
    let turn = roles();
    let as_superuser = |statement: &str| CLUSTER.psql(&database.name, &["-c", statement]);
    as_superuser(&format!(
        "CREATE ROLE {owner} LOGIN NOCREATEROLE;
             GRANT USAGE, CREATE ON SCHEMA public TO {owner};
             DO $$
             DECLARE name text;
             BEGIN
                 FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                     EXECUTE format('ALTER TABLE %I OWNER TO {owner}', name);
                 END LOOP;
             END $$"
    ));

    let (works, said) = grant_as(owner, &database.name, role);
    assert!(!works, "{said}");
    assert!(
        said.contains(&format!(
            "the role {role} does not exist, and {owner} may not create roles"
        )) && said.contains(&format!("CREATE ROLE {role} NOINHERIT LOGIN PASSWORD")),
        "{said}"
    );

    as_superuser(&format!("CREATE ROLE {role} LOGIN"));
    for _ in 0..2 {
        let (works, said) = grant_as(owner, &database.name, role);
        assert!(works, "{said}");
    }
    drop(turn);
    let may = format!("SELECT has_column_privilege('{role}', 'htx_user', 'email', 'SELECT')");
    assert_eq!(database.text(&may).await, "t");
}

/// Where the database is closed to everybody, its owner still opens it to the role.
#[tokio::test(flavor = "multi_thread")]
async fn the_role_is_let_into_a_closed_database() {
    let database = TestDatabase::new().await;
    let role = "a_role_of_a_closed_database";
    database
        .run(&format!(
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC; REVOKE USAGE ON SCHEMA public FROM PUBLIC",
            database.name
        ))
        .await;
    let (works, said) = {
        let _turn = roles();
        grant_as("postgres", &database.name, role)
    };
    assert!(works, "{said}");
    for may in [
        "has_database_privilege('{role}', current_database(), 'CONNECT')",
        "has_schema_privilege('{role}', 'public', 'USAGE')",
    ] {
        let query = format!("SELECT {}", may.replace("{role}", role));
        assert_eq!(database.text(&query).await, "t", "{query}");
    }
}
