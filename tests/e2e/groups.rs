//! Groups in a token before the real Label Studio: its administration, its organizations.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::login::fresh;
use crate::sign_in::start_proxy;
use crate::stack::{Stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::token::{SHARED_SECRET, now, sign, with};

fn token(email: &str, roles: &Value) -> String {
    let claims = json!({"email": email, "jti": fresh(), "iat": now(), "exp": now() + 600});
    sign(
        Algorithm::HS256,
        SHARED_SECRET,
        &with(claims, &json!({"realm_access": roles})),
    )
}

/// A second organization, made as a copy of the first.
fn organization(stack: &Stack) -> i32 {
    let copy = "INSERT INTO organization
        SELECT (jsonb_populate_record(o, jsonb_build_object(
            'id', (SELECT max(id) + 1000 FROM organization), 'title', 'Second', 'token', md5(random()::text), 'created_by_id', NULL
        ))).* FROM organization o ORDER BY id LIMIT 1 RETURNING id";
    stack.sql(copy).parse().unwrap()
}

/// Whether Label Studio lets the browser into its administration. Others are sent to its login.
async fn is_staff(browser: &Browser) -> bool {
    // A file that every page of Django's administration loads; it is as protected as they are.
    let answer = browser.get("/admin/jsi18n/").await;
    let status = answer.status().as_u16();
    let said = answer.text().await.unwrap();
    assert!(matches!(status, 200 | 302), "{status}: {said:.2000}");
    status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_sees_who_is_staff_and_where_an_account_begins() {
    for stack in stacks() {
        CLUSTER.grant_with(&stack.database, "staff=on");
        let second = organization(stack);
        let organizations = format!("apac={second}");
        let settings = [
            ("JWT_SSO_SECRET", SHARED_SECRET),
            ("JWT_SSO_AUTO_CREATE_USERS", "true"),
            ("GATE_EXTERNAL_GROUPS_CLAIM", "realm_access.roles"),
            ("GATE_EXTERNAL_ALLOWED_GROUPS", "annotators,leads"),
            ("GATE_EXTERNAL_STAFF_GROUPS", "leads"),
            ("GATE_EXTERNAL_ORGANIZATIONS", organizations.as_str()),
        ];
        let (proxy, gate) = start_proxy(stack, &settings);
        let which = format!("{:?}", stack.engine);
        let email = format!("grouped{}@example.test", fresh());
        let bring = |browser: &Browser, roles: Value| {
            browser.set("ls_auth_token", &token(&email, &roles));
        };

        let outsider = Browser::new(&proxy.url);
        bring(&outsider, json!({"roles": ["others"]}));
        assert_eq!(outsider.get("/projects/").await.status(), 403, "{which}");
        let known = format!("SELECT count(*) FROM htx_user WHERE email = '{email}'");
        assert_eq!(stack.sql(&known), "0", "{which}: no account");

        // The account is created, in the organization of its group.
        let lead = Browser::new(&proxy.url);
        bring(&lead, json!({"roles": ["leads", "apac"]}));
        let whoami: Value = lead
            .get("/api/current-user/whoami")
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(whoami["email"], email, "{which}: {whoami}");
        assert_eq!(whoami["active_organization"], second, "{which}: {whoami}");
        assert!(is_staff(&lead).await, "{which}: granted");

        // Another token withdraws it, for the browser that still has its session too.
        let other = Browser::new(&proxy.url);
        bring(&other, json!({"roles": ["annotators"]}));
        assert_eq!(other.whoami().await.as_ref(), Some(&email), "{which}");
        assert!(!is_staff(&other).await, "{which}: withdrawn");
        assert!(!is_staff(&lead).await, "{which}: withdrawn everywhere");
        bring(&lead, json!({"roles": ["leads"]}));
        assert_eq!(lead.whoami().await.as_ref(), Some(&email), "{which}");
        assert!(is_staff(&lead).await, "{which}: granted again");
        assert!(
            gate.log().contains("staff withdrawn"),
            "{which}: {}",
            gate.log()
        );
    }
}
