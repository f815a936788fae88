//! Tries Label Studio's public URL as a browser does: is the gate asked, does Label Studio know its
//! sessions, and is a user logged in?
//!
//! In: `label_studio.url` or `--url`, and the user of `--email`. Out: a finding for each hop. The
//! credentials are those that an operator who holds `SECRET_KEY` can make: a token of a user who
//! does not exist, which the gate refuses with a reason that no other server knows, and a token of
//! the user that is valid for a minute. Afterwards, the sessions that the requests opened are ended.

mod asking;
mod label_studio;
mod login;
mod pages;
mod routes;
mod visitor;

use std::sync::Arc;
use std::time::SystemTime;

use self::asking::Asked;
use self::visitor::{JSON, SetCookie, Visitor, WHOAMI, cookies, reason};
use super::{Check, Options, Report};
use crate::django::is_plausible_session_key;
use crate::gate::issue::TokenIssuer;
use crate::gate::policy::Anonymous;
use crate::gate::session::SessionStore as _;
use crate::http_client::Answer;
use crate::postgres::Postgres;
use crate::settings::Settings;
use crate::startup::{self, Backend, SystemClock};

/// What every hop needs.
struct Trial<'t> {
    settings: &'t Settings,
    postgres: &'t Postgres,
    backend: &'t Backend,
    issuer: TokenIssuer,
    visitor: Visitor,
    now: SystemTime,
    /// The session cookies that the answers set: they are ended afterwards.
    sessions: Vec<String>,
}

/// Sends requests through the proxy, if the public URL is known.
pub(super) async fn check(
    report: &mut Report,
    settings: &Settings,
    postgres: &Postgres,
    options: &Options,
    now: SystemTime,
) {
    let url = options
        .url
        .as_ref()
        .or(settings.label_studio.url.as_deref());
    let Some(url) = url else {
        return not_tried(report, options);
    };
    let visitor = match Visitor::new(url.clone()) {
        Ok(visitor) => visitor,
        Err(error) => {
            let cure = "install the system's root certificates (ca-certificates)";
            return report.fail(Check::PublicUrl, error.to_string(), cure);
        }
    };
    let backend = match Backend::connect(settings) {
        Ok(backend) => backend,
        Err(error) => {
            return report.fail(Check::Settings, error.to_string(), "correct the setting");
        }
    };
    let mut trial = Trial {
        settings,
        postgres,
        issuer: startup::issuer(settings, &backend, Arc::new(SystemClock)),
        backend: &backend,
        visitor,
        now,
        sessions: Vec::new(),
    };
    trial.run(report, options).await;
    trial.clean_up(report).await;
}

fn not_tried(report: &mut Report, options: &Options) {
    let what = "label_studio.url is not set: did not check what browsers get at the public URL";
    match options.email {
        None => report.note(Check::PublicUrl, what),
        Some(_) => report.fail(Check::PublicUrl, what, "name it with --url"),
    }
}

