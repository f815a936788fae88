//! A client without a browser: sends requests to the public URL and reads the cookies in the
//! answers.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SET_COOKIE,
};
use url::Url;

use crate::http_client::{Answer, HttpClient, Limits, NoAnswer};
use crate::trust::TrustError;

/// Label Studio says here who is logged in, or answers 401.
pub(super) const WHOAMI: &str = "/api/current-user/whoami";

pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html";

/// Sends requests below the public URL.
pub(super) struct Visitor {
    base: Url,
    client: HttpClient,
}

/// A `Set-Cookie` header (RFC 6265 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) domain: Option<String>,
    pub(super) path: Option<String>,
    pub(super) same_site: Option<String>,
    pub(super) secure: bool,
}

impl Visitor {
    pub(super) fn new(base: Url) -> Result<Self, TrustError> {
        let limits = Limits {
            timeout: Duration::from_secs(10),
            max_bytes: 4 * 1024 * 1024,
            redirects: 0,
            allow_http: true,
            ca_file: None,
        };
        let client = HttpClient::new(&limits)?;
        Ok(Self { base, client })
    }

    pub(super) const fn base(&self) -> &Url {
        &self.base
    }

    /// Goes to `base` from now on.
    pub(super) fn move_to(&mut self, base: Url) {
        self.base = base;
    }

    /// The URL of `path` below the public URL; it may have a query.
    pub(super) fn at(&self, path: &str) -> Url {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// GET, with this `Accept` and these cookies.
    pub(super) async fn get(
        &self,
        path: &str,
        accept: &'static str,
        cookies: &str,
    ) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, path, accept, cookies, HeaderMap::new())
            .await
    }

    /// POST without a body, as a page of this origin makes a browser send it, with Fetch Metadata or
    /// without.
    pub(super) async fn post(
        &self,
        path: &str,
        cookies: &str,
        origin: &str,
        fetch_site: Option<&'static str>,
    ) -> Result<Answer, NoAnswer> {
        let mut headers = HeaderMap::new();
        // As browsers do. A proxy that speaks HTTP/1.0 to the gate could not pass it on without.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        if let Ok(origin) = HeaderValue::from_str(origin) {
            headers.insert(ORIGIN, origin);
        }
        let sec_fetch_site = HeaderName::from_static("sec-fetch-site");
        if let Some(fetch_site) = fetch_site {
            headers.insert(sec_fetch_site, HeaderValue::from_static(fetch_site));
        }
        self.send(Method::POST, path, JSON, cookies, headers).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        cookies: &str,
        mut headers: HeaderMap,
    ) -> Result<Answer, NoAnswer> {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let (false, Ok(mut cookies)) = (cookies.is_empty(), HeaderValue::from_str(cookies)) {
            cookies.set_sensitive(true);
            headers.insert(COOKIE, cookies);
        }
        self.client.send(method, self.at(path), headers).await
    }
}

/// The reason of the gate, if it answered itself.
pub(super) fn reason(answer: &Answer) -> Option<&str> {
    answer.headers.get("x-gate-reason")?.to_str().ok()
}

/// The cookies that an answer sets.
pub(super) fn cookies(answer: &Answer) -> Vec<SetCookie> {
    let headers = answer.headers.get_all(SET_COOKIE).iter();
    headers
        .filter_map(|header| SetCookie::parse(header.to_str().ok()?))
        .collect()
}

impl SetCookie {
    pub(super) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.trim_matches('"').to_owned(),
            domain: None,
            path: None,
            same_site: None,
            secure: false,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.to_ascii_lowercase().as_str() {
                "domain" => cookie.domain = Some(value.trim_start_matches('.').to_owned()),
                "path" => cookie.path = Some(value.to_owned()),
                "samesite" => cookie.same_site = Some(value.to_owned()),
                "secure" => cookie.secure = true,
                _ => {}
            }
        }
        Some(cookie)
    }

    /// Whether it deletes the cookie: Django and the gate do so with an empty value.
    pub(super) const fn is_deletion(&self) -> bool {
        self.value.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_cookie_headers_are_read() {
        let cookie = SetCookie::parse(
            "sessionid=abc; Domain=.example.com; HttpOnly; Path=/x; SameSite=None; Secure",
        );
        let cookie = cookie.expect("a cookie");
        assert_eq!(
            (cookie.name.as_str(), cookie.value.as_str()),
            ("sessionid", "abc")
        );
        assert_eq!(cookie.domain.as_deref(), Some("example.com"));
        assert_eq!(cookie.path.as_deref(), Some("/x"));
        assert_eq!(cookie.same_site.as_deref(), Some("None"));
        assert!(cookie.secure && !cookie.is_deletion());
        let deletion = SetCookie::parse("ls_auth_token=\"\"; Max-Age=0; Path=/");
        assert!(deletion.is_some_and(|cookie| cookie.is_deletion()));
        assert_eq!(SetCookie::parse("nonsense"), None);
    }

    #[test]
    fn paths_are_below_the_public_url() {
        crate::startup::install_crypto();
        let base = Url::parse("https://example.com/label-studio/").expect("a URL");
        let visitor = Visitor::new(base).expect("the system's certificates");
        assert_eq!(
            visitor.at("/projects/?token=a").as_str(),
            "https://example.com/label-studio/projects/?token=a"
        );
    }
}
