//! `/auth/{proxy}`: the check.
//!
//! In: a subrequest from a proxy. Out: the gate's verdict in that proxy's terms, a log line, and a
//! count in the metrics.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, Route, web};

use super::extract::Proxy;
use super::{Snapshot, State, extract, respond, sso};
use crate::gate::reason::{Denied, Granted, Reason};
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::{Grant, Rejection};

/// The check for a kind of proxy. It accepts any method, because some proxies forward the original
/// one.
pub(super) fn check(proxy: Proxy) -> Route {
    web::to(move |request: HttpRequest, state: Snapshot| async move {
        answer(&state, proxy, &request).await
    })
}

async fn answer(state: &State, proxy: Proxy, request: &HttpRequest) -> HttpResponse {
    let begun = Instant::now();
    let subrequest = extract::subrequest(proxy, request, &state.trusted_proxies);
    let verdict = match &subrequest {
        Some(subrequest) => state.decided(state.gate.decide(subrequest)).await,
        None => Err(Rejection::malformed()),
    };
    let path = subrequest.as_ref().map(Subrequest::path);
    let admits = || state.logs_refusal_of(request);
    match &verdict {
        Ok(grant) => log_grant(grant, path, admits),
        Err(rejection) => log_rejection(rejection, path, admits),
    }
    state.metrics.count_check(&verdict, begun.elapsed());
    match verdict {
        Ok(grant) => {
            let own = subrequest
                .as_ref()
                .map(|subrequest| subrequest.cookies().as_bytes());
            respond::granted(proxy, &grant, own.unwrap_or_default())
        }
        Err(rejection) => {
            let response = match respond::passes_rejections(proxy) {
                true => sso::rejected(state, proxy, request, &rejection),
                false => respond::rejected(state, &rejection),
            };
            respond::without_token(proxy, response, &rejection)
        }
    }
}

/// Logs a grant. `admits` tells whether the peer's log limit allows another line.
fn log_grant(grant: &Grant, path: Option<&str>, admits: impl Fn() -> bool) {
    let reason = grant.reason().code();
    match (grant.login(), grant.reason()) {
        (Some(login), _) => {
            let (user_id, method) = (login.user_id, login.method.as_str());
            tracing::info!(reason, user_id, method, path, "logged in");
        }
        (None, Reason::CredentialError(_)) => {
            if admits() {
                tracing::info!(reason, path, "credential rejected");
            }
        }
        (None, Reason::Granted(Granted::SessionKeptUnasked)) => {
            tracing::info!(reason, path, "session kept");
        }
        (None, _) => tracing::trace!(reason, path, "passed"),
    }
}

fn log_rejection(rejection: &Rejection, path: Option<&str>, admits: impl Fn() -> bool) {
    let reason = rejection.reason().code();
    match rejection {
        Rejection::Outage(outage) => {
            tracing::error!(reason, path, "cannot decide: {outage}");
        }
        _ if !admits() => {}
        Rejection::SignInRequired(_) => tracing::info!(reason, path, "sign-in required"),
        Rejection::Denial(denial) if denial.reason() == Denied::RequestMalformed => {
            tracing::warn!(
                reason,
                "refused: the proxy did not send the original URI in its header"
            );
        }
        Rejection::Denial(_) => tracing::warn!(reason, path, "refused"),
    }
}
