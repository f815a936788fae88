//! What somebody sees who comes to Label Studio's public address without a credential.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use url::Url;

use super::Report;
use crate::gate::policy::Anonymous;
use crate::http_client::{Answer, HttpClient, Limits, NoAnswer};
use crate::settings::Settings;

/// Label Studio itself answers 401 there, and the gate says in a header that it was the gate.
const WHOAMI: &str = "/api/current-user/whoami";
const SIGN_UP: &str = "/user/signup/";
const X_GATE_REASON: &str = "x-gate-reason";

/// Asks through the proxy, where `label_studio.url` is set.
pub(super) async fn examine(report: &mut Report, settings: &Settings) -> Result<(), String> {
    let Some(url) = settings.label_studio.url.as_deref() else {
        report.note(
            "label_studio.url is not set: what visitors see at the public address was not tried",
        );
        return Ok(());
    };
    let base = Url::parse(url).map_err(|error| format!("label_studio.url: {error}"))?;
    let visitor = Visitor::new(base)?;
    match visitor.get(WHOAMI).await {
        Ok(answer) => anonymous_visit(report, settings.policy.gate.anonymous, &answer),
        Err(error) => {
            report.note(&format!("{url} was not reached from here: {error}"));
            return Ok(());
        }
    }
    if let Ok(answer) = visitor.get(SIGN_UP).await {
        sign_up(report, &answer);
    }
    Ok(())
}

/// Where everybody must be signed in, it is the gate that answers who is not.
fn anonymous_visit(report: &mut Report, anonymous: Anonymous, answer: &Answer) {
    let asked = answer.headers.contains_key(X_GATE_REASON);
    match (anonymous, asked) {
        (Anonymous::Require, true) => {
            report.good("the proxy asks the gate about requests without a credential");
        }
        (Anonymous::Require, false) => report.bad(
            "policy.anonymous is \"require\", and a request without a credential reaches Label Studio",
            "let the proxy ask about every request: each location that passes requests to Label Studio includes gate-check.conf, and \
             gate-http.conf does not take the short cut",
        ),
        (Anonymous::Pass, _) => {
            report.note("policy.anonymous is \"pass\": Label Studio decides about requests without a credential");
        }
    }
}

/// Whoever signs up is a user, and holds a session.
fn sign_up(report: &mut Report, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    let is_form = answer.status.is_success() && body.contains("name=\"password\"");
    if is_form {
        report.warn(
            "anybody can sign up to Label Studio at its public address",
            "set DISABLE_SIGNUP_WITHOUT_LINK=1 in Label Studio, or policy.anonymous = \"require\" here, unless that is what you want",
        );
    } else {
        report.good("nobody can sign up without an invitation");
    }
}

/// A browser that knows nothing.
struct Visitor {
    base: Url,
    client: HttpClient,
}

impl Visitor {
    fn new(base: Url) -> Result<Self, String> {
        let limits = Limits {
            timeout: Duration::from_secs(10),
            max_bytes: 4 * 1024 * 1024,
            redirects: 0,
            allow_http: true,
            ca_file: None,
        };
        let client = HttpClient::new(&limits).map_err(|error| error.to_string())?;
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