impl Trial<'_> {
    async fn run(&mut self, report: &mut Report, options: &Options) {
        let Some(anonymous) = self.reach(report, options).await else {
            return;
        };
        let hindrance = self.hindrance(report).await;
        let asked = self
            .find_out_who_is_asked(report, &anonymous, hindrance)
            .await;
        self.look_for_routes(report).await;
        if asked == Asked::No {
            return;
        }
        if reason(&anonymous).is_none() {
            self.compare_with_label_studio(report, &anonymous).await;
        }
        let session = match (&options.email, hindrance) {
            (Some(email), None) => self.log_in(report, email).await,
            (Some(_), Some(why)) => {
                no_login(report, why);
                None
            }
            (None, _) => {
                self.tell_what_was_not_tried(report, &anonymous);
                None
            }
        };
        self.look_at_pages(report, session.as_deref().unwrap_or_default())
            .await;
        if let Some(session) = session {
            self.sign_out(report, &session).await;
        }
    }

    fn tell_what_was_not_tried(&self, report: &mut Report, anonymous: &Answer) {
        let also = match reason(anonymous) {
            Some(_) => ", and did not see whether Label Studio has the same SECRET_KEY and engine",
            None => "",
        };
        report.note(
            Check::PublicLogin,
            format!("--email is not set: did not try a login and a sign-out{also}"),
        );
    }

    /// The first request, without a credential. `None`: there is no use in others.
    async fn reach(&mut self, report: &mut Report, options: &Options) -> Option<Answer> {
        let answer = match self.visitor.get(WHOAMI, JSON, "").await {
            Ok(answer) => answer,
            Err(error) => {
                let what = format!("{} was not reached from here: {error}", self.visitor.base());
                // A container may be unable to reach the address that browsers use.
                let is_wanted = options.url.is_some() || options.email.is_some();
                let cure = error.cure("SSL_CERT_FILE (a variable)");
                match is_wanted {
                    true => report.fail(Check::PublicUrl, what, cure),
                    false => report.advise(Check::PublicUrl, what, cure),
                }
                return None;
            }
        };
        self.remember(&answer);
        let Some(target) = answer.redirect_target(&self.visitor.at(WHOAMI)) else {
            return self.judge_reach(report, answer).await;
        };
        let Some(base) = target.path().strip_suffix(WHOAMI) else {
            report.fail(
                Check::PublicUrl,
                format!("{} redirects to {target}", self.visitor.base()),
                "set label_studio.url to Label Studio's own address, as browsers see it",
            );
            return None;
        };
        let mut moved = target.clone();
        moved.set_path(base);
        report.warn(
            Check::PublicUrl,
            format!("{} redirects to {moved}", self.visitor.base()),
            format!("set label_studio.url to {moved}"),
        );
        self.visitor.move_to(moved);
        let answer = self.visitor.get(WHOAMI, JSON, "").await.ok()?;
        self.remember(&answer);
        self.judge_reach(report, answer).await
    }

    /// Whether the answer is one of the gate or of Label Studio.
    async fn judge_reach(&self, report: &mut Report, answer: Answer) -> Option<Answer> {
        let (check, url, status) = (
            Check::PublicUrl,
            self.visitor.base(),
            answer.status.as_u16(),
        );
        if reason(&answer).is_some() || matches!(status, 200 | 401 | 403) {
            report.ok(check, format!("{url} answers"));
            return Some(answer);
        }
        if self.is_gate_itself().await {
            let what = format!("{url} is the gate itself, not the proxy in front of Label Studio");
            let cure = "set label_studio.url (LABEL_STUDIO_HOST) or --url to the address that browsers use";
            report.fail(check, what, cure);
            return None;
        }
        let cure = match status {
            500 | 503 => asking::UNREACHABLE_GATE,
            502 | 504 => "check the address of Label Studio in the proxy, and whether it runs",
            _ => "set label_studio.url to the address and path where browsers find Label Studio",
        };
        report.fail(
            check,
            format!("{url} answers {status}, which neither the gate nor Label Studio would"),
            cure,
        );
        None
    }

    /// Whether the URL leads to the gate without a proxy: proxies do not pass its health on.
    async fn is_gate_itself(&self) -> bool {
        let answer = self.visitor.get("/health/live", JSON, "").await;
        answer.is_ok_and(|answer| answer.body == br#"{"status":"live"}"#)
    }

    /// Notes the session cookies that an answer sets.
    fn remember(&mut self, answer: &Answer) {
        let own = &*self.settings.session.cookie_name;
        for cookie in cookies(answer) {
            let is_session = cookie.name == *own || label_studio::kind(&cookie).is_some();
            if is_session && !cookie.is_deletion() && !self.sessions.contains(&cookie.value) {
                self.sessions.push(cookie.value);
            }
        }
    }

    /// Ends what the requests opened. Label Studio stores a row for every visitor.
    async fn clean_up(self, report: &mut Report) {
        let is_key = |value: &String| is_plausible_session_key(value);
        let keys: Vec<String> = self.sessions.into_iter().filter(is_key).collect();
        if !keys.is_empty() && self.postgres.end(&keys).await.is_err() {
            report.warn(
                Check::PublicSignOut,
                "the sessions of this trial could not be deleted",
                "see the log line above; label-studio-gate purge deletes them when they expire",
            );
        }
    }
}

/// No login can be tried. The reason has failed a check of its own, unless it has come up since then.
fn no_login(report: &mut Report, why: &str) {
    let (check, what) = (
        Check::PublicLogin,
        format!("{why}: did not try a login and a sign-out"),
    );
    match report.failures() {
        0 => report.fail(check, what, "see the log line above"),
        _ => report.note(check, what),
    }
}

/// The cookie with this name.
fn named<'c>(cookies: &'c [SetCookie], name: &str) -> Option<&'c SetCookie> {
    cookies.iter().find(|cookie| cookie.name == name)
}
