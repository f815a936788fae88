//! `/sso/callback`: the way back from the provider.
//!
//! In: the browser with the provider's answer. Out: a redirect to the page that was asked for, with a
//! session; the page of a popup; or a page that says why nobody is signed in. The flow has ended then,
//! whatever came of it.

use std::time::{Instant, SystemTime};

use actix_web::{HttpRequest, HttpResponse, web};

use super::super::html::Popup;
use super::super::language::Language;
use super::super::page::Page;
use super::super::show::{Notice, own_path, start_url};
use super::super::{append_cookie, append_cookies, see_other};
use super::{PROVIDER_LIMIT, has_session, not_offered, too_many};
use crate::deadline::decide_within;
use crate::gate::observer::plain;
use crate::gate::openid::{Callback, CompletedFlow, Display, Flow, NoSignIn, RelyingParty, SignIn};
use crate::gate::policy::local_path;
use crate::gate::reason::{CredentialError, Denied, Reason};
use crate::gate::subrequest::Subrequest;
use crate::gate::verdict::{Grant, Rejection};
use crate::gate::verify::VerifiedClaims;
use crate::http::context::RequestContext;
use crate::http::journal::Entry;
use crate::http::traced::Traced;
use crate::http::{Snapshot, extract};

/// `GET /sso/callback`, for the only provider.
pub(in crate::http) async fn callback(request: HttpRequest, state: Snapshot) -> HttpResponse {
    traced(&request, &state, "").await
}

/// `GET /sso/callback/{provider}`
pub(in crate::http) async fn named_callback(
    request: HttpRequest,
    provider: web::Path<String>,
    state: Snapshot,
) -> HttpResponse {
    traced(&request, &state, &provider).await
}

async fn traced(request: &HttpRequest, state: &Snapshot, provider: &str) -> HttpResponse {
    let context = RequestContext::new(request.head(), state);
    let answer = async || Box::pin(answered(&context, provider)).await;
    Traced::SignIn.answer(&context, answer).await
}

async fn answered(context: &RequestContext<'_>, provider: &str) -> HttpResponse {
    let state = context.state;
    let openid = state.sign_in.as_ref();
    let party = openid.and_then(|openid| Some((openid, openid.sign_in.party_named(provider)?)));
    let Some((openid, party)) = party else {
        return not_offered(context);
    };
    let Some(subrequest) = extract::of_browser(context, "/") else {
        return Notice::new(context).because(Denied::RequestMalformed);
    };
    let begun = Instant::now();
    let handler = CallbackHandler {
        context,
        sign_in: &openid.sign_in,
        party: Some(party),
        subrequest: &subrequest,
        now: state.gate.clock.now(),
    };
    let Some((callback, flow)) = handler.flow() else {
        // A reloaded or repeated answer of the provider: the flow has ended, and the user is signed in.
        if has_session(context, &subrequest).await {
            return see_other(context, &own_path(context, "/"));
        }
        let unknown = Err(NoSignIn::unknown());
        return handler.conclude(None, unknown, begun).await;
    };
    // Anybody can present a flow with any number of codes, and each costs a request to the provider.
    if let Err(seconds) = state.limiter.count_return(context.peer(), begun) {
        let notice = Notice::new(context).about(local_path(&flow.next));
        return too_many(context, &notice, seconds);
    }
    let sign_in = handler.sign_in;
    let finished = sign_in.finish(party, &callback, &flow, handler.now, context);
    let completed = decide_within(PROVIDER_LIMIT, finished).await;
    handler.conclude(Some(flow), completed, begun).await
}

/// Answers a browser that comes back from a provider.
pub(super) struct CallbackHandler<'b> {
    pub(super) context: &'b RequestContext<'b>,
    pub(super) sign_in: &'b SignIn,
    /// The provider whose redirect URI was called.
    pub(super) party: Option<&'b RelyingParty>,
    pub(super) subrequest: &'b Subrequest<'b>,
    pub(super) now: SystemTime,
}

