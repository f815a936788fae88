//! Groups decide who may sign in, who is staff, and in which organization an account begins.

use serde_json::{Value, json};

use crate::actors::Browser;
use crate::app::{Answer, TestApp, TestDatabase, settings};
use crate::audit::{TABLE, wait_for_event};
use crate::doctor::examine;
use crate::support::cluster::CLUSTER;
use crate::users::login;
use crate::world::{CREATE_USERS, ISSUER, NO_CACHE, User, World, issuer_token};

const CLAIM: (&str, &str) = ("GATE_EXTERNAL_GROUPS_CLAIM", "realm_access.roles");
const ALLOWED: (&str, &str) = ("GATE_EXTERNAL_ALLOWED_GROUPS", "annotators,leads");
const STAFF: (&str, &str) = ("GATE_EXTERNAL_STAFF_GROUPS", "leads");
const WITH_PASSWORD: (&str, &str) = ("GATE_EXTERNAL_STAFF_WITH_PASSWORD", "true");
const UNUSABLE: &str = "password = '!0123456789012345678901234567890123456789'";

async fn sign_in(app: &TestApp, email: &str, roles: &Value) -> Answer {
    login(app, &json!({"email": email, "realm_access": roles})).await
}

/// Grants what `staff_groups` needs.
fn allow_staff(database: &TestDatabase) {
    CLUSTER.grant_with(&database.name, "staff=on");
}

