//! A database and a running gate for one test, and the answers that the gate gives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use label_studio_gate::gate::clock::Clock;
use label_studio_gate::settings::Settings;
use label_studio_gate::startup::{Application, install_crypto};
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::support::cluster::{CLUSTER, GATE_ROLE, grant};
use crate::support::token::SECRET_KEY;
use crate::world::User;

/// Tests share a busy machine, so a gate waits longer for the database than it would in service.
pub const PATIENT: [(&str, &str); 4] = [
    ("GATE_DATABASE_CONNECT_TIMEOUT_MS", "30000"),
    ("GATE_DATABASE_WAIT_TIMEOUT_MS", "30000"),
    ("GATE_DATABASE_STATEMENT_TIMEOUT_MS", "30000"),
    ("GATE_HTTP_DECISION_TIMEOUT_MS", "30000"),
];

/// A database with the tables of one version of Label Studio, dropped with the test.
pub struct TestDatabase {
    pub name: String,
    pub owner: tokio_postgres::Client,
    /// Whether it is one of `CLUSTER`.
    in_cluster: bool,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.in_cluster {
            CLUSTER.forget(&self.name);
        }
    }
}

impl TestDatabase {
    /// The tables of Label Studio 1.23.2, copied from a template.
    pub async fn new() -> Self {
        static TEMPLATE: std::sync::Once = std::sync::Once::new();
        TEMPLATE.call_once(|| make_in_cluster("template_1_23_2", "1.23.2", ""));
        let name = CLUSTER.fresh_name();
        // Postgres lets only one session at a time copy a template.
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
        make_in_cluster(&name, version, options);
        Self::open(name).await
    }

    async fn open(name: String) -> Self {
        let url = CLUSTER.url("postgres", &name);
        let owner = connect(&url).await;
        let in_cluster = true;
        Self {
            name,
            owner,
            in_cluster,
        }
    }

    /// A database of another cluster. `url` is that of its owner.
    pub async fn at(url: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            owner: connect(url).await,
            in_cluster: false,
        }
    }

    /// The connection URL of the gate's role.
    pub fn gate_url(&self) -> String {
        CLUSTER.url(GATE_ROLE, &self.name)
    }

    pub async fn run(&self, statement: &str) {
        let outcome = self.owner.batch_execute(statement).await;
        outcome.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    /// The single value a query returns, as text.
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

    /// An organization that accepts both kinds of API tokens (`jwt_auth_jwtsettings`).
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

    /// Further users without a name, as many as a test wants. Returns their IDs.
    pub async fn crowd(&self, size: usize, organization: i32) -> Vec<i32> {
        let insert = format!(
            "WITH crowd AS (
                 INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined,
                                       last_activity, activity_at, phone, avatar, active_organization_id)
                 SELECT '!unusable', false, '', 'crowd' || n || '@example.com', '', '', false, true, now(), now(), now(), '', '', {organization}
                   FROM generate_series(1, {size}) AS n
                 RETURNING id
             ), members AS (
                 INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id)
                 SELECT now(), now(), {organization}, id FROM crowd
             )
             SELECT string_agg(id::text, ' ') FROM crowd"
        );
        let ids = self.text(&insert).await;
        ids.split(' ').map(|id| id.parse().unwrap()).collect()
    }

    /// An active member of `organization` with an unusable password.
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
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn make_in_cluster(name: &str, version: &str, options: &str) {
    let psql = |database: &str, arguments: &[&str]| CLUSTER.psql(database, arguments);
    make_database(&psql, name, version, options);
}

/// Creates a database with the tables of `version` and the grants of the gate's role. `psql` runs
/// psql in a database, with arguments.
pub fn make_database(
    psql: &dyn Fn(&str, &[&str]) -> String,
    name: &str,
    version: &str,
    options: &str,
) {
    psql(
        "postgres",
        &["-c", &format!("CREATE DATABASE {name} {options}")],
    );
    psql(name, &["-f", &format!("tests/schema/{version}.sql")]);
    // The dumps leave out the list of migrations, so add the rows that the gate reads.
    let mut migrations = String::from(
        "CREATE TABLE IF NOT EXISTS django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);",
    );
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0);
    let mut migrated = |app: &str, name: &str| {
        migrations.push_str(&format!(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('{app}', '{name}', now());"
        ));
    };
    if minor >= 8 {
        migrated("tasks", "0040_auto_20230628_1101");
    }
    if minor >= 22 {
        migrated(
            "jwt_auth",
            "0002_alter_jwtsettings_api_tokens_enabled_and_more",
        );
    }
    psql(name, &["-c", &migrations]);
    grant(psql, name, "create_users=on");
}

/// Settings for a patient gate on a free port, connected to that database.
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
    for (name, value) in PATIENT.iter().chain(more) {
        environment.insert((*name).to_owned(), (*value).to_owned());
    }
    Settings::load(None, &environment).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A clock that is ahead of the system's.
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.0
    }
}

/// A running gate.
#[derive(Clone)]
pub struct TestApp {
    pub url: String,
    /// The internal listener, if it has one.
    pub internal_url: Option<String>,
    client: reqwest::Client,
}

