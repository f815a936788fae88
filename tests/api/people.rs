//! Methods 1 and 3 find, rename and create users.

use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, TestDatabase};
use crate::support::token::{now, sign, with};

/// What an operator shares with their issuer.
pub const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

pub fn token(changes: &Value) -> String {
    let claims = json!({"email": "new@example.com", "iat": now(), "exp": now() + 600});
    sign(Algorithm::HS256, SHARED, &with(claims, changes))
}

async fn login(app: &TestApp, changes: &Value) -> Answer {
    app.check("/", &format!("ls_auth_token={}", token(changes)))
        .await
}

fn start(database: &TestDatabase, more: &[(&str, &str)]) -> TestApp {
    let mut settings = vec![("JWT_SSO_SECRET", SHARED)];
    settings.extend(more);
    TestApp::start(&database.gate_url(), &settings)
}

const CREATE: (&str, &str) = ("JWT_SSO_AUTO_CREATE_USERS", "true");

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_as_the_guide_says() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let exact = database.user("ann@example.com", organization).await;
    let folded = database.user("Bob@Example.com", organization).await;
    let upper = database.user("EVE@example.com", organization).await;
    database.user("Eve@example.com", organization).await;
    let named = database.user("someone@example.com", organization).await;
    database
        .run(&format!(
            "UPDATE htx_user SET username = 'the-one' WHERE id = {named}"
        ))
        .await;
    for twin in ["t1@a.test", "t2@a.test"] {
        let id = database.user(twin, organization).await;
        database
            .run(&format!(
                "UPDATE htx_user SET username = 'twin' WHERE id = {id}"
            ))
            .await;
    }
    let app = start(&database, &[("JWT_SSO_USERNAME_CLAIM", "username")]);
    for (claims, expected) in [
        (json!({"email": "ann@example.com"}), Some(exact)),
        (json!({"email": "ANN@example.COM"}), Some(exact)),
        (json!({"email": "bob@example.com"}), Some(folded)),
        (json!({"email": "EVE@example.com"}), Some(upper)),
        (json!({"email": "eve@example.com"}), None),
        (json!({"email": "nobody@example.com"}), None),
        // With an e-mail address the name doesn't count.
        (
            json!({"email": "nobody@example.com", "username": "the-one"}),
            None,
        ),
        (json!({"email": null, "username": "the-one"}), Some(named)),
        (json!({"email": null, "username": "THE-ONE"}), None),
        (
            json!({"email": null, "username": "the-one@example.com"}),
            None,
        ),
        (json!({"email": null, "username": "twin"}), None),
        // What stands before the @ of an address is nobody's name.
        (json!({"email": null, "username": "ann"}), None),
        (json!({"email": null, "username": "someone"}), None),
        (json!({"email": null, "username": "nobody"}), None),
    ] {
        let answer = login(&app, &claims).await;
        let id = answer.header("X-Gate-User-Id").map(str::to_owned);
        assert_eq!(id, expected.map(|id| id.to_string()), "{claims}");
        let status = if expected.is_some() { 200 } else { 403 };
        assert_eq!(answer.status, status, "{claims}: {}", answer.reason());
    }
}

