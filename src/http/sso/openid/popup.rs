//! The frame that has waited for a popup: it posts what the popup's page handed to it.

use std::time::Instant;

use actix_web::HttpResponse;

use super::super::show::Notice;
use super::PROVIDER_LIMIT;
use super::callback::CallbackHandler;
use crate::deadline::decide_within;
use crate::gate::openid::NoSignIn;
use crate::gate::reason::Denied;
use crate::http::context::RequestContext;
use crate::http::extract;

/// `POST /sso/login` with a `handover`.
pub(in crate::http::sso) async fn take_over(
    context: &RequestContext<'_>,
    handover: &str,
) -> HttpResponse {
    let state = context.state;
    let subrequest = extract::of_browser(context, "/");
    let (Some(openid), Some(subrequest)) = (&state.sign_in, subrequest) else {
        return Notice::new(context).because(Denied::RequestMalformed);
    };
    let begun = Instant::now();
    let handler = CallbackHandler {
        context,
        sign_in: &openid.sign_in,
        party: None,
        subrequest: &subrequest,
        now: state.gate.clock.now(),
    };
    let (cookies, now) = (subrequest.cookies(), handler.now);
    let taken = openid.sign_in.take_over(handover, cookies, now, context);
    let taken: Result<_, NoSignIn> = decide_within(PROVIDER_LIMIT, taken).await;
    handler.conclude(None, taken, begun).await
}
