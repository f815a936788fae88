//! What Label Studio's own session cookie tells: its engine, its `SECRET_KEY`, its name and
//! attributes.
//!
//! Label Studio sets a session cookie with nearly every answer, also for visitors who are not
//! logged in. With the engine `signed_cookies` the cookie is signed; otherwise it is the key of a
//! row, whose data is signed.

use super::visitor::{SetCookie, cookies};
use super::{Answer, Check, Report, Trial, named};
use crate::django::{
    SessionCodec, SessionError, is_plausible_session_key, is_row_key, is_signed_cookie,
};
use crate::gate::session::{Engine, SessionStore as _};

const ENGINE: &str = "set SESSION_ENGINE of the gate to what Label Studio runs with: \
     django.contrib.sessions.backends.signed_cookies as shipped, \
     django.contrib.sessions.backends.db with deploy/label-studio";

const SECRET_KEY: &str = "give both services the same SECRET_KEY and restart them; without one, or with one that starts \
     with '$', Label Studio makes up its own";

/// The engine that makes such a cookie; `None` if it is no session cookie.
pub(super) fn kind(cookie: &SetCookie) -> Option<Engine> {
    match (is_signed_cookie(&cookie.value), is_row_key(&cookie.value)) {
        (true, _) => Some(Engine::SignedCookies),
        (false, true) => Some(Engine::Database),
        (false, false) => None,
    }
}

/// The engine of the session cookie itself, which may be one of the gate's: their keys are longer
/// than Django's.
fn engine_of_session(value: &str) -> Option<Engine> {
    if is_signed_cookie(value) {
        Some(Engine::SignedCookies)
    } else {
        is_plausible_session_key(value).then_some(Engine::Database)
    }
}

const fn django_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Database => "db",
        Engine::SignedCookies => "signed_cookies",
    }
}

