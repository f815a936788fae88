//! Who talks to a gate: browsers, programs that call its API, and the host application it asks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;

use crate::app::{Answer, TestApp};
use crate::support::stub::{Reply, Stub};

/// A browser behind nginx. It keeps its cookies as browsers do.
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

    /// The same browser in front of another gate.
    pub fn before<'b>(&self, app: &'b TestApp) -> Browser<'b> {
        Browser {
            app,
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            headers: Vec::new(),
        }
    }

    /// Another browser with nothing but a copy of this one's session cookie.
    pub fn stolen_session(&self) -> Browser<'a> {
        Browser::of(self.app).with_cookie("sessionid", &self.session().unwrap())
    }

    pub fn with_cookie(self, name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.cookies.lock().unwrap().insert(name, value);
        self
    }

    pub fn with_token(self, token: &str) -> Self {
        self.with_cookie("ls_auth_token", token)
    }

    /// The cookie under which the host application knows who is signed in.
    pub fn with_application_session(self, session: &str) -> Self {
        self.with_cookie(HostApplication::COOKIE, session)
    }

    /// A header that it sends with every request.
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    /// All of its cookies, by name.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    pub fn session(&self) -> Option<String> {
        self.cookie("sessionid")
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri).await
    }

    /// A request to Label Studio, which nginx asks the gate about.
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

    /// A request to one of the gate's own pages.
    pub async fn visit(&self, method: &str, path: &str, form: &str) -> Answer {
        let cookie = self.cookie_header();
        let mut headers = vec![
            ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("Host", "ls.example.com"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Cookie", cookie.as_str()),
        ];
        headers.extend_from_slice(&self.headers);
        let answer = self.app.send(method, path, &headers, form).await;
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

/// A program that calls the gate's API.
pub struct Caller<'a> {
    app: &'a TestApp,
    headers: Vec<(&'static str, String)>,
}

impl<'a> Caller<'a> {
    pub fn of(app: &'a TestApp) -> Self {
        let headers = Vec::new();
        Self { app, headers }
    }

    /// The same caller in front of another gate.
    pub fn before<'b>(&self, app: &'b TestApp) -> Caller<'b> {
        let headers = self.headers.clone();
        Caller { app, headers }
    }

    pub fn with_authorization(mut self, authorization: &str) -> Self {
        self.headers
            .push(("Authorization", authorization.to_owned()));
        self
    }

    /// The address that the proxy in between names.
    pub fn at(mut self, address: &str) -> Self {
        self.headers.push(("X-Real-IP", address.to_owned()));
        self
    }

    /// The ID that the proxy in between gives the request.
    pub fn with_request_id(mut self, id: &str) -> Self {
        self.headers.push(("X-Request-Id", id.to_owned()));
        self
    }

    /// Asks the token route for a token for the user with this address.
    pub async fn issue(&self, email: &str) -> Answer {
        let body = json!({"email": email}).to_string();
        self.post("/api/sso/token", &body).await
    }

    /// Ends all sessions of the user with this address.
    pub async fn revoke(&self, email: &str) -> Answer {
        let body = json!({"email": email}).to_string();
        self.post("/api/sso/revoke", &body).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (*n, &**v)).collect();
        self.app.send("POST", path, &headers, body).await
    }
}

/// The application that embeds Label Studio, with an API that tells whose session a cookie names.
///
/// It knows three sessions: `of-ann` and `of-bob`, who have accounts in Label Studio, and
/// `of-carol`, who has none. `of-nobody` is a session in which nobody is signed in.
pub struct HostApplication(Stub);

/// The session with which the gate tries the API.
const TRIED: &str = "label-studio-gate-tries-a-made-up-session";

impl HostApplication {
    pub const COOKIE: &str = "connect.sid";
    pub const SECRET: &str = "verify-secret-of-the-tests";

    pub fn start() -> Self {
        Self(Stub::start(Self::knows))
    }

    /// An application with an API that gives these answers.
    pub fn answering(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self(Stub::start(answer))
    }

    /// What the API answers a request with this head.
    pub fn knows(head: &str) -> Reply {
        let cookie = head
            .lines()
            .find_map(|line| line.strip_prefix("cookie: "))
            .unwrap_or_default();
        if !head.contains(&format!("x-verify-token: {}", Self::SECRET)) {
            return Reply::of(401, r#"{"error": "Unauthorized"}"#);
        }
        match cookie.split_once('=') {
            Some((_, "of-ann")) => {
                Reply::json(&json!({"email": "ann@example.com", "first_name": "Ann", "id": 7}))
            }
            Some((_, "of-bob")) => Reply::json(&json!({"email": "bob@example.com"})),
            Some((_, "of-carol")) => Reply::json(&json!({"email": "carol@example.com"})),
            Some((_, "of-nobody")) => Reply::of(403, ""),
            _ => Reply::of(401, ""),
        }
    }

    /// Changes what the API answers from now on.
    pub fn now(&self, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        self.0.now(answer);
    }

    /// How many requests about browsers' sessions the API has answered.
    pub fn asked(&self) -> usize {
        self.heads().len()
    }

    /// The heads of these requests.
    pub fn heads(&self) -> Vec<String> {
        let mut heads = self.0.heads();
        heads.retain(|head| !head.contains(TRIED));
        heads
    }

    /// The heads of the requests with which the gate tried whether its secret is right.
    pub fn trials(&self) -> Vec<String> {
        let mut heads = self.0.heads();
        heads.retain(|head| head.contains(TRIED));
        heads
    }

    /// The settings with which a gate asks this application.
    pub fn settings(&self) -> ApplicationSettings {
        ApplicationSettings(self.0.url("/api/auth/verify-session"))
    }
}

/// The settings of method 3.
pub struct ApplicationSettings(String);

impl ApplicationSettings {
    /// These settings, unless `more` has them too, and `more`.
    pub fn and<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("JWT_SSO_SESSION_VERIFY_URL", self.0.as_str()),
            ("JWT_SSO_SESSION_VERIFY_SECRET", HostApplication::SECRET),
            ("JWT_SSO_SESSION_COOKIE_NAME", HostApplication::COOKIE),
        ];
        settings.extend_from_slice(more);
        settings
    }
}
