//! What the gate writes, in the tables of every supported version of Label Studio.

use serde_json::json;

use crate::actors::{Browser, Caller};
use crate::app::{TestApp, TestDatabase};
use crate::support::cluster::CLUSTER;
use crate::world::{CREATE_USERS, ISSUER, NO_CACHE, REQUIRE, issuer_token, migrate};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_and_its_end_write_works_with_every_version() {
    let settings = [
        REQUIRE,
        NO_CACHE,
        ISSUER,
        CREATE_USERS,
        ("GATE_TOKEN_USE", "once"),
        ("GATE_TOKEN_ISSUE_LEGACY_API_TOKENS", "allow"),
        ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
        ("GATE_EXTERNAL_STAFF_GROUPS", "leads"),
    ];
    // 1.7 signs with a public constant and is refused.
    let versions = crate::schema::versions().into_iter();
    for version in versions.filter(|version| version != "1.7.0") {
        for engine in ["db", "signed_cookies"] {
            let which = format!("{version}, {engine}");
            let database = TestDatabase::of_version(&version).await;
            let organization = "INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now())";
            database.run(organization).await;
            migrate(&database).await;
            let engine = [("SESSION_ENGINE", engine)];
            let settings: Vec<_> = settings.into_iter().chain(engine).collect();
            let token = |id: &str, name: &str, group: &str| {
                let claims = json!({
                    "email": "ann@example.com", "first_name": name, "last_name": "Lee", "groups": [group], "jti": id,
                });
                issuer_token(&claims)
            };
            let first = TestApp::start(&database.gate_url(), &settings);
            let created = Browser::of(&first).with_token(&token("1", "Ann", "others"));
            created.get("/").await.expect(200, "session_opened");

            // The right to make staff is read with the schema.
            CLUSTER.grant_with(&database.name, "staff=on");
            let app = TestApp::start(&database.gate_url(), &settings);
            let second = token("2", "New", "leads");
            let browser = Browser::of(&app).with_token(&second);
            browser.get("/").await.expect(200, "session_opened");
            let row = "SELECT concat_ws(' ', first_name, last_name, is_staff) FROM htx_user";
            assert_eq!(database.text(row).await, "New Lee t", "{which}");
            let elsewhere = Browser::of(&app).with_header("X-Real-IP", "192.0.2.7");
            let replayed = elsewhere.with_token(&second).get("/").await;
            replayed.expect(401, "token_used");

            let stolen = browser.stolen_session();
            let form = browser.visit("POST", "/sso/logout", "").await;
            form.expect_status(303);
            stolen.get("/").await.expect(401, "sign_in_required");

            let again = Browser::of(&app).with_token(&token("3", "New", "leads"));
            again.get("/").await.expect(200, "session_opened");
            let key = database.text("SELECT key FROM authtoken_token").await;
            let admin = Caller::of(&app).with_authorization(&format!("Token {key}"));
            let revoked = admin.revoke("ann@example.com").await;
            assert_eq!(
                revoked.json()["tokens_revoked"],
                true,
                "{which}: {revoked:?}"
            );
            let stolen = again.stolen_session();
            stolen.get("/").await.expect(401, "sign_in_required");
        }
    }
}
