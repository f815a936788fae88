//! Checks what an unauthenticated visitor can reach at Label Studio's public URL.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use url::Url;

use super::{CheckError, Report};
use crate::gate::policy::Anonymous;
use crate::http_client::{Answer, HttpClient, Limits, NoAnswer};
use crate::settings::Settings;
use crate::trust::TrustError;

/// Label Studio answers 401 here, and so does the gate, whose answer has an `X-Gate-Reason`.
const WHOAMI: &str = "/api/current-user/whoami";
const SIGN_UP: &str = "/user/signup/";
const X_GATE_REASON: &str = "x-gate-reason";

/// Sends requests through the proxy, if `label_studio.url` is set.
pub(super) async fn check(report: &mut Report, settings: &Settings) -> Result<(), CheckError> {
    let Some(url) = settings.label_studio.url.as_deref() else {
        report
            .note("label_studio.url is not set: did not check what visitors see at the public URL");
        return Ok(());
    };
    let visitor = Visitor::new(url.clone())?;
    match visitor.get(WHOAMI).await {
        Ok(answer) => anonymous_visit(report, settings.policy.gate.anonymous, &answer),
        Err(error) => {
            report.note(format!("{url} was not reached from here: {error}"));
            return Ok(());
        }
    }
    if let Ok(answer) = visitor.get(SIGN_UP).await {
        sign_up(report, &answer);
    }
    Ok(())
}

/// With `policy.anonymous = "require"`, the gate must answer unauthenticated requests.
fn anonymous_visit(report: &mut Report, anonymous: Anonymous, answer: &Answer) {
    let is_from_gate = answer.headers.contains_key(X_GATE_REASON);
    match (anonymous, is_from_gate) {
        (Anonymous::Require, true) => {
            report.ok("the proxy asks the gate about requests without a credential");
        }
        (Anonymous::Require, false) => report.fail(
            "policy.anonymous is \"require\", and a request without a credential reaches Label Studio",
            "let the proxy ask the gate about every request: each location that passes requests \
             to Label Studio includes gate-check.conf, and gate-http.conf does not take the \
             short cut",
        ),
        (Anonymous::Pass, _) => {
            report.note(
                "policy.anonymous is \"pass\": Label Studio decides about requests without a credential",
            );
        }
    }
}

/// Anybody who signs up becomes a user with a session.
fn sign_up(report: &mut Report, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    let is_form = answer.status.is_success() && body.contains("name=\"password\"");
    if is_form {
        report.warn(
            "anybody can sign up to Label Studio at its public URL",
            "unless that is intended, set DISABLE_SIGNUP_WITHOUT_LINK=1 in Label Studio, or \
             policy.anonymous = \"require\" here",
        );
    } else {
        report.ok("nobody can sign up without an invitation");
    }
}

/// An unauthenticated client.
struct Visitor {
    base: Url,
    client: HttpClient,
}

impl Visitor {
    fn new(base: Url) -> Result<Self, TrustError> {
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

    async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/html"));
        self.client.get(url, headers).await
    }
}
