//! A call to the administrators' routes: who calls, whom the call concerns, and what the journal
//! says about it.

use std::time::Instant;

use serde_json::Value;

use super::answer::Answer;
use crate::gate::issue::{Admin, IssueError};
use crate::gate::subrequest::ApiCredential;
use crate::gate::verdict::Principal;
use crate::http::context::RequestContext;
use crate::http::event::Event;
use crate::http::extract;
use crate::http::journal::Entry;

/// What is known about a call so far.
#[derive(Default)]
pub(in crate::http) struct Call {
    /// The owner of the API token: primary key in `htx_user`.
    caller_id: Option<i32>,
    /// The user in the body.
    pub(in crate::http) principal: Principal,
}

impl Call {
    /// The administrator whose API token the request carries.
    pub(in crate::http) async fn admin(
        &mut self,
        context: &RequestContext<'_>,
    ) -> Result<Admin, Answer> {
        let credential = credential(context)?;
        let state = context.state;
        let caller = state.token_issuer.authenticate(credential, context);
        match state.decided(caller).await {
            Ok(admin) => {
                self.caller_id = Some(admin.user_id());
                Ok(admin)
            }
            Err(IssueError::InvalidCredential) => Err(wrong_credential(context)),
            Err(error) => Err(self.declined(error, String::new())),
        }
    }

    /// The user in the body, `{"email": "…"}`, by their address. As in the plugin, the
    /// `Content-Type` does not matter.
    pub(in crate::http) fn email(
        &mut self,
        body: Result<actix_web::web::Bytes, actix_web::Error>,
    ) -> Result<String, Answer> {
        let body = body.map_err(|_| Answer::InvalidJson)?;
        let Ok(Value::Object(object)) = serde_json::from_slice(&body) else {
            return Err(Answer::InvalidJson);
        };
        match object.get("email") {
            // Postgres does not accept NUL in text.
            Some(Value::String(email)) if !email.is_empty() && !email.contains('\0') => {
                self.principal.identity = Some(email.clone());
                Ok(email.clone())
            }
            _ => Err(Answer::EmailRequired),
        }
    }

    /// The user in the body has this primary key.
    pub(in crate::http) fn concerns(&mut self, user_id: i32) {
        self.principal = Principal::user(user_id);
    }

    /// The answer to a call that failed with this error.
    pub(in crate::http) fn declined(&mut self, error: IssueError, email: String) -> Answer {
        match error {
            IssueError::LegacyTokensDisabled { caller_id } | IssueError::NotAdmin { caller_id } => {
                self.caller_id = Some(caller_id);
            }
            IssueError::NotSuperuser { user_id }
            | IssueError::User {
                user_id: Some(user_id),
                ..
            } => self.concerns(user_id),
            IssueError::InvalidCredential
            | IssueError::JwtTokensDisabled
            | IssueError::User { user_id: None, .. }
            | IssueError::Outage(_) => {}
        }
        Answer::from_error(error, email)
    }

    /// The journal's entry about this call.
    pub(in crate::http) fn entry(&self, event: Event) -> Entry<'_> {
        Entry::new(event)
            .about(&self.principal)
            .called_by(self.caller_id)
    }

    /// The journal's entry about this call if it was declined: `event`, or that the gate could not
    /// decide.
    pub(in crate::http) fn entry_of_answer(&self, answer: &Answer, event: Event) -> Entry<'_> {
        let event = match answer {
            Answer::Unavailable(_) => Event::Undecided,
            _ => event,
        };
        let entry = self.entry(event);
        match answer.reason() {
            Some(reason) => entry.because(reason),
            None => entry,
        }
    }
}

/// The caller's credential: `Authorization` only, as in the plugin.
fn credential<'r>(context: &RequestContext<'r>) -> Result<ApiCredential<'r>, Answer> {
    extract::authorization(context.request.headers()).ok_or(Answer::AuthenticationRequired)
}

/// The answer to a wrong credential: 401, or 429 after too many of them from one network.
fn wrong_credential(context: &RequestContext<'_>) -> Answer {
    let limiter = &context.state.limiter;
    match limiter.count_failure(context.peer(), Instant::now()) {
        Ok(()) => Answer::InvalidApiToken,
        Err(seconds) => Answer::TooMany(seconds),
    }
}
