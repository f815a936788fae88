//! `/auth/{proxy}`: the check.
//!
//! In: a subrequest from a proxy. Out: the gate's verdict in that proxy's terms, an entry in the
//! journal, and a count in the metrics.

use std::pin::pin;
use std::time::Instant;

use actix_web::dev::RequestHead;
use actix_web::{HttpRequest, HttpResponse, Route, web};

use super::context::RequestContext;
use super::extract::Proxy;
use super::journal::Entry;
use super::traced::Traced;
use super::{Snapshot, State, extract, respond, sso};
use crate::gate::reason::Denied;
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::Rejection;

/// Longest `Cookie` header in bytes. The answer repeats it with a session cookie and sets that cookie as
/// well, and nginx reads all of this into `proxy_buffer_size` (32 kB in the shipped files). A longer answer
/// counts as a failure of the gate, which nginx then leaves alone for `fail_timeout`.
const MAX_COOKIES: usize = 20 * 1024;

/// The check for a kind of proxy. It accepts any method, because some proxies forward the original
/// one.
pub(super) fn check(proxy: Proxy) -> Route {
    web::to(move |request: HttpRequest, state: Snapshot| async move {
        answer(proxy, request.head(), &state).await
    })
}

/// Answers a check.
pub(super) async fn answer(proxy: Proxy, request: &RequestHead, state: &State) -> HttpResponse {
    let context = RequestContext::of_check(proxy, request, state);
    Traced::Check(proxy)
        .answer(&context, async || decide(proxy, &context).await)
        .await
}

async fn decide(proxy: Proxy, context: &RequestContext<'_>) -> HttpResponse {
    let begun = Instant::now();
    let (request, state) = (context.request, context.state);
    let subrequest = extract::subrequest(proxy, context);
    let identity = &state.identity_headers;
    let subrequest = subrequest.map(|it| identity.add(it, proxy, request, &state.gate.verifier));
    let verdict = match &subrequest {
        Some(subrequest) if subrequest.cookies().as_bytes().len() > MAX_COOKIES => {
            Err(Rejection::of_request(Denied::CookiesTooLong))
        }
        Some(subrequest) => {
            let decision = pin!(state.gate.decide(subrequest, context));
            state.decided(decision).await
        }
        None => Err(Rejection::malformed()),
    };
    let path = subrequest.as_ref().map(Subrequest::path);
    context.record(&Entry::of_verdict(&verdict).at(path));
    state.metrics.count_check(&verdict, begun.elapsed());
    let response = match verdict {
        Ok(grant) => {
            let own = subrequest
                .as_ref()
                .map(|subrequest| subrequest.cookies().as_bytes());
            respond::granted(proxy, &grant, own.unwrap_or_default())
        }
        Err(rejection) => {
            let response = match respond::passes_rejections(proxy) {
                true => sso::rejected(context, proxy, &rejection),
                false => respond::rejected(state, &rejection),
            };
            respond::without_token(proxy, response, &rejection)
        }
    };
    respond::with_id(proxy, response, context)
}
