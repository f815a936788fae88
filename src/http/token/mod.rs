//! `POST /api/sso/token`: issues tokens to administrators, as a drop-in replacement for the
//! plugin's route.
//!
//! In: an administrator's API token and the email address of a user. Out: a token for that user, or
//! one of the answers in [`Answer`].

mod answer;
mod call;

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};

pub(super) use self::answer::Answer;
pub(super) use self::call::Call;
use super::Snapshot;
use super::context::RequestContext;
use super::event::Event;
use super::traced::Traced;

/// Maximum size of a body. An email address has at most 254 bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// `POST /api/sso/token`
pub(super) async fn issue(
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let begun = Instant::now();
    let context = RequestContext::new(request.head(), &state);
    let issued = async || issued(&context, body).await;
    let response = Traced::Token.answer(&context, issued).await;
    let status = response.status().as_u16();
    state.metrics.count_token_request(status, begun.elapsed());
    response
}

async fn issued(
    context: &RequestContext<'_>,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    let mut call = Call::default();
    let answer = match answer(context, body, &mut call).await {
        Ok(answer) | Err(answer) => answer,
    };
    let event = match answer {
        Answer::Token { .. } => Event::TokenIssued,
        _ => Event::TokenRefused,
    };
    context.record(&call.entry_of_answer(&answer, event));
    answer.respond(context.state)
}

async fn answer(
    context: &RequestContext<'_>,
    body: Result<web::Bytes, actix_web::Error>,
    call: &mut Call,
) -> Result<Answer, Answer> {
    let state = context.state;
    let admin = call.admin(context).await?;
    state.limiter.may_issue(&admin).map_err(Answer::TooMany)?;
    let email = call.email(body)?;
    let issued = state.decided(state.token_issuer.issue(&admin, &email, context));
    match issued.await {
        Ok(issued) => {
            call.concerns(issued.user_id);
            Ok(Answer::Token {
                token: issued.token,
                expires_in: issued.expires_in,
            })
        }
        Err(error) => Err(call.declined(error, email)),
    }
}

/// The size limit for bodies.
pub(super) fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(BODY_LIMIT)
}
