//! `/sso/start`: the way to the provider.
//!
//! In: a browser that opens a page and has to sign in. Out: a redirect to the provider with the cookie of
//! a flow; or a page to choose a provider on; or, if it has a session already, the page it wants.

use std::borrow::Cow;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use url::{Position, Url, form_urlencoded};

use super::super::page::Page;
use super::super::show::{Notice, is_navigation, own_path, start_url};
use super::super::{append_cookie, is_framed, see_other};
use super::{OpenId, PROVIDER_LIMIT, has_session, not_offered, too_many};
use crate::deadline::decide_within;
use crate::gate::openid::{Flow, RelyingParty, StartRequest};
use crate::gate::policy::local_path;
use crate::gate::reason::{Denied, Reason};
use crate::gate::subrequest::CookieHeader;
use crate::http::context::RequestContext;
use crate::http::journal::Entry;
use crate::http::traced::Traced;
use crate::http::{Snapshot, extract};

/// Longest `login_hint` that is passed on: the longest email address (RFC 5321 §4.5.3.1.3).
const MAX_HINT: usize = 254;
/// Longest query that a form becomes: servers take a request line of 8 kB.
const MAX_QUERY: usize = 4000;

/// The parameters of `/sso/start`. `iss`, `login_hint` and `target_link_uri` are those with which
/// somebody else starts a sign-in, such as the provider's list of applications (OpenID Connect Core §4).
#[derive(Deserialize)]
pub(in crate::http) struct Start {
    #[serde(default)]
    next: String,
    provider: Option<String>,
    /// `select`: the user wants another account than the one they have at the provider.
    account: Option<String>,
    /// The frame that waits for this popup: the digest of its flow.
    frame: Option<String>,
    /// The provider's issuer.
    iss: Option<String>,
    /// Who wants to sign in, for the provider's form.
    login_hint: Option<String>,
    /// The page to open afterwards, as a URL.
    target_link_uri: Option<String>,
}

impl Start {
    /// The page to open afterwards: a path on this origin, whatever was asked for.
    fn next<'s>(&'s self, label_studio: Option<&Url>) -> Cow<'s, str> {
        let Some(target) = &self.target_link_uri else {
            return Cow::Borrowed(local_path(&self.next));
        };
        let Ok(url) = Url::parse(target) else {
            return Cow::Borrowed(local_path(target));
        };
        match label_studio.is_some_and(|ours| ours.origin() == url.origin()) {
            true => Cow::Owned(local_path(&url[Position::BeforePath..]).to_owned()),
            false => Cow::Borrowed("/"),
        }
    }

    /// What may be passed on to the provider as it came.
    fn login_hint(&self) -> Option<&str> {
        let hint = self.login_hint.as_deref()?;
        let is_text = !hint.is_empty() && !hint.contains(char::is_control);
        (is_text && hint.len() <= MAX_HINT).then_some(hint)
    }

    /// The frame that waits for this popup. It is kept in a cookie, and a link may name anything.
    fn frame(&self) -> Option<&str> {
        self.frame.as_deref().filter(|it| Flow::is_digest(it))
    }
}