impl TestApp {
    pub fn start(database_url: &str, more: &[(&str, &str)]) -> Self {
        Self::start_ahead(Duration::ZERO, database_url, more)
    }

    /// A gate whose clock is ahead of the others' and of Postgres'.
    pub fn start_ahead(ahead: Duration, database_url: &str, more: &[(&str, &str)]) -> Self {
        let settings = settings(database_url, more);
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let clock = Arc::new(Ahead(ahead));
                let application = Application::build_with(settings, clock).await.unwrap();
                let ports = (application.port(), application.internal_port());
                send.send(ports).unwrap();
                application.run_until_stopped().await.unwrap();
            });
        });
        let (port, internal_port) = receive.recv().unwrap();
        let internal_url = internal_port.map(|port| format!("http://127.0.0.1:{port}"));
        Self {
            internal_url,
            ..Self::at(port)
        }
    }

    /// A gate that listens on this port.
    pub fn at(port: u16) -> Self {
        // Tests look at redirects instead of following them.
        let client = crate::support::client_builder().redirect(reqwest::redirect::Policy::none());
        Self {
            url: format!("http://127.0.0.1:{port}"),
            internal_url: None,
            client: client.build().unwrap(),
        }
    }

    /// The same gate, reached at its internal listener.
    pub fn internal(&self) -> Self {
        Self {
            url: self.internal_url.clone().unwrap(),
            internal_url: None,
            client: self.client.clone(),
        }
    }

    /// The subrequest that nginx sends for `uri` with these cookies.
    pub async fn check(&self, uri: &str, cookies: &str) -> Answer {
        self.check_with(&[("X-Original-URI", uri), ("Cookie", cookies)])
            .await
    }

    pub async fn check_with(&self, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", "/auth/nginx", headers, "").await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let question = format!("{method} {path} {headers:?} {body}");
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned());
        let response = loop {
            match request.try_clone().unwrap().send().await {
                Err(error) if was_given_up(&error) => {}
                answered => break answered.unwrap(),
            }
        };
        Answer {
            question,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }
}

/// Whether the gate gave up a connection on which nothing was sent within five seconds. A test on a
/// busy machine may need longer for that, and the request was not sent then.
fn was_given_up(error: &reqwest::Error) -> bool {
    format!("{error:?}").contains("hyper::Error(UnexpectedMessage)")
}

/// A response, together with the request that it answers, so that a failed case of a table names
/// itself.
#[derive(Debug)]
pub struct Answer {
    #[expect(dead_code, reason = "failed assertions show it")]
    question: String,
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
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

    /// The session cookie that a `Set-Cookie` gives to the browser.
    pub fn browser_session(&self) -> Option<String> {
        let cookies = self.set_cookies();
        let cookie = cookies
            .iter()
            .find_map(|cookie| cookie.strip_prefix("sessionid="))?;
        cookie.split(';').next().map(str::to_owned)
    }

    /// The session cookie that nginx copies onto the response.
    pub fn session(&self) -> Option<&str> {
        let (_, value) = self.header("X-Gate-Set-Cookie-1")?.split_once('=')?;
        value.split(';').next()
    }

    #[track_caller]
    pub fn expect(&self, status: u16, reason: &str) -> &Self {
        assert_eq!((self.status, self.reason()), (status, reason), "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_reason(&self, reason: &str) -> &Self {
        assert_eq!(self.reason(), reason, "{self:?}");
        self
    }

    /// Fails unless the gate names this user to the proxy.
    #[track_caller]
    pub fn expect_user(&self, user: &User) -> &Self {
        let id = user.id.to_string();
        assert_eq!(self.header("X-Gate-User-Id"), Some(id.as_str()), "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_no_user(&self) -> &Self {
        self.expect_header("X-Gate-User-Id", None)
    }

    #[track_caller]
    pub fn expect_header(&self, name: &str, value: Option<&str>) -> &Self {
        assert_eq!(self.header(name), value, "{name}: {self:?}");
        self
    }

    /// Fails if the answer opens a session.
    #[track_caller]
    pub fn expect_no_session(&self) -> &Self {
        assert_eq!(self.session(), None, "{self:?}");
        self
    }

    /// Fails unless the answer takes the token's cookie away from the browser.
    #[track_caller]
    pub fn expect_token_deleted(&self) -> &Self {
        let deletion = self.header("X-Gate-Set-Cookie-2").unwrap_or_default();
        assert!(deletion.contains("Max-Age=0"), "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_redirect(&self, location: &str) -> &Self {
        assert_eq!(self.status, 303, "{self:?}");
        self.expect_header("Location", Some(location))
    }

    #[track_caller]
    pub fn expect_json(&self, status: u16, body: &Value) -> &Self {
        self.expect_status(status);
        assert_eq!(&self.json(), body, "{self:?}");
        self
    }

    #[track_caller]
    pub fn expect_text(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "{text:?} is not in {self:?}");
        self
    }
}

/// A session of Label Studio in which nobody is signed in, under the key `anonymous0123456`.
pub const ANONYMOUS_SESSION: &str = "INSERT INTO django_session VALUES ('anonymous0123456', 'e30:1r31eq:JSex4IvqKT2tHiyLFfDtkooZXqivzjEOP-zKMvsVwpI', now() + interval '1 day')";
