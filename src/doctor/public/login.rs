//! A login of the user of `--email`, as their browser does it, and the sign-out.

use serde_json::Value;

use super::visitor::{JSON, WHOAMI, cookies, reason};
use super::{Answer, Check, Report, SetCookie, SystemClock, Trial, asking, named};
use crate::gate::issue::IssueError;
use crate::gate::observer::NoObserver;
use crate::gate::reason::Reason;
use crate::gate::subrequest::{CookieHeader, Subrequest};
use crate::gate::verify::Native;
use crate::settings::Proxy;
use crate::startup::{self, Services};

const NOT_COPIED: &str = "nginx: auth_request_set $gate_cookie $upstream_http_x_gate_cookie and proxy_set_header Cookie \
     $label_studio_cookie in the same location, as in gate-check.conf and gate-proxy.conf; a location with \
     a proxy_set_header of its own inherits none";

const NOT_SET: &str = "nginx: add_header Set-Cookie $gate_session_cookie always and $gate_set_cookie_2 always in the \
     same location, as in gate-check.conf; a location with an add_header of its own inherits none";

impl Trial<'_> {
    /// Logs the user in and asks Label Studio who they are. Returns the session cookie as a
    /// `Cookie` header, if there is one to sign out.
    pub(super) async fn log_in(&mut self, report: &mut Report, email: &str) -> Option<String> {
        let token = match self.issuer.issue_for_trial(email).await {
            Ok(issued) => issued.token,
            Err(IssueError::User { reason: denied, .. }) => {
                let what = format!("{email}: {}", Reason::from(denied).explanation());
                let cure = "name an active user of Label Studio with --email";
                report.fail(Check::PublicLogin, what, cure);
                return None;
            }
            Err(_) => {
                let what = format!("{email} could not be looked up");
                report.fail(Check::PublicLogin, what, "see the log line above");
                return None;
            }
        };
        report.note(
            Check::PublicLogin,
            format!(
                "logging in as {email}: htx_user.last_login changes, and Label Studio notes the \
                 user's activity"
            ),
        );
        match self.settings.native.enabled {
            true => self.log_in_by_token(report, email, &token).await,
            false => self.log_in_by_session(report, email, &token).await,
        }
    }

    /// As the host application's users do: the token is in the request.
    async fn log_in_by_token(
        &mut self,
        report: &mut Report,
        email: &str,
        token: &str,
    ) -> Option<String> {
        let (cookie, parameter) = (&self.settings.token.cookie, &*self.settings.token.parameter);
        let (path, own) = match cookie.as_deref() {
            Some(name) => (WHOAMI.to_owned(), format!("{name}={token}")),
            None => (format!("{WHOAMI}?{parameter}={token}"), String::new()),
        };
        let answer = self.ask(report, &path, &own).await?;
        if !self.is_logged_in(report, &answer, email).await {
            return None;
        }
        report.ok(
            Check::PublicLogin,
            format!("Label Studio knows {email}, whom the gate logged in"),
        );
        let name = &*self.settings.session.cookie_name;
        let set = cookies(&answer);
        let sessions: Vec<_> = set.iter().filter(|cookie| cookie.name == *name).collect();
        // Of two cookies, a browser keeps the later one (RFC 6265 §5.3, step 11).
        let session = sessions.last();
        let session = session.map(|cookie| format!("{name}={}", cookie.value));
        // Other proxies than nginx pass on both, because they cannot choose.
        let is_nginx = self.settings.http.proxies == [Proxy::Nginx];
        match (&session, sessions.len()) {
            (None, _) => {
                let what = "the browser gets no session cookie: the next request is not logged in";
                report.fail(Check::PublicCookies, what, NOT_SET);
            }
            (Some(_), 2..) if is_nginx => report.warn(
                Check::PublicCookies,
                "the browser gets two session cookies, of the gate and of Label Studio",
                "the name in gate-http.conf ($upstream_cookie_…) must be session.cookie_name",
            ),
            (Some(session), _) if !self.stays_logged_in(session, email).await => report.fail(
                Check::PublicCookies,
                "the session that the browser gets does not last: the next request is not logged in",
                "compare SESSION_COOKIE_NAME, SECRET_KEY and SESSION_ENGINE of both services",
            ),
            (Some(_), _) if !self.token_is_deleted(&answer) => report.warn(
                Check::PublicCookies,
                "the proxy does not pass on the deletion of the token's cookie: the browser sends \
                 the token until it expires",
                NOT_SET,
            ),
            (Some(_), _) => report.ok(
                Check::PublicCookies,
                "the browser gets the session and loses the token; the session lasts",
            ),
        }
        session
    }

    /// Without native tokens: opens the session here, and sends its cookie.
    async fn log_in_by_session(
        &mut self,
        report: &mut Report,
        email: &str,
        token: &str,
    ) -> Option<String> {
        report.note(
            Check::PublicLogin,
            "native.enabled is off: opened the session here instead of sending a token through the \
             proxy",
        );
        let Some(cookie) = self.open_session(token).await else {
            let what = format!("no session could be opened for {email}");
            report.fail(Check::PublicLogin, what, "see the log line above");
            return None;
        };
        self.sessions.push(cookie.value.clone());
        let session = format!("{}={}", cookie.name, cookie.value);
        let answer = self.ask(report, WHOAMI, &session).await?;
        if self.is_logged_in(report, &answer, email).await {
            let what = format!("Label Studio knows {email}, whose session was opened here");
            report.ok(Check::PublicLogin, what);
        }
        Some(session)
    }

    /// A gate of this process, which serves nobody, logs the user in.
    async fn open_session(&self, token: &str) -> Option<SetCookie> {
        let settings = self.settings;
        let clock = std::sync::Arc::new(SystemClock);
        let services = Services::connect(settings).ok()?;
        let mut gate = startup::gate(settings, self.backend, &services, clock);
        let native = &settings.native;
        gate.verifier.issuers.clear();
        gate.verifier.native = Some(Native::new(
            &settings.label_studio.secret_key,
            &[],
            native.user_id_claim.clone(),
            *native.leeway_seconds,
            None,
        ));
        let cookies = CookieHeader::new(std::iter::empty());
        let subrequest = Subrequest::new("/", cookies, None)?;
        let grant = gate.sign_in(token, &subrequest, &NoObserver).await.ok()?;
        SetCookie::parse(grant.cookies().session.as_deref()?)
    }

    async fn ask(&mut self, report: &mut Report, path: &str, cookies: &str) -> Option<Answer> {
        match self.visitor.get(path, JSON, cookies).await {
            Ok(answer) => {
                self.remember(&answer);
                Some(answer)
            }
            Err(error) => {
                let what = format!("the login got no answer: {error}");
                let cure = error.cure("SSL_CERT_FILE (a variable)");
                report.fail(Check::PublicLogin, what, cure);
                None
            }
        }
    }

    /// Whether Label Studio knows the user. If not, says at which hop the login was lost.
    async fn is_logged_in(&self, report: &mut Report, answer: &Answer, email: &str) -> bool {
        let check = Check::PublicLogin;
        if let Some(code) = reason(answer) {
            let known = Reason::from_code(code);
            if matches!(known, Some(Reason::Granted(_))) && answer.status.is_server_error() {
                let what = format!(
                    "the gate logs the user in ({code}), and the proxy answers {}: the gate's answer \
                     does not fit into the proxy's buffers",
                    answer.status
                );
                report.fail(check, what, asking::BUFFERS);
                return false;
            }
            let why = known.map_or("", Reason::explanation);
            report.fail(
                check,
                format!("the gate refuses the login ({code}): {why}"),
                "docs/troubleshooting.md says what to do about each reason",
            );
            return false;
        }
        match (answer.status.as_u16(), user(answer)) {
            (200, Some(found)) if found.eq_ignore_ascii_case(email) => return true,
            (200, Some(found)) => report.fail(
                check,
                format!("Label Studio takes {email} for {found}"),
                "the proxy must not cache answers or share cookies between requests",
            ),
            (401 | 403, _) => {
                // Label Studio started a session of its own, which tells why it does not know ours.
                if self.compare_with_label_studio(report, answer).await {
                    report.fail(
                        check,
                        "the gate opens a session, and Label Studio does not get it: the proxy \
                         does not copy the gate's cookies onto the request",
                        NOT_COPIED,
                    );
                }
            }
            (status @ (500 | 503), _) => report.fail(
                check,
                format!(
                    "the login gets {status}: the proxy gets no answer of the gate, or Label \
                     Studio fails"
                ),
                asking::UNREACHABLE_GATE,
            ),
            (status, _) => report.fail(
                check,
                format!("the login gets {status} instead of Label Studio's answer"),
                "check the address of Label Studio in the proxy, and whether it runs",
            ),
        }
        false
    }

    async fn stays_logged_in(&mut self, session: &str, email: &str) -> bool {
        let Ok(answer) = self.visitor.get(WHOAMI, JSON, session).await else {
            return false;
        };
        self.remember(&answer);
        user(&answer).is_some_and(|found| found.eq_ignore_ascii_case(email))
    }

    /// Signs out on the public route. [`Trial::clean_up`] deletes the row if that does not work.
    pub(super) async fn sign_out(&mut self, report: &mut Report, session: &str) {
        let check = Check::PublicSignOut;
        let origin = self.visitor.base().origin().ascii_serialization();
        let answer = self
            .visitor
            .post("/sso/logout", session, &origin, Some("same-origin"));
        let deleted = match answer.await {
            Ok(answer) => {
                let name = &*self.settings.session.cookie_name;
                let is_gone = named(&cookies(&answer), name).is_some_and(SetCookie::is_deletion);
                answer.status.as_u16() == 303 && is_gone
            }
            Err(_) => false,
        };
        if deleted {
            return report.ok(check, "the session is signed out");
        }
        report.warn(
            check,
            "/sso/logout does not sign out; the session of this trial was ended otherwise",
            "pass /sso/logout to the gate, as in gate.conf",
        );
    }
}

/// The address in Label Studio's answer.
fn user(answer: &Answer) -> Option<String> {
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    answer.get("email")?.as_str().map(str::to_owned)
}
