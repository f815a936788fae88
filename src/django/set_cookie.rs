//! `Set-Cookie` values as `HttpResponse.set_cookie` and `delete_cookie` write them (`django/http/response.py`), attribute for attribute.

use std::time::{Duration, SystemTime};

/// The `SameSite` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests from the same site and with links from others.
    Lax,
    /// Sent with requests from the same site.
    Strict,
    /// Sent with every request; needs `Secure`.
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

/// A cookie without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieAttributes {
    /// Name
    pub name: String,
    /// `Domain`; without it the cookie belongs to the one host that set it.
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
    /// Sets the cookie; without `max_age` it ends with the browser.
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

    /// Deletes it. Django writes neither `HttpOnly` nor, but where the browser would otherwise refuse the cookie, `Secure`.
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
