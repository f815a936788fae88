//! The service and a database for one test.

use std::collections::BTreeMap;

use label_studio_gate::settings::Settings;
use label_studio_gate::startup::{Application, install_crypto};
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::token::SECRET_KEY;

/// A database with the tables of one version of Label Studio.
pub struct TestDatabase {
    pub name: String,
    pub owner: tokio_postgres::Client,
}

impl TestDatabase {
    /// The tables of 1.23.2, from a template.
    pub async fn new() -> Self {
        static TEMPLATE: std::sync::Once = std::sync::Once::new();
        TEMPLATE.call_once(|| make_database("template_1_23_2", "1.23.2", ""));
        let name = CLUSTER.fresh_name();
        // A template can be copied by one session at a time.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        let create = format!("CREATE DATABASE {name} TEMPLATE template_1_23_2");
        CLUSTER.psql("postgres", &["-c", &create]);
        Self::open(name).await
    }

    /// The tables of `version`.
    pub async fn of_version(version: &str) -> Self {
        Self::with(version, "").await
    }

    /// The tables of 1.23.2 in a database of another locale: `LOCALE_PROVIDER icu …`.
    pub async fn of_locale(locale: &str) -> Self {
        Self::with("1.23.2", &format!("{locale} TEMPLATE template0")).await
    }

    async fn with(version: &str, options: &str) -> Self {
        let name = CLUSTER.fresh_name();
        make_database(&name, version, options);
        Self::open(name).await
    }

    async fn open(name: String) -> Self {
        let url = CLUSTER.url("postgres", &name);
        let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { name, owner }
    }

    /// How the gate's role reaches it.
    pub fn gate_url(&self) -> String {
        CLUSTER.url(GATE_ROLE, &self.name)
    }

    pub async fn run(&self, statement: &str) {
        let outcome = self.owner.batch_execute(statement).await;
        outcome.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    /// The one value that a query returns, as text.
    pub async fn text(&self, query: &str) -> String {
        let rows = self.owner.simple_query(query).await.unwrap();
        for message in rows {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                return row.get(0).unwrap_or_default().to_owned();
            }
        }
        String::new()
    }

    pub async fn sessions(&self) -> i64 {
        self.text("SELECT count(*) FROM django_session")
            .await
            .parse()
            .unwrap()
    }

    /// An organization with a row of jwt_auth_jwtsettings that allows both kinds of tokens.
    pub async fn organization(&self) -> i32 {
        let insert = "INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now()) RETURNING id";
        let id = self.text(insert).await.parse().unwrap();
        self.run(&format!(
            "INSERT INTO jwt_auth_jwtsettings (organization_id, api_tokens_enabled, api_token_ttl_days, legacy_api_tokens_enabled, created_at, updated_at)
             VALUES ({id}, true, 73000, true, now(), now())"
        ))
        .await;
        id
    }

    /// A member of `organization`, active and with an unusable password.
    pub async fn user(&self, email: &str, organization: i32) -> i32 {
        let insert = format!(
            "INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                                   last_activity, activity_at, phone, avatar, active_organization_id)
             VALUES ('!unusable', false, '', '{email}', '', '', false, true, now(), now(), now(), '', '', {organization}) RETURNING id"
        );
        let id = self.text(&insert).await.parse().unwrap();
        self.run(&format!(
            "INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id)
             VALUES (now(), now(), {organization}, {id})"
        ))
        .await;
        id
    }

    /// An administrator with a legacy token.
    pub async fn admin(&self, organization: i32, key: &str) -> i32 {
        let id = self.user(&format!("{key}@admin.test"), organization).await;
        self.run(&format!(
            "UPDATE htx_user SET is_staff = true WHERE id = {id}"
        ))
        .await;
        self.run(&format!(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES ('{key}', now(), {id})"
        ))
        .await;
        id
    }
}

