//! A database, a gate and people as values, so that a test reads as what somebody does.

use std::collections::BTreeMap;
use std::sync::Mutex;

use label_studio_gate::postgres::Postgres;

use crate::app::{Answer, TestApp, TestDatabase, settings};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::native;

pub const REQUIRE: (&str, &str) = ("GATE_POLICY_ANONYMOUS", "require");
pub const SIGNED_COOKIES: (&str, &str) = ("SESSION_ENGINE", "signed_cookies");
/// Every answer of the database is current.
pub const NO_CACHE: (&str, &str) = ("GATE_DATABASE_CACHE_SECONDS", "0");

/// A user of Label Studio.
pub struct User {
    pub id: i32,
    pub email: String,
    /// The legacy API token.
    pub key: String,
}

impl User {
    /// A token that was issued for the user just now.
    pub fn token(&self) -> String {
        native(self.id)
    }
}

/// A gate before a database with some users.
pub struct World {
    pub database: TestDatabase,
    pub app: TestApp,
    pub organization: i32,
    pub ann: User,
    pub bob: User,
    /// Staff, and no superuser.
    pub staff: User,
    pub superuser: User,
}

impl World {
    pub async fn new(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        Self::over(database, settings).await
    }

    /// One with the gate's own tables.
    pub async fn with_own_tables(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        migrate(&database).await;
        Self::over(database, settings).await
    }

    async fn over(database: TestDatabase, settings: &[(&str, &str)]) -> Self {
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
            User { id, email, key }
        };
        Self {
            ann: user("ann", "false").await,
            bob: user("bob", "false").await,
            staff: user("staff", "true").await,
            superuser: user("superuser", "true, is_superuser = true").await,
            app: TestApp::start(&database.gate_url(), settings),
            database,
            organization,
        }
    }

    /// Another gate over the same database.
    pub fn gate(&self, settings: &[(&str, &str)]) -> TestApp {
        TestApp::start(&self.database.gate_url(), settings)
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser::of(&self.app)
    }

    /// Ends all sessions of a user, as an administrator.
    pub async fn revoke(&self, by: &User, user: &User) -> Answer {
        let authorization = format!("Token {}", by.key);
        let body = format!(r#"{{"email": "{}"}}"#, user.email);
        let headers = [("Authorization", authorization.as_str())];
        self.app
            .browse("POST", "/api/sso/revoke", &headers, &body)
            .await
    }
}

/// Makes the gate's own tables, twice.
pub async fn migrate(database: &TestDatabase) {
    let url = CLUSTER.url("postgres", &database.name);
    let settings = settings(&url, &[]);
    let owner = Postgres::connect(&settings.database).unwrap();
    for _ in 0..2 {
        owner.migrate(Some(GATE_ROLE)).await.unwrap();
    }
}

/// A browser, whose requests nginx asks about. It keeps its cookies as browsers do.
pub struct Browser<'a> {
    app: &'a TestApp,
    cookies: Mutex<BTreeMap<String, String>>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Browser<'a> {
    pub fn of(app: &'a TestApp) -> Self {
        Self {
            app,
            cookies: Mutex::default(),
            headers: Vec::new(),
        }
    }

    /// The same browser before another gate.
    pub fn before<'b>(&self, app: &'b TestApp) -> Browser<'b> {
        Browser {
            app,
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            headers: Vec::new(),
        }
    }

    pub fn with_cookie(self, name: &str, value: &str) -> Self {
        let cookies = self.cookies.lock().unwrap();
        drop(cookies);
        self.cookies
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn with_token(self, token: &str) -> Self {
        self.with_cookie("ls_auth_token", token)
    }

    /// A header that it sends with every request.
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn session(&self) -> Option<String> {
        self.cookie("sessionid")
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri).await
    }

    pub async fn send(&self, method: &str, uri: &str) -> Answer {
        let cookie = self.cookie_header();
        let mut headers = vec![
            ("X-Original-URI", uri),
            ("X-Original-Method", method),
            ("Host", "ls.example.com"),
            ("Cookie", cookie.as_str()),
        ];
        headers.extend_from_slice(&self.headers);
        headers.retain(|(name, value)| *name != "Cookie" || !value.is_empty());
        let answer = self.app.check_with(&headers).await;
        for name in ["X-Gate-Set-Cookie-1", "X-Gate-Set-Cookie-2"] {
            if let Some(cookie) = answer.header(name) {
                self.take(cookie);
            }
        }
        answer
    }

    /// Goes to one of the gate's own pages.
    pub async fn visit(&self, method: &str, path: &str, form: &str) -> Answer {
        let cookie = self.cookie_header();
        let mut headers = vec![
            ("Accept", "text/html"),
            ("Host", "ls.example.com"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Cookie", cookie.as_str()),
        ];
        headers.extend_from_slice(&self.headers);
        let answer = self.app.browse(method, path, &headers, form).await;
        for cookie in answer.set_cookies() {
            self.take(cookie);
        }
        answer
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn take(&self, set_cookie: &str) {
        let (name, rest) = set_cookie.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        if set_cookie.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Answer {
    /// Fails unless the check was answered so.
    #[track_caller]
    pub fn expect(&self, status: u16, reason: &str) -> &Self {
        assert_eq!((self.status, self.reason()), (status, reason), "{self:?}");
        self
    }

    /// Fails unless the check says that it is this user.
    #[track_caller]
    pub fn expect_user(&self, user: &User) -> &Self {
        assert_eq!(
            self.header("X-Gate-User-Id"),
            Some(user.id.to_string().as_str()),
            "{self:?}"
        );
        self
    }
}
