//! Methods 1 and 3 find, rename and create users.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::actors::Browser;
use crate::app::{Answer, TestApp, TestDatabase};
use crate::support::cluster::GATE_ROLE;
use crate::world::{CREATE_USERS, ISSUER, World, issuer_token};

/// The answer to a new browser with a token of the issuer that has these claims.
pub async fn login(app: &TestApp, claims: &Value) -> Answer {
    let browser = Browser::of(app).with_token(&issuer_token(claims));
    browser.get("/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_found_as_the_guide_says() {
    let world = World::new(&[ISSUER, ("JWT_SSO_USERNAME_CLAIM", "username")]).await;
    let bob = world.user("Bob@Corp.test").await;
    let upper = world.user("EVE@corp.test").await;
    world.user("Eve@corp.test").await;
    let named = world.user("someone@corp.test").await;
    world.update(&named, "username = 'the-one'").await;
    for twin in ["t1@a.test", "t2@a.test"] {
        let twin = world.user(twin).await;
        world.update(&twin, "username = 'twin'").await;
    }
    let ann = &world.ann;
    let by_name = |name: &str| json!({"email": null, "username": name});
    let nobody = json!({"email": "nobody@corp.test", "username": "the-one"});
    for (claims, expected) in [
        (json!({"email": "ann@example.com"}), Some(ann)),
        (json!({"email": "ANN@example.COM"}), Some(ann)),
        (json!({"email": "bob@corp.test"}), Some(&bob)),
        (json!({"email": "EVE@corp.test"}), Some(&upper)),
        (json!({"email": "eve@corp.test"}), None),
        (json!({"email": "nobody@corp.test"}), None),
        // With an email address the username doesn't count.
        (nobody, None),
        (by_name("the-one"), Some(&named)),
        (by_name("THE-ONE"), None),
        (by_name("the-one@corp.test"), None),
        (by_name("twin"), None),
        // The part of an address before the @ is no username.
        (by_name("ann"), None),
        (by_name("someone"), None),
        (by_name("nobody"), None),
    ] {
        let answer = login(&world.app, &claims).await;
        let id = answer.header("X-Gate-User-Id").map(str::to_owned);
        let expected = expected.map(|user| user.id.to_string());
        assert_eq!(id, expected, "{claims}");
        let status = if expected.is_some() { 200 } else { 403 };
        assert_eq!(answer.status, status, "{claims}: {}", answer.reason());
    }
}

/// All that a sign-up makes, in every version's tables; the role has the rights of `sql/role.sql`
/// only.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_created_in_every_version() {
    // The gate refuses versions before 1.8.2.
    let supported = crate::schema::versions().into_iter();
    for version in supported.filter(|version| version != "1.7.0") {
        let database = TestDatabase::of_version(&version).await;
        let organization = "INSERT INTO organization (title, created_at, updated_at) VALUES ('first', now(), now()), ('second', now(), now())";
        database.run(organization).await;
        let username = ("JWT_SSO_USERNAME_CLAIM", "preferred_username");
        let app = TestApp::start(&database.gate_url(), &[ISSUER, CREATE_USERS, username]);
        let claims = json!({
            "email": "New.Person@Example.com", "first_name": "Neu", "last_name": "이름", "preferred_username": "np",
        });
        let answer = login(&app, &claims).await;
        answer.expect(200, "session_opened");
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
        again.expect_header("X-Gate-User-Id", answer.header("X-Gate-User-Id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_first_requests_create_one_user() {
    let world = World::new(&[ISSUER, CREATE_USERS]).await;
    let other = world.gate(&[ISSUER, CREATE_USERS]);
    let counts = async || {
        let mut counts = Vec::new();
        for table in [
            "htx_user",
            "organizations_organizationmember",
            "authtoken_token",
            "django_session",
        ] {
            let count = format!("SELECT count(*) FROM {table}");
            let count: i64 = world.database.text(&count).await.parse().unwrap();
            counts.push(count);
        }
        counts
    };
    let before = counts().await;
    let token = issuer_token(&json!({}));
    let requests = (0..40).map(async |n| {
        let app = if n % 2 == 0 { &world.app } else { &other };
        Browser::of(app).with_token(&token).get("/").await
    });
    for answer in join_all(requests).await {
        answer.expect(200, "session_opened");
    }
    let one_more: Vec<i64> = before.iter().map(|count| count + 1).collect();
    assert_eq!(counts().await, one_more);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_is_created_without_an_organization_to_join() {
    let database = TestDatabase::new().await;
    let app = TestApp::start(&database.gate_url(), &[ISSUER, CREATE_USERS]);
    let answer = login(&app, &json!({})).await;
    answer.expect(403, "user_not_created");
    assert_eq!(database.text("SELECT count(*) FROM htx_user").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_is_created_where_that_is_not_wanted_or_not_possible() {
    let username = ("JWT_SSO_USERNAME_CLAIM", "username");
    let world = World::new(&[ISSUER, CREATE_USERS, username]).await;
    // Two users have this address in different cases.
    world.user("TWO@corp.test").await;
    world.user("Two@corp.test").await;
    world.remove(&world.ann).await;
    world.update(&world.bob, "is_active = false").await;
    let users = world.users().await;

    let without_permission = world.gate(&[ISSUER]);
    let answer = login(&without_permission, &json!({})).await;
    answer.expect(403, "user_unknown");
    for (claims, reason) in [
        // A username without an address.
        (json!({"email": null, "username": "new"}), "user_unknown"),
        (json!({"email": "two@corp.test"}), "user_unknown"),
        (json!({"email": "ann@example.com"}), "user_removed"),
        (json!({"email": "bob@example.com"}), "user_inactive"),
    ] {
        login(&world.app, &claims).await.expect(403, reason);
    }
    assert_eq!(world.users().await, users);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_required_columns_switch_creating_off_and_nothing_else() {
    let world = World::new(&[ISSUER, CREATE_USERS]).await;
    world
        .database
        .run("ALTER TABLE htx_user ADD COLUMN shoe_size integer; UPDATE htx_user SET shoe_size = 1; ALTER TABLE htx_user ALTER COLUMN shoe_size SET NOT NULL")
        .await;
    let answer = login(&world.app, &json!({})).await;
    answer.expect(403, "user_not_created");
    let answer = login(&world.app, &json!({"email": "ann@example.com"})).await;
    answer.expect_status(200).expect_user(&world.ann);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_follow_the_claims_where_they_may() {
    let world = World::new(&[ISSUER]).await;
    let names =
        "SELECT first_name || '|' || last_name FROM htx_user WHERE email = 'ann@example.com'";
    let names = async || world.database.text(names).await;
    let login = async |app: &TestApp, names: Value| {
        let mut claims = names;
        claims["email"] = json!("ann@example.com");
        let answer = login(app, &claims).await;
        answer.expect_status(200);
    };
    let ann_lee = json!({"first_name": "Ann", "last_name": "Lee"});

    let without = world.gate(&[ISSUER, ("GATE_EXTERNAL_UPDATE_NAMES", "false")]);
    login(&without, ann_lee.clone()).await;
    assert_eq!(names().await, "|");

    login(&world.app, ann_lee).await;
    assert_eq!(names().await, "Ann|Lee");
    // A claim that is missing changes nothing.
    login(&world.app, json!({"first_name": "Anna"})).await;
    assert_eq!(names().await, "Anna|Lee");
    // A name that is longer than the column is truncated.
    login(&world.app, json!({"last_name": "x".repeat(300)})).await;
    assert_eq!(names().await, format!("Anna|{}", "x".repeat(256)));
    // A name that can't be written keeps nobody out.
    let revoke = format!("REVOKE UPDATE (first_name, last_name) ON htx_user FROM {GATE_ROLE}");
    world.database.run(&revoke).await;
    login(&world.app, json!({"first_name": "Other"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_issuer_has_not_verified_counts_only_where_that_is_set() {
    let world = World::new(&[ISSUER]).await;
    let trusting = world.gate(&[ISSUER, ("GATE_EXTERNAL_ACCEPT_UNVERIFIED_EMAIL", "true")]);
    for unverified in [json!(false), json!("false"), json!(0)] {
        let claims = json!({"email": world.ann.email, "email_verified": unverified});
        let answer = login(&world.app, &claims).await;
        answer
            .expect(200, "token_email_unverified")
            .expect_no_session();
        let answer = login(&trusting, &claims).await;
        answer.expect(200, "session_opened").expect_user(&world.ann);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_logs_in_staff_unless_that_is_switched_off() {
    let world = World::new(&[ISSUER]).await;
    let strict = world.gate(&[ISSUER, ("GATE_EXTERNAL_ALLOW_PRIVILEGED", "no")]);
    let root = world.user("root@example.com").await;
    world.update(&root, "is_superuser = true").await;
    for user in [&world.staff, &root] {
        let claims = json!({"email": user.email});
        login(&world.app, &claims).await.expect_status(200);
        let answer = login(&strict, &claims).await;
        answer.expect(403, "user_privileged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_route_creates_accounts_where_it_may() {
    let world = World::new(&[]).await;
    let users = world.users().await;
    let caller = world.superuser.caller();
    let fresh = "Fresh@example.com";
    caller.issue(fresh).await.expect_status(422);
    let creating = world.gate(&[("SSO_AUTO_CREATE_USERS", "true")]);
    let caller = caller.before(&creating);
    let issued = caller.issue(fresh).await;
    issued.expect_status(200);
    let token = issued.json()["token"].as_str().unwrap().to_owned();
    let answer = Browser::of(&creating).with_token(&token).get("/").await;
    answer.expect_header("X-Gate-Email", Some("fresh@example.com"));
    caller.issue("no address").await.expect_status(422);
    let one_more = (users.parse::<i64>().unwrap() + 1).to_string();
    assert_eq!(world.users().await, one_more);
}