fn make_database(name: &str, version: &str, options: &str) {
    let create = format!("CREATE DATABASE {name} {options}");
    CLUSTER.psql("postgres", &["-c", &create]);
    CLUSTER.psql(name, &["-f", &format!("tests/schema/{version}.sql")]);
    // The list of migrations is no part of the dumps; what the gate reads of it is.
    let mut migrations = String::from(
        "CREATE TABLE IF NOT EXISTS django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);",
    );
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0);
    if minor >= 22 {
        migrations.push_str(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('jwt_auth', '0002_alter_jwtsettings_api_tokens_enabled_and_more', now())",
        );
    }
    CLUSTER.psql(name, &["-c", &migrations]);
    CLUSTER.grant(name);
}

/// Settings for a service on a free port over that database.
pub fn settings(database_url: &str, more: &[(&str, &str)]) -> Settings {
    install_crypto();
    let mut environment: BTreeMap<String, String> = [
        ("SECRET_KEY", SECRET_KEY),
        ("DATABASE_URL", database_url),
        ("GATE_HTTP_LISTEN", "127.0.0.1:0"),
        ("GATE_HTTP_WORKERS", "2"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    for (name, value) in more {
        environment.insert((*name).to_owned(), (*value).to_owned());
    }
    Settings::load(None, &environment).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A running service.
pub struct TestApp {
    pub url: String,
    /// Where checks, health and metrics are, if not there.
    pub internal_url: Option<String>,
    pub client: reqwest::Client,
}

impl TestApp {
    pub fn start(database_url: &str, more: &[(&str, &str)]) -> Self {
        let settings = settings(database_url, more);
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let application = Application::build(settings).await.unwrap();
                let ports = (application.port(), application.internal_port());
                send.send(ports).unwrap();
                application.run_until_stopped().await.unwrap();
            });
        });
        let (port, internal_port) = receive.recv().unwrap();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Self {
            url: url(port),
            internal_url: internal_port.map(url),
            client: crate::support::client(),
        }
    }

    /// What nginx would ask about a request for `uri` with those cookies.
    pub async fn check(&self, uri: &str, cookies: &str) -> Answer {
        self.check_with(&[("X-Original-URI", uri), ("Cookie", cookies)])
            .await
    }

    pub async fn check_with(&self, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("{}/auth/nginx", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn issue(&self, authorization: &str, body: &str) -> Answer {
        let headers = [("Authorization", authorization)];
        self.browse("POST", "/api/sso/token", &headers, body).await
    }

    /// The same, as a proxy hands it on from a caller with that address.
    pub async fn issue_from(&self, address: &str, authorization: &str, body: &str) -> Answer {
        let headers = [("Authorization", authorization), ("X-Real-IP", address)];
        self.browse("POST", "/api/sso/token", &headers, body).await
    }

    /// A request as a browser sends it, whose redirects are not followed.
    pub async fn browse(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let client = crate::support::client_builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.body(body.to_owned()).send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(
            self.client
                .get(format!("{}{path}", self.url))
                .send()
                .await
                .unwrap(),
        )
        .await
    }
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn reason(&self) -> &str {
        self.header("X-Gate-Reason").unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Every `Set-Cookie`.
    pub fn set_cookies(&self) -> Vec<&str> {
        let values = self.headers.get_all("Set-Cookie").iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The value of the session cookie that a browser is given.
    pub fn browser_session(&self) -> Option<String> {
        let cookies = self.set_cookies();
        let cookie = cookies
            .iter()
            .find_map(|cookie| cookie.strip_prefix("sessionid="))?;
        cookie.split(';').next().map(str::to_owned)
    }

    /// The value of the session cookie that the answer sets.
    pub fn session(&self) -> Option<&str> {
        let (_, value) = self.header("X-Gate-Set-Cookie-1")?.split_once('=')?;
        value.split(';').next()
    }
}

/// A service with those settings, over a database with one user, who is worker@example.com.
pub async fn world(settings: &[(&str, &str)]) -> (TestDatabase, TestApp, i32) {
    let database = TestDatabase::new().await;
    let organization = database.organization().await;
    let user = database.user("worker@example.com", organization).await;
    let app = TestApp::start(&database.gate_url(), settings);
    (database, app, user)
}