/// All that a sign-up makes, in every version's tables; the role has the rights of `sql/role.sql` alone.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_created_in_every_version() {
    for version in crate::schema::versions() {
        let database = TestDatabase::of_version(&version).await;
        let organization = "INSERT INTO organization (title, created_at, updated_at) VALUES ('first', now(), now()), ('second', now(), now())";
        database.run(organization).await;
        let app = start(
            &database,
            &[CREATE, ("JWT_SSO_USERNAME_CLAIM", "preferred_username")],
        );
        let claims = json!({
            "email": "New.Person@Example.com", "first_name": "Neu", "last_name": "이름", "preferred_username": "np",
        });
        let answer = login(&app, &claims).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_opened"),
            "{version}"
        );
        assert!(answer.session().is_some());
        let row = database
            .text(
                "SELECT concat_ws('|', email, username, first_name, last_name, is_active, is_staff, is_superuser, phone, avatar,
                                  password ~ '^![0-9a-f]{40}$', last_login > now() - interval '1 minute',
                                  date_joined > now() - interval '1 minute', activity_at IS NOT NULL, last_activity IS NOT NULL,
                                  active_organization_id = (SELECT min(id) FROM organization))
                   FROM htx_user",
            )
            .await;
        assert_eq!(
            row, "new.person@example.com|np|Neu|이름|t|f|f|||t|t|t|t|t|t",
            "{version}"
        );
        for (what, query) in [
            (
                "a member of the first organization",
                "SELECT count(*) FROM organizations_organizationmember m JOIN htx_user u ON u.id = m.user_id AND u.active_organization_id = m.organization_id",
            ),
            (
                "an API token",
                "SELECT count(*) FROM authtoken_token t JOIN htx_user u ON u.id = t.user_id WHERE t.key ~ '^[0-9a-f]{40}$'",
            ),
            ("one user", "SELECT count(*) FROM htx_user"),
        ] {
            assert_eq!(database.text(query).await, "1", "{version}: {what}");
        }
        let hotkeys = "SELECT to_jsonb(u) ->> 'custom_hotkeys' FROM htx_user u";
        let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
        let expected = if minor >= 21 { "{}" } else { "" };
        assert_eq!(database.text(hotkeys).await, expected, "{version}");
        // The same person again is the same user.
        let again = login(&app, &json!({"email": "new.person@example.com"})).await;
        assert_eq!(
            again.header("X-Gate-User-Id"),
            answer.header("X-Gate-User-Id"),
            "{version}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_requests_make_one_user() {
    let database = TestDatabase::new().await;
    database.organization().await;
    let apps = [start(&database, &[CREATE]), start(&database, &[CREATE])];
    let token = token(&json!({}));
    let cookie = format!("ls_auth_token={token}");
    let requests = (0..40).map(|n| apps[n % 2].check("/", &cookie));
    for answer in join_all(requests).await {
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_opened"),
            "{:?}",
            answer.headers
        );
    }
    for table in [
        "htx_user",
        "organizations_organizationmember",
        "authtoken_token",
        "django_session",
    ] {
        let count = database
            .text(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(count, "1", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_created_where_that_is_not_wanted_or_not_possible() {
    let database = TestDatabase::new().await;
    let users = "SELECT count(*) FROM htx_user";

    // Not without an organization to be in.
    let app = start(&database, &[CREATE]);
    let answer = login(&app, &json!({})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_not_created"));
    assert_eq!(database.text(users).await, "0");
    let organization = database.organization().await;

    // Not unless it is allowed.
    let answer = login(&start(&database, &[]), &json!({})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_unknown"));

    // Not for a name without an address.
    let app = start(&database, &[CREATE, ("JWT_SSO_USERNAME_CLAIM", "username")]);
    let answer = login(&app, &json!({"email": null, "username": "new"})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_unknown"));

    // Not where two have the address in other cases.
    database.user("TWO@example.com", organization).await;
    database.user("Two@example.com", organization).await;
    let answer = login(&app, &json!({"email": "two@example.com"})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_unknown"));

    // Not for somebody who was removed, or is not active.
    let gone = database.user("gone@example.com", organization).await;
    database
        .run(&format!(
            "UPDATE organizations_organizationmember SET deleted_at = now() WHERE user_id = {gone}"
        ))
        .await;
    let answer = login(&app, &json!({"email": "gone@example.com"})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_removed"));
    let idle = database.user("idle@example.com", organization).await;
    database
        .run(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {idle}"
        ))
        .await;
    let answer = login(&app, &json!({"email": "idle@example.com"})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_inactive"));
    assert_eq!(database.text(users).await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_ask_for_more_switch_creating_off_and_nothing_else() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let known = database.user("known@example.com", organization).await;
    database
        .run("ALTER TABLE htx_user ADD COLUMN shoe_size integer; UPDATE htx_user SET shoe_size = 1; ALTER TABLE htx_user ALTER COLUMN shoe_size SET NOT NULL")
        .await;
    let app = start(&database, &[CREATE]);
    let answer = login(&app, &json!({})).await;
    assert_eq!((answer.status, answer.reason()), (403, "user_not_created"));
    let answer = login(&app, &json!({"email": "known@example.com"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("X-Gate-User-Id"),
        Some(known.to_string().as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_follow_the_claims_where_they_may() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("new@example.com", organization).await;
    let names = format!("SELECT first_name || '|' || last_name FROM htx_user WHERE id = {user}");
    let claims = json!({"first_name": "Ann", "last_name": "Lee"});

    let without = start(&database, &[("GATE_EXTERNAL_UPDATE_NAMES", "false")]);
    assert_eq!(login(&without, &claims).await.status, 200);
    assert_eq!(database.text(&names).await, "|");

    let app = start(&database, &[]);
    assert_eq!(login(&app, &claims).await.status, 200);
    assert_eq!(database.text(&names).await, "Ann|Lee");
    // What a token says nothing about stays.
    assert_eq!(
        login(&app, &json!({"first_name": "Anna"})).await.status,
        200
    );
    assert_eq!(database.text(&names).await, "Anna|Lee");
    // What is longer than the column is cut.
    let long = "x".repeat(300);
    let answer = login(&app, &json!({"last_name": long})).await;
    assert_eq!(answer.status, 200, "{}", answer.reason());
    assert_eq!(
        database.text(&names).await,
        format!("Anna|{}", "x".repeat(256))
    );
    // A name that can't be written keeps nobody outside.
    let revoke = format!(
        "REVOKE UPDATE (first_name, last_name) ON htx_user FROM {}",
        crate::support::cluster::GATE_ROLE
    );
    database.run(&revoke).await;
    assert_eq!(
        login(&app, &json!({"first_name": "Other"})).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_come_in_where_the_issuer_may_let_them() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    for (column, email) in [("is_staff", "s@e.test"), ("is_superuser", "r@e.test")] {
        let id = database.user(email, organization).await;
        database
            .run(&format!(
                "UPDATE htx_user SET {column} = true WHERE id = {id}"
            ))
            .await;
        let claims = json!({"email": email});
        assert_eq!(login(&start(&database, &[]), &claims).await.status, 200);
        let strict = start(&database, &[("GATE_EXTERNAL_ALLOW_PRIVILEGED", "no")]);
        let answer = login(&strict, &claims).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (403, "user_privileged"),
            "{column}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_route_makes_accounts_where_it_may() {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let key = "0123456789abcdef0123456789abcdef01234567";
    database.admin(organization, key).await;
    let authorization = format!("Token {key}");
    let body = r#"{"email": "Fresh@example.com"}"#;
    let app = start(&database, &[]);
    assert_eq!(app.issue(&authorization, body).await.status, 422);
    let app = start(&database, &[("SSO_AUTO_CREATE_USERS", "true")]);
    let issued = app.issue(&authorization, body).await;
    assert_eq!(issued.status, 200, "{}", issued.body);
    let token = issued.json()["token"].as_str().unwrap().to_owned();
    let answer = app.check("/", &format!("ls_auth_token={token}")).await;
    assert_eq!(answer.header("X-Gate-Email"), Some("fresh@example.com"));
    let rubbish = app
        .issue(&authorization, r#"{"email": "no address"}"#)
        .await;
    assert_eq!(rubbish.status, 422);
    assert_eq!(database.text("SELECT count(*) FROM htx_user").await, "2");
}
