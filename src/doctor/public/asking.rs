//! Whether the proxy asks the gate, and what it sends along.
//!
//! A token of a user who does not exist gets 403 with the reason `user_unknown`, from the gate only
//! and without any effect. It is sent once in the cookie and once in the query: if only one of them
//! arrives, the other is not sent or has another name.

use reqwest::StatusCode;

use super::visitor::{JSON, WHOAMI, cookies, reason};
use super::{Anonymous, Answer, Check, Report, Trial, named};
use crate::gate::identity::Identity;
use crate::gate::issue::NO_USER;
use crate::gate::reason::{Denied, Outage, Reason};
use crate::gate::user::UserDirectory as _;
use crate::settings::Proxy;

/// What to do about a proxy that got no answer of the gate.
pub(super) const UNREACHABLE_GATE: &str = "check that the gate runs, its address in the proxy (upstream label_studio_gate_checks in \
     gate-http.conf), that http.proxies names the proxy, and the proxy's own error log";

const NOT_ASKED: &str = "each location that passes requests to Label Studio must include gate-check.conf, or the \
     proxy's equivalent; check that this URL leads to that proxy";

const NO_COOKIE: &str = "the proxy must send the Cookie header to the gate; with the short cut, $cookie_… in \
     gate-http.conf must name token.cookie";

const NO_URI: &str = "the proxy must send the original address with its query (X-Original-URI $request_uri); with \
     the short cut, the parameter in gate-http.conf must be token.parameter";

/// What to do about a proxy that got the gate's answer and could not use it.
pub(super) const BUFFERS: &str = "nginx: proxy_buffer_size 32k and proxy_buffers 4 32k in the location of the check, as in \
     gate.conf; its error log says \"upstream sent too big header\". Other proxies: their own error log";

const NO_HOST: &str = "nginx: proxy_set_header Host $http_host in the location of the check, as in gate.conf; other \
     proxies: docs/proxies.md";

const OTHER_SETTINGS: &str = "run doctor with the settings of the gate that this proxy asks: SECRET_KEY, token.cookie, \
     token.parameter and native.enabled";

/// Whether the gate is asked about requests with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Yes,
    /// It makes no sense to log in.
    No,
    Unknown,
}

/// What came back for the token of nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    /// The gate read the token.
    Read,
    /// The gate answered something else, and the proxy with this status.
    Other(Reason, StatusCode),
    /// The proxy answers 503 (nginx without the shipped files: 500): it did not get an answer.
    NoGate,
    /// No sign of the gate.
    Silence,
    /// Not sent: the gate takes no tokens from there, or at all.
    Unsent,
}

impl Echo {
    /// `anonymous` is the answer to the same request without the token. ingress-nginx hides the
    /// reason of a 403, which Label Studio would not answer here.
    fn of(answer: &Answer, anonymous: &Answer) -> Self {
        let known = reason(answer).and_then(Reason::from_code);
        match (known, answer.status.as_u16()) {
            (None, 403) if anonymous.status.as_u16() != 403 => Self::Read,
            (Some(Reason::Denied(Denied::UserUnknown)), _) => Self::Read,
            (Some(reason), _) => Self::Other(reason, answer.status),
            (None, 500 | 503) => Self::NoGate,
            (None, _) => Self::Silence,
        }
    }
}

