//! A database, a gate, its users and their host application: what a test starts with.

use std::time::{Duration, Instant};

use label_studio_gate::postgres::Postgres;
use serde_json::json;

use crate::actors::{Browser, Caller, HostApplication};
use crate::app::{Answer, TestApp, TestDatabase, settings};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;

pub const REQUIRE: (&str, &str) = ("GATE_POLICY_ANONYMOUS", "require");
pub const SIGNED_COOKIES: (&str, &str) = ("SESSION_ENGINE", "signed_cookies");
/// The gate reads every row again instead of caching it for some seconds.
pub const NO_CACHE: (&str, &str) = ("GATE_DATABASE_CACHE_SECONDS", "0");
/// Method 1, with an issuer that shares a secret with the gate.
pub const ISSUER: (&str, &str) = ("JWT_SSO_SECRET", crate::support::token::SHARED_SECRET);
pub const CREATE_USERS: (&str, &str) = ("JWT_SSO_AUTO_CREATE_USERS", "true");
/// No row of `htx_user` has this ID.
pub const NO_SUCH_USER: i32 = 999_999;

/// Asks again until it is true, for at most two minutes.
pub async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !is_true().await {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A user of Label Studio.
pub struct User {
    pub id: i32,
    pub email: String,
    /// The legacy API token; empty if the user has none.
    pub key: String,
    app: TestApp,
}

impl User {
    /// A native token, issued for this user just now.
    pub fn token(&self) -> String {
        native(self.id)
    }

    /// The `Authorization` header with this user's legacy API token.
    pub fn authorization(&self) -> String {
        format!("Token {}", self.key)
    }

    /// A program that calls the gate's API with this user's legacy API token.
    pub fn caller(&self) -> Caller<'_> {
        Caller::of(&self.app).with_authorization(&self.authorization())
    }

    /// Asks the token route for a token for `user`.
    pub async fn issue(&self, user: &User) -> Answer {
        self.caller().issue(&user.email).await
    }

    /// Ends all sessions of `user`.
    pub async fn revoke(&self, user: &User) -> Answer {
        self.caller().revoke(&user.email).await
    }
}

/// A gate, connected to the database of a Label Studio with some users. It is patient, unless the
/// settings say otherwise.
pub struct World {
    pub database: TestDatabase,
    pub app: TestApp,
    /// The application that embeds Label Studio. Only gates of `with_application` ask it.
    pub application: HostApplication,
    pub organization: i32,
    pub ann: User,
    pub bob: User,
    /// Staff, but no superuser.
    pub staff: User,
    pub superuser: User,
}

impl World {
    pub async fn new(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        Self::over(database, HostApplication::start(), settings).await
    }

    /// A world with the gate's own tables.
    pub async fn with_own_tables(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        migrate(&database).await;
        Self::over(database, HostApplication::start(), settings).await
    }

    /// A world in which the gate asks the host application who is signed in (method 3).
    pub async fn with_application(settings: &[(&str, &str)]) -> Self {
        let application = HostApplication::start();
        let database = TestDatabase::new().await;
        let with_method_3 = application.settings();
        Self::over(database, application, &with_method_3.and(settings)).await
    }

    async fn over(
        database: TestDatabase,
        application: HostApplication,
        settings: &[(&str, &str)],
    ) -> Self {
        let app = TestApp::start(&database.gate_url(), settings);
        let organization = database.organization().await;
        let user = async |name: &str, rights: &str| {
            let email = format!("{name}@example.com");
            let id = database.user(&email, organization).await;
            let key = format!("{name:0<40}");
            database
                .run(&format!(
                    "UPDATE htx_user SET is_staff = {rights} WHERE id = {id};
                     INSERT INTO authtoken_token (key, created, user_id) VALUES ('{key}', now(), {id})"
                ))
                .await;
            let app = app.clone();
            User {
                id,
                email,
                key,
                app,
            }
        };
        Self {
            ann: user("ann", "false").await,
            bob: user("bob", "false").await,
            staff: user("staff", "true").await,
            superuser: user("superuser", "true, is_superuser = true").await,
            app,
            application,
            database,
            organization,
        }
    }

