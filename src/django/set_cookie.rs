//! `Set-Cookie` values exactly as `HttpResponse.set_cookie` and `delete_cookie` write them
//! (`django/http/response.py`).

use std::time::{Duration, SystemTime};

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests from the same site and with links from other sites.
    Lax,
    /// Sent only with requests from the same site.
    Strict,
    /// Sent with every request. Requires `Secure`.
    None,
}

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// A cookie's name and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieAttributes {
    /// The name.
    pub name: String,
    /// `Domain`; without it, only the host that set the cookie receives it.
    pub domain: Option<String>,
    /// `Path`
    pub path: String,
    /// `SameSite`
    pub same_site: SameSite,
    /// `Secure`
    pub secure: bool,
    /// `HttpOnly`
    pub http_only: bool,
    /// `Partitioned` (CHIPS)
    pub partitioned: bool,
}

impl CookieAttributes {
    /// Sets the cookie. Without `max_age` it is a browser-session cookie.
    pub fn set(&self, value: &str, max_age: Option<Duration>, now: SystemTime) -> String {
        let mut cookie = format!("{}={value}", self.name);
        // `http.cookies` sorts the attributes by name.
        self.push_domain(&mut cookie);
        if let Some(age) = max_age {
            cookie.push_str("; expires=");
            cookie.push_str(&httpdate::fmt_http_date(now + age));
        }
        if self.http_only {
            cookie.push_str("; HttpOnly");
        }
        if let Some(age) = max_age {
            cookie.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        self.push_scope(&mut cookie, self.secure);
        cookie
    }

    /// Deletes the cookie. Django never writes `HttpOnly` here, and writes `Secure` only where the
    /// browser would otherwise reject the cookie.
    pub fn delete(&self) -> String {
        let mut cookie = format!("{}=\"\"", self.name);
        self.push_domain(&mut cookie);
        cookie.push_str("; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0");
        let must_be_secure = self.same_site == SameSite::None
            || self.partitioned
            || self.name.starts_with("__Secure-")
            || self.name.starts_with("__Host-");
        self.push_scope(&mut cookie, must_be_secure);
        cookie
    }

    fn push_domain(&self, cookie: &mut String) {
        if let Some(domain) = &self.domain {
            cookie.push_str("; Domain=");
            cookie.push_str(domain);
        }
    }

    fn push_scope(&self, cookie: &mut String, secure: bool) {
        cookie.push_str("; Path=");
        cookie.push_str(&self.path);
        cookie.push_str("; SameSite=");
        cookie.push_str(self.same_site.as_str());
        if secure {
            cookie.push_str("; Secure");
        }
        if self.partitioned {
            cookie.push_str("; Partitioned");
        }
    }
}
