//! Whether the proxy passes the gate's own routes on to it.
//!
//! Each is asked without a credential: the gate answers in a way that Label Studio does not, and nothing
//! follows from it.

use url::Url;

use super::visitor::{HTML, Visitor};
use super::{Answer, Check, Report, Trial, reason};
use crate::gate::reason::CredentialError;
use crate::http_client::NoAnswer;
use crate::settings::SignIn;

const TOKEN: &str = "/api/sso/token";

/// How the gate's answer to a token request without a credential begins.
const NO_CREDENTIAL: &str = "{\"error\":\"Authentication required\"";

const NOT_PASSED: &str = "pass the exact path to the gate, as in gate.conf (under a path: the file of your environment; other \
     proxies: docs/proxies.md)";

impl Trial<'_> {
    /// Asks for each public route that the settings switch on.
    pub(super) async fn look_for_routes(&mut self, report: &mut Report) {
        let origin = self.visitor.base().origin().ascii_serialization();
        let answer = self.visitor.post(TOKEN, "", &origin, None).await;
        judge(report, TOKEN, answer, |answer| {
            answer.status.as_u16() == 401 && answer.body.starts_with(NO_CREDENTIAL.as_bytes())
        });
        let Some(sign_in) = &self.settings.sign_in else {
            return;
        };
        for (start, callback) in sign_in_routes(sign_in, self.visitor.base()) {
            let answer = self.visitor.get(&start, HTML, "").await;
            judge(report, &start, answer, |answer| {
                begins_sign_in(answer, &self.visitor, &start)
            });
            let answer = self.visitor.get(&callback, HTML, "").await;
            let unknown = CredentialError::SignInUnknown.code();
            judge(report, &callback, answer, |answer| {
                reason(answer) == Some(unknown)
            });
        }
    }
}

/// Where a sign-in with each provider begins and ends, below the public URL.
fn sign_in_routes(sign_in: &SignIn, base: &Url) -> Vec<(String, String)> {
    let below = base.path().trim_end_matches('/').to_owned();
    let providers = sign_in.providers.iter();
    let routes = providers.map(|provider| {
        let start = match provider.name.as_str() {
            "" => "/sso/start".to_owned(),
            name => format!("/sso/start?provider={name}"),
        };
        let callback = sign_in.redirect_uri(provider);
        let callback = callback.path();
        let callback = callback.strip_prefix(&below).unwrap_or(callback);
        (start, callback.to_owned())
    });
    routes.collect()
}

/// Whether the answer leads to a provider, or the gate says why it does not.
fn begins_sign_in(answer: &Answer, visitor: &Visitor, start: &str) -> bool {
    let target = answer.redirect_target(&visitor.at(start));
    let leads_away = target.is_some_and(|target| target.origin() != visitor.base().origin());
    leads_away || reason(answer).is_some()
}

fn judge(
    report: &mut Report,
    route: &str,
    answer: Result<Answer, NoAnswer>,
    is_gate: impl Fn(&Answer) -> bool,
) {
    let check = Check::PublicRoutes;
    let instead = match answer {
        Ok(answer) if is_gate(&answer) => {
            return report.ok(check, format!("the gate answers {route}"));
        }
        Ok(answer) => format!("HTTP {}", answer.status.as_u16()),
        Err(error) => error.to_string(),
    };
    let what = format!("{route} is not answered by the gate: {instead}");
    report.fail(check, what, NOT_PASSED);
}