impl CallbackHandler<'_> {
    /// The provider's answer, and the flow of this browser that it belongs to.
    fn flow(&self) -> Option<(Callback, Flow)> {
        let query = self.context.request.uri.query().unwrap_or_default();
        let callback = Callback::parse(query).ok()?;
        let cookies = self.subrequest.cookies();
        let flow = self.sign_in.flow_of(&callback, cookies, self.now)?;
        Some((callback, flow))
    }

    /// Signs the user in, if the provider says who it is, and answers the browser. `ended` is the flow
    /// that has ended, if it is known.
    pub(super) async fn conclude(
        &self,
        ended: Option<Flow>,
        completed: Result<CompletedFlow, NoSignIn>,
        begun: Instant,
    ) -> HttpResponse {
        let state = self.context.state;
        let (handover, flow) = match &completed {
            Ok(it) => (self.sign_in.hand_over(it, self.now), Some(it.flow.clone())),
            Err(_) => (None, ended),
        };
        let verdict = self.verdict(completed.map(|it| it.claims)).await;
        let next = flow.as_ref().map_or("/", |flow| local_path(&flow.next));
        let path = next.split('?').next();
        self.context.record(&Entry::of_verdict(&verdict).at(path));
        state.metrics.count_sign_in(&verdict, begun.elapsed());
        let mut response = match &verdict {
            Ok(grant) => self.admit(grant, handover, next),
            Err(rejection) => self.refuse(rejection, flow.as_ref(), next),
        };
        if let Some(flow) = flow {
            append_cookie(&mut response, &self.sign_in.forget(&flow));
            if verdict.is_ok() {
                let cookies = self.subrequest.cookies();
                let count = self.sign_in.count(cookies, flow.display, self.now);
                append_cookie(&mut response, &count);
            }
        }
        response
    }

    async fn verdict(&self, outcome: Result<VerifiedClaims, NoSignIn>) -> Result<Grant, Rejection> {
        let state = self.context.state;
        match outcome {
            Ok(claims) => {
                let entered = state
                    .gate
                    .sign_in_as(&claims, self.subrequest, self.context);
                state.decided(entered).await
            }
            Err(why) => {
                if let Some(party) = self.party {
                    log_words(self.context, party, &why);
                }
                Err(why.rejection())
            }
        }
    }

    fn admit(&self, grant: &Grant, handover: Option<String>, next: &str) -> HttpResponse {
        let mut response = match handover {
            Some(handover) => {
                let notice = Notice::new(self.context).about(next);
                notice
                    .handing_over(handover)
                    .show(Page::SignedIn, grant.reason())
            }
            None => see_other(self.context, next),
        };
        append_cookies(&mut response, grant);
        response
    }

    fn refuse(&self, rejection: &Rejection, flow: Option<&Flow>, next: &str) -> HttpResponse {
        let reason = rejection.reason();
        let notice = Notice::new(self.context).about(next);
        let mut response = match (flow, self.party) {
            (Some(flow), Some(party))
                if flow.display == Display::Frame
                    && reason == Reason::CredentialError(CredentialError::SignInInteraction) =>
            {
                self.offer_popup(party, notice, reason, next)
            }
            _ => self.explain(rejection, notice, next),
        };
        if let Some(deletion) = rejection.token_deletion() {
            append_cookie(&mut response, deletion);
        }
        response
    }

    fn explain(&self, rejection: &Rejection, notice: Notice<'_>, next: &str) -> HttpResponse {
        let reason = rejection.reason();
        // The provider would sign the same account in again without asking.
        let notice = match rejection {
            Rejection::Denial(_) => {
                let label = Language::of(self.context.request).labels().another_account;
                let start = start_url(self.context, Some(next));
                let url = format!("{start}&account=select");
                notice.offering(vec![(label.to_owned(), url)])
            }
            Rejection::SignInRequired(_) | Rejection::Outage(_) => notice,
        };
        notice.show(Page::of_sign_in(reason), reason)
    }

    /// The provider has to ask the user something, which it can't do in a frame: a button opens a popup,
    /// and the frame waits for it.
    fn offer_popup(
        &self,
        party: &RelyingParty,
        notice: Notice<'_>,
        reason: Reason,
        next: &str,
    ) -> HttpResponse {
        let waiting = self.sign_in.wait(party, next, self.now);
        let start = start_url(self.context, Some(next));
        let provider = match party.name.as_str() {
            "" => String::new(),
            name => format!("&provider={name}"),
        };
        let popup = Popup {
            start: format!("{start}{provider}&frame={}", waiting.frame),
            login: own_path(self.context, "/sso/login"),
        };
        let mut response = notice.opening(popup).show(Page::SignInInWindow, reason);
        append_cookie(&mut response, &waiting.cookie);
        response
    }
}

/// Logs the provider's own words for the operator. The gate can't tell what they mean.
fn log_words(context: &RequestContext<'_>, party: &RelyingParty, why: &NoSignIn) {
    let NoSignIn::Provider {
        code, description, ..
    } = why
    else {
        return;
    };
    if !context.logs_refusal() {
        return;
    }
    let (error, provider) = (plain(code), party.issuer.name());
    let description = description.as_deref().map(plain);
    let (error, description) = (error.as_str(), description.as_deref());
    let request_id = context.id();
    tracing::warn!(
        request_id,
        peer = %context.peer(),
        provider,
        error,
        description,
        "the OpenID provider ended a sign-in"
    );
}