impl Trial<'_> {
    /// Finds out whether the gate is asked. `anonymous` is the answer to a request without a
    /// credential; `hindrance` is why tokens of doctor's would say nothing.
    pub(super) async fn find_out_who_is_asked(
        &mut self,
        report: &mut Report,
        anonymous: &Answer,
        hindrance: Option<&str>,
    ) -> Asked {
        if let Some(reason) = reason(anonymous).and_then(Reason::from_code)
            && !matches!(reason, Reason::SignInRequired)
        {
            return self.judge_other(report, reason, anonymous.status);
        }
        if self
            .settings
            .policy
            .gate
            .is_open(self.visitor.at(WHOAMI).path())
        {
            let what = format!(
                "policy.open_paths covers {WHOAMI}: the gate checks no request for it, so nothing \
                 shows whether the proxy asks"
            );
            let cure = "name only what nobody has to be signed in for in policy.open_paths";
            report.warn(Check::PublicGate, what, cure);
            return Asked::No;
        }
        if self.settings.native.enabled
            && let Some(why) = hindrance
        {
            let what = format!("{why}: did not try whether the proxy asks the gate");
            report.note(Check::PublicGate, what);
            return Asked::Unknown;
        }
        let (cookie, parameter) = self.send_nobody(anonymous).await;
        let asked = match (cookie, parameter) {
            (Echo::Other(reason, status), _) | (_, Echo::Other(reason, status)) => {
                self.judge_other(report, reason, status)
            }
            (Echo::NoGate, _) | (_, Echo::NoGate) => {
                let what = "the proxy gets no answer of the gate";
                report.fail(Check::PublicGate, what, UNREACHABLE_GATE);
                Asked::No
            }
            (Echo::Silence, Echo::Read) => {
                let what = "the gate does not see the token's cookie, though it sees the address";
                report.fail(Check::PublicGate, what, NO_COOKIE);
                Asked::No
            }
            (Echo::Read | Echo::Unsent, Echo::Silence) => {
                let what = "the gate does not see a token in the address";
                report.fail(Check::PublicGate, what, NO_URI);
                Asked::Yes
            }
            (Echo::Read | Echo::Unsent, Echo::Read) => {
                report.ok(
                    Check::PublicGate,
                    "the proxy asks the gate, and sends it the cookies and the original URI",
                );
                Asked::Yes
            }
            (Echo::Silence, _) | (_, Echo::Unsent) => self.look_for_another_sign(report).await,
        };
        if asked == Asked::Yes {
            self.look_for_the_host(report).await;
        }
        self.judge_anonymous(report, anonymous);
        asked
    }

    /// Why a login or a token of doctor's would say nothing about the proxy.
    pub(super) async fn hindrance(&self, report: &Report) -> Option<&'static str> {
        if self.find_nobody().await.is_err() {
            Some("doctor cannot look up users")
        } else if self.settings.native.enabled && report.has_failed(Check::DatabaseClock) {
            Some("the gate would refuse doctor's tokens because of this machine's clock")
        } else {
            None
        }
    }

    /// Whether there is really no user with the primary key of nobody.
    async fn find_nobody(&self) -> Result<bool, Outage> {
        let found = self.postgres.find(&Identity::Id(NO_USER)).await?;
        Ok(found.is_none())
    }

    /// A page of this origin makes a browser without Fetch Metadata send a POST. The gate compares its
    /// origin with the `Host` that the proxy passes on.
    async fn look_for_the_host(&self, report: &mut Report) {
        let cookie = self.settings.token.cookie.as_deref();
        let cookie = cookie.map_or_else(String::new, |name| format!("{name}=doctor"));
        let origin = self.visitor.base().origin().ascii_serialization();
        let answer = self.visitor.post(WHOAMI, &cookie, &origin, None).await;
        let reason = answer.as_ref().ok().and_then(reason);
        if reason == Some(Denied::CrossSiteRequest.code()) {
            report.fail(
                Check::PublicGate,
                "the proxy does not pass the Host header on to the gate, which takes Label Studio's own \
                 pages for those of another site (cross_site_request)",
                NO_HOST,
            );
        }
    }

    /// Sends the token of nobody in the cookie and in the query.
    async fn send_nobody(&mut self, anonymous: &Answer) -> (Echo, Echo) {
        if !self.settings.native.enabled || self.find_nobody().await != Ok(true) {
            return (Echo::Unsent, Echo::Unsent);
        }
        let token = self.issuer.issue_for_nobody();
        let cookie = match self.settings.token.cookie.as_deref() {
            Some(name) => {
                let cookie = format!("{name}={token}");
                self.echo(WHOAMI, &cookie, anonymous).await
            }
            None => Echo::Unsent,
        };
        let parameter = &*self.settings.token.parameter;
        let path = format!("{WHOAMI}?{parameter}={token}");
        let parameter = self.echo(&path, "", anonymous).await;
        (cookie, parameter)
    }

    async fn echo(&mut self, path: &str, cookies: &str, anonymous: &Answer) -> Echo {
        match self.visitor.get(path, JSON, cookies).await {
            Ok(answer) => {
                self.remember(&answer);
                Echo::of(&answer, anonymous)
            }
            Err(_) => Echo::Silence,
        }
    }

    /// Another page makes the browser send a POST: the gate refuses that whatever the token is, so
    /// it tells "not asked" from "asked, but the token means nothing to that gate".
    async fn look_for_another_sign(&mut self, report: &mut Report) -> Asked {
        let check = Check::PublicGate;
        let cookie = self.settings.token.cookie.as_deref();
        let cookie = cookie.map_or_else(String::new, |name| format!("{name}=doctor"));
        let foreign = "https://label-studio-gate-doctor.invalid";
        let answer = self
            .visitor
            .post(WHOAMI, &cookie, foreign, Some("cross-site"))
            .await;
        let reason = answer.as_ref().ok().and_then(reason);
        match (reason, self.settings.native.enabled) {
            (Some(_), true) => {
                report.fail(
                    check,
                    "the proxy asks a gate to which a token signed with this SECRET_KEY means \
                     nothing",
                    OTHER_SETTINGS,
                );
                Asked::No
            }
            (Some(_), false) => {
                report.ok(check, "the proxy asks the gate, and sends it the cookies");
                Asked::Yes
            }
            (None, true) => {
                report.fail(check, "the proxy does not ask the gate", NOT_ASKED);
                Asked::No
            }
            (None, false) => {
                report.note(
                    check,
                    "native.enabled is off: did not see whether the proxy asks the gate",
                );
                Asked::Unknown
            }
        }
    }

    /// The gate gave another reason than the one for a user who does not exist.
    fn judge_other(&self, report: &mut Report, reason: Reason, status: StatusCode) -> Asked {
        let code = reason.code();
        let (what, cure) = match reason {
            Reason::Denied(Denied::RequestMalformed) => (
                "the proxy does not send the original URI to the gate (request_malformed)"
                    .to_owned(),
                "nginx: proxy_set_header X-Original-URI $request_uri in the location of the \
                 check, as in gate.conf; other proxies: docs/proxies.md",
            ),
            Reason::CredentialError(_) => (
                format!(
                    "the gate behind this URL refuses a token signed with this SECRET_KEY ({code})"
                ),
                OTHER_SETTINGS,
            ),
            Reason::SignInRequired => (
                "the gate behind this URL sees no token (sign_in_required)".to_owned(),
                NO_COOKIE,
            ),
            Reason::Outage(outage) => (
                format!("the gate behind this URL cannot decide: {outage} ({code})"),
                "see the checks above, and that gate's log",
            ),
            Reason::Granted(_) if status.is_server_error() => (
                format!("the gate accepts the request ({code}), and the proxy answers {status}"),
                BUFFERS,
            ),
            Reason::Granted(_) | Reason::Denied(_) => (
                format!(
                    "the gate behind this URL answers {code}: {}",
                    reason.explanation()
                ),
                "docs/troubleshooting.md says what to do about each reason",
            ),
        };
        report.fail(Check::PublicGate, what, cure);
        Asked::No
    }

    /// With `policy.anonymous = "require"`, the gate must answer unauthenticated requests.
    fn judge_anonymous(&self, report: &mut Report, anonymous: &Answer) {
        let check = Check::PublicAnonymous;
        match (self.settings.policy.gate.anonymous, reason(anonymous)) {
            (Anonymous::Require, Some(_)) => report.ok(
                check,
                "the proxy asks the gate about requests without a credential",
            ),
            (Anonymous::Require, None) => report.fail(
                check,
                "policy.anonymous is \"require\", and a request without a credential reaches Label Studio",
                "let the proxy ask the gate about every request: each location that passes \
                 requests to Label Studio includes gate-check.conf, and none includes \
                 gate-short-cut.conf",
            ),
            (Anonymous::Pass, _) => report.note(
                check,
                "policy.anonymous is \"pass\": Label Studio decides about requests without a credential",
            ),
        }
    }

    /// Whether the proxy passed on the deletion of the token's cookie. ingress-nginx passes one
    /// cookie on, and Envoy Gateway none.
    pub(super) fn token_is_deleted(&self, answer: &Answer) -> bool {
        let mut proxies = self.settings.http.proxies.iter();
        let may_pass_fewer =
            proxies.any(|proxy| matches!(proxy, Proxy::IngressNginx | Proxy::Envoy));
        let name = self.settings.token.cookie.as_deref();
        may_pass_fewer
            || name.is_none_or(|name| {
                named(&cookies(answer), name).is_some_and(super::SetCookie::is_deletion)
            })
    }
}