impl Trial<'_> {
    /// Compares the session cookie in an answer of Label Studio with the settings. Returns whether
    /// Label Studio would know a session of the gate.
    pub(super) async fn compare_with_label_studio(
        &self,
        report: &mut Report,
        answer: &Answer,
    ) -> bool {
        let name = &*self.settings.session.cookie_name;
        let set = cookies(answer);
        if let Some((cookie, engine)) = named(&set, name)
            .and_then(|cookie| engine_of_session(&cookie.value).map(|engine| (cookie, engine)))
        {
            self.compare_attributes(report, cookie);
            return self.compare_engine(report, cookie, engine).await;
        }
        let other = set
            .iter()
            .find(|cookie| cookie.name != "csrftoken" && kind(cookie).is_some());
        match other {
            Some(cookie) => {
                report.fail(
                    Check::PublicSessionCookie,
                    format!(
                        "Label Studio's session cookie is called {:?}, and session.cookie_name is \
                         {name:?}",
                        cookie.name
                    ),
                    "set SESSION_COOKIE_NAME to the same value in both services, and the name in \
                     gate-http.conf ($upstream_cookie_…)",
                );
                false
            }
            None => {
                report.note(
                    Check::PublicSessionCookie,
                    "the answer set no session cookie: did not see Label Studio's engine and \
                     SECRET_KEY",
                );
                true
            }
        }
    }

    async fn compare_engine(&self, report: &mut Report, cookie: &SetCookie, found: Engine) -> bool {
        let own = self.settings.session.engine;
        if found != own {
            report.fail(
                Check::PublicSessionEngine,
                format!(
                    "Label Studio runs with the session engine {}, the gate with {}: nobody is \
                     logged in",
                    django_name(found),
                    django_name(own)
                ),
                ENGINE,
            );
            return false;
        }
        report.ok(
            Check::PublicSessionEngine,
            format!(
                "Label Studio runs with the session engine {}",
                django_name(own)
            ),
        );
        self.compare_secret_key(report, cookie, found).await
    }

    async fn compare_secret_key(
        &self,
        report: &mut Report,
        cookie: &SetCookie,
        engine: Engine,
    ) -> bool {
        let check = Check::PublicSecretKey;
        let codec = SessionCodec::new(&self.settings.label_studio.secret_key);
        let session = match engine {
            Engine::SignedCookies => {
                let age = *self.settings.session.cookie_age;
                codec.decode_cookie(&cookie.value, self.now, age)
            }
            Engine::Database => match self.postgres.load(&cookie.value, self.now).await {
                Ok(Some(data)) => data.whole(&codec),
                Ok(None) => {
                    report.fail(
                        Check::DatabaseTables,
                        "Label Studio's newest session is not in this database: Label Studio uses \
                         another one",
                        "give the gate the database of this Label Studio (database.url, \
                         POSTGRE_HOST, POSTGRE_NAME)",
                    );
                    return false;
                }
                Err(_) => return true,
            },
        };
        match session {
            Err(SessionError::BadSignature) => {
                report.fail(
                    check,
                    "Label Studio signs its sessions with another SECRET_KEY: nobody is logged in",
                    SECRET_KEY,
                );
                false
            }
            Ok(_) | Err(SessionError::Expired | SessionError::Malformed) => {
                report.ok(
                    check,
                    "Label Studio signs its sessions with the same SECRET_KEY",
                );
                true
            }
        }
    }

    /// Two cookies that differ in domain or path are two cookies, and a browser keeps both.
    fn compare_attributes(&self, report: &mut Report, cookie: &SetCookie) {
        let (check, session) = (Check::PublicSessionCookie, &self.settings.session);
        let domain = session.cookie_domain.as_deref();
        let domain = domain.map(|domain| domain.trim_start_matches('.').to_ascii_lowercase());
        let theirs = cookie.domain.as_ref().map(|it| it.to_ascii_lowercase());
        let path = cookie.path.as_deref().unwrap_or("/");
        let shown = |domain: &Option<String>| domain.clone().unwrap_or_else(|| "no domain".into());
        if theirs != domain || path != *session.cookie_path {
            return report.fail(
                check,
                format!(
                    "Label Studio's session cookie has {} and the path {path:?}, the gate's has {} \
                     and {:?}: browsers keep two cookies",
                    shown(&theirs),
                    shown(&domain),
                    *session.cookie_path
                ),
                "set SESSION_COOKIE_DOMAIN and SESSION_COOKIE_PATH (or proxy_cookie_path) to the \
                 same values in both services",
            );
        }
        let same_site = format!("{:?}", session.cookie_samesite);
        let theirs = cookie.same_site.as_deref().unwrap_or("Lax");
        if !theirs.eq_ignore_ascii_case(&same_site) || cookie.secure != session.cookie_secure {
            return report.warn(
                check,
                format!(
                    "Label Studio's session cookie has SameSite={theirs}{}, the gate's has \
                     SameSite={same_site}{}",
                    if cookie.secure { "; Secure" } else { "" },
                    if session.cookie_secure {
                        "; Secure"
                    } else {
                        ""
                    },
                ),
                "set SESSION_COOKIE_SAMESITE and SESSION_COOKIE_SECURE to the same values in both \
                 services",
            );
        }
        report.ok(
            check,
            "Label Studio's session cookie has the same name and attributes",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_seen_in_the_cookie() {
        let kind = |value: &str| {
            let cookie = SetCookie::parse(&format!("sessionid={value}; Path=/"));
            kind(&cookie.expect("a cookie"))
        };
        let signature = "JSex4IvqKT2tHiyLFfDtkooZXqivzjEOP-zKMvsVwpI";
        assert_eq!(
            kind(&format!("e30:1r31eq:{signature}")),
            Some(Engine::SignedCookies)
        );
        assert_eq!(
            kind("abcdefghijklmnopqrstuvwxyz012345"),
            Some(Engine::Database)
        );
        // csrftoken, a short value, an application's cookie.
        for value in [
            "AbCdefghijklmnopqrstuvwxyz012345",
            "abc",
            "s:abc.def",
            "",
            &format!("e30::{signature}"),
        ] {
            assert_eq!(kind(value), None, "{value}");
        }
    }
}
