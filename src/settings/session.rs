//! `[session]`: the cookie and the engine, and which combinations a browser or Django would not take.

use std::time::Duration;

use super::reader::Reader;
use crate::django::SameSite;
use crate::gate::session::Engine;

/// Sessions.
#[derive(Debug)]
pub struct Session {
    /// Django's engine.
    pub engine: Engine,
    /// Name of the cookie.
    pub cookie_name: String,
    /// `Domain`
    pub cookie_domain: Option<String>,
    /// `Path`
    pub cookie_path: String,
    /// `SameSite`
    pub cookie_samesite: SameSite,
    /// `Secure`
    pub cookie_secure: bool,
    /// `HttpOnly`
    pub cookie_httponly: bool,
    /// `Partitioned`
    pub cookie_partitioned: bool,
    /// `SESSION_COOKIE_AGE`
    pub cookie_age: Duration,
    /// `MAX_SESSION_AGE` of Label Studio.
    pub max_age: Duration,
}

/// The engines in which a session made from outside is one, under their full and their short names.
const ENGINES: &[(&str, Engine)] = &[
    ("django.contrib.sessions.backends.db", Engine::Database),
    (
        "django.contrib.sessions.backends.cached_db",
        Engine::Database,
    ),
    (
        "django.contrib.sessions.backends.signed_cookies",
        Engine::SignedCookies,
    ),
    ("db", Engine::Database),
    ("cached_db", Engine::Database),
    ("signed_cookies", Engine::SignedCookies),
];

impl Session {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let session = Self {
            engine: engine(reader),
            cookie_name: reader.text("session.cookie_name"),
            cookie_domain: reader.optional("session.cookie_domain"),
            cookie_path: reader.text("session.cookie_path"),
            cookie_samesite: reader.choice(
                "session.cookie_samesite",
                &[
                    ("Lax", SameSite::Lax),
                    ("Strict", SameSite::Strict),
                    ("None", SameSite::None),
                ],
            ),
            cookie_secure: reader.flag("session.cookie_secure"),
            cookie_httponly: reader.flag("session.cookie_httponly"),
            cookie_partitioned: reader.flag("session.cookie_partitioned"),
            cookie_age: reader.seconds("session.cookie_age", 60..=315_360_000),
            max_age: reader.seconds("session.max_age", 60..=315_360_000),
        };
        session.check(reader);
        session
    }

    fn check(&self, reader: &mut Reader) {
        check_name(reader, "session.cookie_name", &self.cookie_name);
        check_path(reader, "session.cookie_path", &self.cookie_path);
        if let Some(domain) = &self.cookie_domain {
            check_domain(reader, "session.cookie_domain", domain);
        }
        if self.cookie_samesite == SameSite::None && !self.cookie_secure {
            reader.refuse(
                "session.cookie_samesite",
                "is None, which browsers accept only with session.cookie_secure = true (and HTTPS)",
            );
        }
        if self.cookie_partitioned && !self.cookie_secure {
            reader.refuse(
                "session.cookie_partitioned",
                "is true, which browsers accept only with session.cookie_secure = true (and HTTPS)",
            );
        }
        let prefix = |prefix| self.cookie_name.starts_with(prefix);
        if (prefix("__Secure-") || prefix("__Host-")) && !self.cookie_secure {
            reader.refuse(
                "session.cookie_name",
                "begins with __Secure- or __Host-, which browsers accept only with session.cookie_secure = true",
            );
        }
        if prefix("__Host-") && (self.cookie_domain.is_some() || self.cookie_path != "/") {
            reader.refuse(
                "session.cookie_name",
                "begins with __Host-, which browsers accept only without a domain and with the path /",
            );
        }
    }
}

fn engine(reader: &mut Reader) -> Engine {
    let name = "session.engine";
    let text = reader.text(name);
    if let Some((_, engine)) = ENGINES.iter().find(|(known, _)| *known == text) {
        return *engine;
    }
    let why = match text.rsplit('.').next() {
        Some("cache" | "file") => {
            "keeps sessions where nobody but Label Studio's own process reaches them; use db, cached_db or signed_cookies"
        }
        _ => {
            "must be django.contrib.sessions.backends.db, …cached_db or …signed_cookies, as SESSION_ENGINE of Label Studio"
        }
    };
    reader.refuse(name, format!("{why}; it is {text:?}"));
    Engine::Database
}

/// RFC 6265 §4.1.1: a cookie's name is a token of HTTP.
pub(super) fn check_name(reader: &mut Reader, setting: &str, name: &str) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        reader.refuse(
            setting,
            format!("must be a cookie's name (RFC 6265 §4.1.1), and is {name:?}"),
        );
    }
}

pub(super) fn check_path(reader: &mut Reader, setting: &str, path: &str) {
    let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b';';
    if !path.starts_with('/') || !path.bytes().all(plain) {
        reader.refuse(
            setting,
            format!("must be a path that begins with '/', and is {path:?}"),
        );
    }
}

pub(super) fn check_domain(reader: &mut Reader, setting: &str, domain: &str) {
    let host = domain.strip_prefix('.').unwrap_or(domain);
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !host.split('.').all(label) {
        let why = "must be a host name, as example.com or .example.com, without scheme, port or path, and is";
        reader.refuse(setting, format!("{why} {domain:?}"));
    }
}
