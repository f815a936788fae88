//! `/auth/{proxy}`: the check.

use actix_web::{HttpRequest, HttpResponse, Route, web};

use super::extract::Proxy;
use super::peer_address::PeerAddress;
use super::{Backend, State, extract, respond, sso};
use crate::gate::reason::Reason;
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::{Denial, Grant, Rejection};

/// The check, for a proxy of that kind. Any method will do.
pub(super) fn check<P: Backend>(proxy: Proxy) -> Route {
    web::to(
        move |request: HttpRequest, state: web::Data<State<P>>| async move {
            answer(&state, proxy, &request).await
        },
    )
}

async fn answer<P: Backend>(state: &State<P>, proxy: Proxy, request: &HttpRequest) -> HttpResponse {
    let subrequest = extract::subrequest(proxy, request, &state.trusted_proxies);
    let peer = state.trusted_proxies.peer_address(request);
    let verdict = match &subrequest {
        Some(subrequest) => decide(state, subrequest, peer).await,
        None => Err(malformed(state, peer)),
    };
    state.metrics.count_check(match &verdict {
        Ok(grant) => grant.reason(),
        Err(rejection) => rejection.reason(),
    });
    match verdict {
        Ok(grant) => {
            let own = subrequest
                .as_ref()
                .map(|subrequest| subrequest.cookies().as_bytes());
            respond::granted(proxy, &grant, own.unwrap_or_default())
        }
        Err(rejection) => {
            let response = match respond::is_shown(proxy) {
                true => sso::rejected(state, proxy, request, &rejection),
                false => respond::rejected(&rejection),
            };
            respond::without_token(proxy, response, &rejection)
        }
    }
}

/// Asks the gate, and writes down what was more than letting a request pass.
async fn decide<P: Backend>(
    state: &State<P>,
    subrequest: &Subrequest<'_>,
    peer: PeerAddress,
) -> Result<Grant, Rejection> {
    let verdict = state.gate.decide(subrequest).await;
    let path = subrequest.path();
    match &verdict {
        Ok(grant) => match grant.login() {
            Some(login) => tracing::info!(
                reason = grant.reason().code(),
                user_id = login.user_id,
                method = login.method,
                path,
                "logged in"
            ),
            None if is_refusal(grant.reason()) => {
                if state.refusals.admits(peer) {
                    tracing::info!(reason = grant.reason().code(), path, "token not accepted");
                }
            }
            None => tracing::trace!(reason = grant.reason().code(), path, "passed"),
        },
        Err(Rejection::SignInRequired(denial)) => {
            if state.refusals.admits(peer) {
                tracing::info!(reason = denial.reason.code(), path, "sign-in required");
            }
        }
        Err(Rejection::Denial(denial)) => {
            if state.refusals.admits(peer) {
                tracing::warn!(reason = denial.reason.code(), %peer, path, "refused");
            }
        }
        Err(Rejection::Outage(outage)) => {
            tracing::error!(
                reason = outage.reason().code(),
                path,
                "cannot decide: {outage}"
            );
        }
    }
    verdict
}

const fn is_refusal(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::NoToken | Reason::ApiCredential | Reason::OpenPath | Reason::SessionValid
    )
}

/// A request that cannot be read is refused (GHSA-68wm-pfjf-wqp6).
fn malformed<P>(state: &State<P>, peer: PeerAddress) -> Rejection {
    let reason = Reason::RequestMalformed;
    if state.refusals.admits(peer) {
        tracing::warn!(
            reason = reason.code(),
            "refused: the proxy did not send the original URI in the header of its kind"
        );
    }
    Rejection::Denial(Denial {
        reason,
        token_deletion: None,
    })
}