    /// Another gate over the same database.
    pub fn gate(&self, settings: &[(&str, &str)]) -> TestApp {
        TestApp::start(&self.database.gate_url(), settings)
    }

    /// Another gate over the same database, whose clock is ahead.
    pub fn gate_ahead(&self, ahead: Duration, settings: &[(&str, &str)]) -> TestApp {
        TestApp::start_ahead(ahead, &self.database.gate_url(), settings)
    }

    /// Another gate over the same database that asks `application` who is signed in.
    pub fn gate_with_application(
        &self,
        application: &HostApplication,
        settings: &[(&str, &str)],
    ) -> TestApp {
        self.gate(&application.settings().and(settings))
    }

    /// Another user, without an API token.
    pub async fn user(&self, email: &str) -> User {
        User {
            id: self.database.user(email, self.organization).await,
            email: email.to_owned(),
            key: String::new(),
            app: self.app.clone(),
        }
    }

    /// Changes columns of a user's row: `is_active = false`.
    pub async fn update(&self, user: &User, change: &str) {
        let update = format!("UPDATE htx_user SET {change} WHERE id = {}", user.id);
        self.database.run(&update).await;
    }

    /// Locks a user's row, as another program may, until `unlock`.
    pub async fn lock(&self, user: i32) {
        self.lock_all(&[user]).await;
    }

    /// Locks the rows of these users until `unlock`.
    pub async fn lock_all(&self, users: &[i32]) {
        let ids: Vec<String> = users.iter().map(i32::to_string).collect();
        let ids = ids.join(", ");
        let lock = format!("BEGIN; SELECT FROM htx_user WHERE id IN ({ids}) FOR UPDATE");
        self.database.run(&lock).await;
    }

    /// Ends the transaction that holds the locks.
    pub async fn unlock(&self) {
        self.database.run("COMMIT").await;
    }

    /// The number of the gate's statements that wait for a lock.
    pub fn stuck(&self) -> usize {
        CLUSTER.gate_connections(&self.database.name, "wait_event_type = 'Lock'")
    }

    /// Removes a user from the organization, as Label Studio does.
    pub async fn remove(&self, user: &User) {
        let table = "organizations_organizationmember";
        let id = user.id;
        let remove = format!("UPDATE {table} SET deleted_at = now() WHERE user_id = {id}");
        self.database.run(&remove).await;
    }

    /// The number of accounts.
    pub async fn users(&self) -> String {
        let query = "SELECT count(*) FROM htx_user";
        self.database.text(query).await
    }

    pub async fn sessions(&self) -> i64 {
        self.database.sessions().await
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser::of(&self.app)
    }

    /// A browser that was signed in as this user a moment ago.
    pub async fn signed_in(&self, user: &User) -> Browser<'_> {
        let browser = self.browser().with_token(&user.token());
        browser.get("/").await.expect(200, "session_opened");
        browser
    }

    /// A program that calls the gate's API with this `Authorization` header.
    pub fn caller(&self, authorization: &str) -> Caller<'_> {
        Caller::of(&self.app).with_authorization(authorization)
    }
}

/// Creates the gate's own tables, and does so again to show that this changes nothing.
pub async fn migrate(database: &TestDatabase) {
    let url = CLUSTER.url("postgres", &database.name);
    let settings = settings(&url, &[]);
    let owner = Postgres::connect(&settings.database).unwrap();
    for _ in 0..2 {
        owner.migrate(Some(GATE_ROLE), true).await.unwrap();
    }
}

/// A token of the issuer that shares a secret with the gate; it names new@example.com unless
/// `changes` say otherwise.
pub fn issuer_token(changes: &serde_json::Value) -> String {
    use crate::support::token::{SHARED_SECRET, now, sign, with};
    let claims = json!({"email": "new@example.com", "iat": now(), "exp": now() + 600});
    let claims = with(claims, changes);
    sign(jsonwebtoken::Algorithm::HS256, SHARED_SECRET, &claims)
}