async fn is_staff(world: &World, user: &User) -> bool {
    let query = format!("SELECT is_staff FROM htx_user WHERE id = {}", user.id);
    world.database.text(&query).await == "t"
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_groups_may_sign_in_and_get_accounts() {
    let world = World::new(&[ISSUER, CREATE_USERS, CLAIM, ALLOWED]).await;
    let users = world.users().await;
    for (email, roles, reason) in [
        (
            "ann@example.com",
            json!({"roles": ["others"]}),
            "group_not_allowed",
        ),
        ("ann@example.com", json!({"roles": []}), "group_not_allowed"),
        ("ann@example.com", json!({}), "groups_missing"),
        ("ann@example.com", json!("leads"), "groups_missing"),
        (
            "stranger@example.com",
            json!({"roles": ["others"]}),
            "group_not_allowed",
        ),
    ] {
        let answer = sign_in(&world.app, email, &roles).await;
        answer.expect(403, reason).expect_no_session();
    }
    let overage = json!({"email": "ann@example.com", "hasgroups": true});
    login(&world.app, &overage)
        .await
        .expect(403, "groups_too_many");
    let wrong = sign_in(&world.app, "ann@example.com", &json!({"roles": 7})).await;
    wrong.expect(200, "token_claim_invalid").expect_no_session();
    assert_eq!(world.users().await, users, "nobody got an account");

    let answer = sign_in(
        &world.app,
        "ann@example.com",
        &json!({"roles": "annotators"}),
    )
    .await;
    answer.expect(200, "session_opened").expect_user(&world.ann);
    let roles = json!({"roles": ["x", "leads"]});
    let answer = sign_in(&world.app, "stranger@example.com", &roles).await;
    answer.expect(200, "session_opened");
    assert_ne!(world.users().await, users);
}

/// Each row: the user's state, the roles in the token, whether an account with a password counts,
/// and whether the user is staff afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn groups_decide_who_is_staff_where_they_may() {
    let world = World::new(&[]).await;
    allow_staff(&world.database);
    let plain = world.gate(&[ISSUER, CLAIM, STAFF, NO_CACHE]);
    let any = world.gate(&[ISSUER, CLAIM, STAFF, WITH_PASSWORD, NO_CACHE]);
    let user = world.user("carol@example.com").await;
    let password = "password = 'pbkdf2_sha256$1$a$b'";
    for (state, staff_before, roles, gate, expected) in [
        (UNUSABLE, false, json!({"roles": ["leads"]}), &plain, true),
        (UNUSABLE, true, json!({"roles": ["leads"]}), &plain, true),
        (UNUSABLE, true, json!({"roles": ["others"]}), &plain, false),
        (UNUSABLE, true, json!({"roles": []}), &plain, false),
        // A claim that is missing changes nothing.
        (UNUSABLE, true, json!({}), &plain, true),
        (UNUSABLE, false, json!({}), &plain, false),
        (password, false, json!({"roles": ["leads"]}), &plain, false),
        (password, true, json!({"roles": []}), &plain, true),
        (password, false, json!({"roles": ["leads"]}), &any, true),
        (password, true, json!({"roles": []}), &any, false),
    ] {
        let change = format!("{state}, is_staff = {staff_before}");
        world.update(&user, &change).await;
        for _ in 0..2 {
            let answer = sign_in(gate, &user.email, &roles).await;
            answer.expect_status(200).expect_user(&user);
            assert_eq!(is_staff(&world, &user).await, expected, "{change} {roles}");
        }
    }
    // Superusers are never touched.
    for staff_before in [false, true] {
        let change = format!("{UNUSABLE}, is_superuser = true, is_staff = {staff_before}");
        world.update(&user, &change).await;
        for roles in [json!({"roles": ["leads"]}), json!({"roles": []})] {
            let answer = sign_in(&any, &user.email, &roles).await;
            answer.expect_status(200).expect_user(&user);
            assert_eq!(is_staff(&world, &user).await, staff_before, "{roles}");
        }
    }
    let query = format!("SELECT is_superuser FROM htx_user WHERE id = {}", user.id);
    assert_eq!(world.database.text(&query).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_became_staff_is_in_the_audit_trail_and_counted() {
    let world = World::with_own_tables(&[]).await;
    allow_staff(&world.database);
    let gate = world.gate(&[ISSUER, CREATE_USERS, CLAIM, STAFF, TABLE]);
    let leads = json!({"roles": ["leads"]});
    // An account that is created just now, too.
    sign_in(&gate, "lead@example.com", &leads)
        .await
        .expect(200, "session_opened");
    let staff = "SELECT is_staff FROM htx_user WHERE email = 'lead@example.com'";
    assert_eq!(world.database.text(staff).await, "t");
    sign_in(&gate, "lead@example.com", &json!({"roles": []}))
        .await
        .expect_status(200);
    assert_eq!(world.database.text(staff).await, "f");
    let trail = wait_for_event(&world.database, "staff withdrawn").await;
    assert!(trail.contains("staff granted"), "{trail}");
    let metrics = gate.get("/metrics").await.body;
    for change in ["granted", "withdrawn"] {
        let line = format!("label_studio_gate_staff_changes_total{{change=\"{change}\"}} 1\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

/// A user who has been staff, and the token that said so.
async fn former_lead(world: &World) -> (User, String) {
    let user = world.user("lead@example.com").await;
    world.update(&user, UNUSABLE).await;
    let claims = json!({
        "email": user.email, "realm_access": {"roles": ["leads"]}, "first_name": "Former",
    });
    (user, issuer_token(&claims))
}

/// What the database holds about the user.
async fn stored(world: &World, user: &User) -> String {
    let query = format!(
        "SELECT is_staff || ' ' || first_name FROM htx_user WHERE id = {}",
        user.id
    );
    world.database.text(&query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_grants_nothing() {
    let world = World::with_own_tables(&[ISSUER, CLAIM, STAFF]).await;
    allow_staff(&world.database);
    let (lead, token) = former_lead(&world).await;
    // This gate knows the user's row from before the revocation, which is another gate's.
    let behind = world.gate(&[ISSUER, CLAIM, STAFF, ("GATE_DATABASE_CACHE_SECONDS", "300")]);
    sign_in(&behind, &lead.email, &json!({"roles": []}))
        .await
        .expect(200, "session_opened");
    world.superuser.revoke(&lead).await.expect_status(200);
    for gate in [&behind, &world.app] {
        let browser = Browser::of(gate).with_token(&token);
        let answer = browser.get("/").await;
        answer.expect(200, "token_revoked").expect_no_session();
        assert_eq!(stored(&world, &lead).await, "false ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_grants_nothing() {
    let settings = [
        ISSUER,
        CLAIM,
        STAFF,
        CREATE_USERS,
        NO_CACHE,
        ("GATE_TOKEN_USE", "once"),
    ];
    let world = World::with_own_tables(&settings).await;
    allow_staff(&world.database);
    let (lead, token) = former_lead(&world).await;
    let browser = |token: &str| {
        let browser = world.browser().with_token(token);
        browser.with_header("X-Real-IP", "192.0.2.1")
    };
    let own = browser(&token);
    own.get("/").await.expect(200, "session_opened");
    assert_eq!(stored(&world, &lead).await, "true Former");
    world
        .update(&lead, "is_staff = false, first_name = ''")
        .await;
    let elsewhere = || {
        let browser = world.browser().with_token(&token);
        browser.with_header("X-Real-IP", "192.0.2.2")
    };
    let answer = elsewhere().get("/").await;
    answer.expect(200, "token_used").expect_no_session();
    let beside_the_session = elsewhere().with_cookie("sessionid", &own.session().unwrap());
    let answer = beside_the_session.get("/").await;
    answer.expect(200, "session_kept");
    assert_eq!(stored(&world, &lead).await, "false ");

    // An account that was deleted since stays deleted.
    let guest = issuer_token(&json!({"email": "guest@example.com"}));
    browser(&guest).get("/").await.expect(200, "session_opened");
    let users = "SELECT count(*) FROM htx_user WHERE email = 'guest@example.com'";
    assert_eq!(world.database.text(users).await, "1");
    let change =
        "UPDATE htx_user SET email = 'renamed@example.com' WHERE email = 'guest@example.com'";
    world.database.run(change).await;
    let again = world.browser().with_token(&guest);
    let again = again.with_header("X-Real-IP", "192.0.2.2");
    again.get("/").await.expect(200, "token_used");
    assert_eq!(world.database.text(users).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_grant_nobody_becomes_or_stays_staff() {
    let world = World::new(&[ISSUER, CLAIM, STAFF]).await;
    world.update(&world.ann, UNUSABLE).await;
    let leads = sign_in(&world.app, "ann@example.com", &json!({"roles": ["leads"]})).await;
    leads.expect(200, "session_opened");
    assert!(!is_staff(&world, &world.ann).await);
    world.update(&world.staff, UNUSABLE).await;
    let answer = sign_in(&world.app, &world.staff.email, &json!({"roles": []})).await;
    answer.expect(403, "staff_not_removed").expect_no_session();

    let settings = settings(&world.database.gate_url(), &[ISSUER, CLAIM, STAFF]);
    let report = examine(&settings).await.to_string();
    let (what, cure) = (
        "the role may not write htx_user.is_staff",
        "sql/role.sql with -v staff=on",
    );
    assert!(report.contains(what) && report.contains(cure), "{report}");
    allow_staff(&world.database);
    let report = examine(&settings).await.to_string();
    assert!(
        report.contains("groups can decide who is staff"),
        "{report}"
    );
    // The grant counts without a restart.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let answer = sign_in(&world.app, &world.staff.email, &json!({"roles": []})).await;
    answer.expect(200, "session_opened");
    assert!(!is_staff(&world, &world.staff).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_begins_in_the_organization_of_its_group() {
    let world = World::new(&[]).await;
    let second = world.database.organization().await;
    assert_ne!(second, world.organization);
    let organizations = format!("/a=b={second},ghosts=987654");
    let organizations = ("GATE_EXTERNAL_ORGANIZATIONS", organizations.as_str());
    let gate = world.gate(&[ISSUER, CREATE_USERS, CLAIM, organizations]);
    for (email, roles, expected) in [
        (
            "one@corp.test",
            json!({"roles": ["x", "/a=b"]}),
            Some(second),
        ),
        (
            "two@corp.test",
            json!({"roles": ["x"]}),
            Some(world.organization),
        ),
        ("three@corp.test", json!({}), Some(world.organization)),
        // An organization that does not exist is nobody's.
        ("four@corp.test", json!({"roles": ["ghosts"]}), None),
    ] {
        let answer = sign_in(&gate, email, &roles).await;
        let Some(expected) = expected else {
            answer.expect(403, "user_not_created");
            continue;
        };
        answer.expect(200, "session_opened");
        let query = format!(
            "SELECT u.active_organization_id || '|' || string_agg(m.organization_id::text, ',')
               FROM htx_user u JOIN organizations_organizationmember m ON m.user_id = u.id
              WHERE u.email = '{email}' GROUP BY u.id"
        );
        let expected = format!("{expected}|{expected}");
        assert_eq!(world.database.text(&query).await, expected, "{email}");
    }
}
