//! What a browser does with cookies, over HTTP.

use std::sync::Arc;

use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use serde_json::Value;

use crate::label_studio::{ADMIN_PASSWORD, seeded};

/// A client with a cookie jar.
pub struct Browser {
    pub client: reqwest::Client,
    jar: Arc<Jar>,
    url: Url,
}

impl Browser {
    /// A browser without cookies.
    pub fn new(url: &str) -> Self {
        let jar = Arc::new(Jar::default());
        let client = crate::support::client_builder()
            .cookie_provider(jar.clone())
            .redirect(Policy::none())
            .build()
            .unwrap();
        Self {
            client,
            jar,
            url: url.parse().unwrap(),
        }
    }

    /// The application has set the token's cookie.
    pub fn with_token(self, token: &str) -> Self {
        self.set("ls_auth_token", token);
        self
    }

    pub fn set(&self, name: &str, value: &str) {
        self.jar
            .add_cookie_str(&format!("{name}={value}; Path=/"), &self.url);
    }

    /// The cookie of this name, as the browser would send it.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let header = self.jar.cookies(&self.url)?;
        let header = header.to_str().unwrap().to_owned();
        header
            .split("; ")
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    }

    /// The URL of a path on this host.
    pub fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.at(path)).send().await.unwrap()
    }

    /// Signs in as the administrator with Label Studio's own form.
    pub async fn fill_in_the_form(&self) -> Response {
        self.get("/user/login/").await;
        let csrf = self.cookie("csrftoken").unwrap();
        let form = [
            ("email", seeded("GATE_DEMO_ADMIN_EMAIL")),
            ("password", ADMIN_PASSWORD),
            ("csrfmiddlewaretoken", &csrf),
        ];
        let login = self.client.post(self.at("/user/login/"));
        let login = login.header("Referer", self.url.as_str()).form(&form);
        login.send().await.unwrap()
    }

    /// The email address of the user Label Studio sees; `None` if nobody is signed in.
    pub async fn whoami(&self) -> Option<String> {
        self.whoami_at("/api/current-user/whoami").await
    }

    /// The same, at a path with a query.
    pub async fn whoami_at(&self, path: &str) -> Option<String> {
        let response = self.get(path).await;
        match response.status().as_u16() {
            200 => {
                let body: Value = response.json().await.unwrap();
                Some(body["email"].as_str().unwrap().to_owned())
            }
            401 => None,
            other => panic!("{path} answers {other}: {}", response.text().await.unwrap()),
        }
    }
}