/// `POST /sso/start`: the parameters of somebody else in a form (OpenID Connect Core §4). A form of
/// another site brings no `SameSite=Lax` cookie, neither of a session nor of other flows; the redirect does.
pub(in crate::http) async fn start_by_form(
    request: HttpRequest,
    form: Result<web::Form<Vec<(String, String)>>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    if state.sign_in.is_none() {
        return not_offered(&context);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let mut names_issuer = false;
    for (name, value) in form.iter().flat_map(|form| form.iter()) {
        if matches!(&**name, "iss" | "login_hint" | "target_link_uri") {
            query.append_pair(name, value);
            names_issuer |= name == "iss";
        }
    }
    let query = query.finish();
    if !names_issuer || query.len() > MAX_QUERY {
        return Notice::new(&context).because(Denied::RequestMalformed);
    }
    let start = own_path(&context, "/sso/start");
    see_other(&context, &format!("{start}?{query}"))
}

/// `GET /sso/start?next=…&provider=…`
pub(in crate::http) async fn start(
    request: HttpRequest,
    start: Result<web::Query<Start>, actix_web::Error>,
    state: Snapshot,
) -> HttpResponse {
    let context = RequestContext::new(request.head(), &state);
    let answer = async || Box::pin(started(&context, start.ok())).await;
    Traced::SignIn.answer(&context, answer).await
}

async fn started(context: &RequestContext<'_>, start: Option<web::Query<Start>>) -> HttpResponse {
    let RequestContext { state, request, .. } = *context;
    let Some(openid) = &state.sign_in else {
        return not_offered(context);
    };
    let Some(start) = start else {
        return Notice::new(context).because(Denied::RequestMalformed);
    };
    let next = &*start.next(state.redirects.label_studio.as_ref());
    let notice = Notice::new(context).about(next);
    if !is_navigation(request) {
        return notice.because(Reason::SignInRequired);
    }
    let Some(subrequest) = extract::of_browser(context, next) else {
        return notice.because(Denied::RequestMalformed);
    };
    let select_account = start.account.as_deref() == Some("select");
    // Another tab has signed in meanwhile. A popup still has to sign in for its frame.
    let may_stay = !select_account && start.frame().is_none();
    if may_stay && has_session(context, &subrequest).await {
        return see_other(context, next);
    }
    if openid.sign_in.loops(subrequest.cookies()) {
        return notice.show(Page::SignInLoops, Reason::SignInRequired);
    }
    let login_hint = start.login_hint();
    let party = match &start.iss {
        Some(issuer) => match openid.sign_in.party_of(issuer) {
            None => return notice.because(Denied::RequestMalformed),
            party => party,
        },
        None => openid.sign_in.party(start.provider.as_deref()),
    };
    let Some(party) = party else {
        return choose(context, openid, &notice, next, login_hint);
    };
    let start = StartRequest {
        next,
        is_framed: is_framed(request),
        frame: start.frame(),
        select_account,
        login_hint,
    };
    let cookies = subrequest.cookies();
    redirect_to_provider(context, openid, party, &start, cookies, &notice).await
}

async fn redirect_to_provider(
    context: &RequestContext<'_>,
    openid: &OpenId,
    party: &RelyingParty,
    start: &StartRequest<'_>,
    cookies: &CookieHeader<'_>,
    notice: &Notice<'_>,
) -> HttpResponse {
    let state = context.state;
    let limiter = &state.limiter;
    if let Err(seconds) = limiter.count_start(context.peer(), Instant::now()) {
        return too_many(context, notice, seconds);
    }
    let now = state.gate.clock.now();
    let redirect = openid.sign_in.start(party, start, cookies, now);
    match decide_within(PROVIDER_LIMIT, redirect).await {
        Ok(redirect) => {
            let mut response = see_other(context, redirect.location.as_str());
            for cookie in &redirect.cookies {
                append_cookie(&mut response, cookie);
            }
            response
        }
        Err(outage) => {
            context.record(&Entry::of_outage(outage));
            notice.because(outage)
        }
    }
}

fn choose(
    context: &RequestContext<'_>,
    openid: &OpenId,
    notice: &Notice<'_>,
    next: &str,
    login_hint: Option<&str>,
) -> HttpResponse {
    let mut start = start_url(context, Some(next));
    if let Some(hint) = login_hint {
        let hint: String = form_urlencoded::byte_serialize(hint.as_bytes()).collect();
        start = format!("{start}&login_hint={hint}");
    }
    let parties = openid.sign_in.parties().iter();
    // A provider's name consists of characters that need no encoding.
    let choice = |party: &RelyingParty| {
        (
            party.label.clone(),
            format!("{start}&provider={}", party.name),
        )
    };
    let choices = parties.map(choice).collect();
    let notice = notice.clone().offering(choices);
    notice.show(Page::ChooseProvider, Reason::SignInRequired)
}
