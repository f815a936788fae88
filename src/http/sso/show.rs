//! Answers with a page.
//!
//! In: a page, the reason, and what was asked for. Out: HTML for browsers, JSON for other requests.
//! Both contain the request ID, which finds the log lines of the proxy and of the gate.

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde_json::json;
use url::form_urlencoded;

use super::MAX_LOCATION;
use super::html::{About, Popup, content_security_policy, render};
use super::language::Language;
use super::page::Page;
use crate::gate::policy::local_path;
use crate::gate::reason::Reason;
use crate::http::context::{RequestContext, X_REQUEST_ID};
use crate::http::event::Event;
use crate::http::extract::{self, Proxy};
use crate::http::journal::Entry;
use crate::http::respond::{self, X_GATE_REASON};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A page as the answer to a request.
#[derive(Clone)]
pub(super) struct Notice<'r> {
    context: &'r RequestContext<'r>,
    proxy: Proxy,
    /// The page of Label Studio that was asked for, without a token.
    path: Option<String>,
    redirects: bool,
    choices: Vec<(String, String)>,
    popup: Option<Popup>,
    handover: Option<String>,
}

impl<'r> Notice<'r> {
    /// For a request to one of the gate's own routes.
    pub(super) const fn new(context: &'r RequestContext<'r>) -> Self {
        Self {
            context,
            proxy: Proxy::Nginx,
            path: None,
            redirects: false,
            choices: Vec::new(),
            popup: None,
            handover: None,
        }
    }

    /// For a request that `proxy` asks about.
    pub(super) fn of_proxy(context: &'r RequestContext<'r>, proxy: Proxy) -> Self {
        Self {
            proxy,
            path: requested_path(context, proxy),
            ..Self::new(context)
        }
    }

    /// The page of Label Studio that was asked for.
    pub(super) fn about(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// If there is a sign-in page, the browser goes there by itself.
    pub(super) fn redirecting(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// What the page lets the user choose from, and where each leads.
    pub(super) fn offering(mut self, choices: Vec<(String, String)>) -> Self {
        self.choices = choices;
        self
    }

    /// What the page in a frame opens in a window, and then waits for.
    pub(super) fn opening(mut self, popup: Popup) -> Self {
        self.popup = Some(popup);
        self
    }

    /// What the page in such a window gives to that frame.
    pub(super) fn handing_over(mut self, handover: String) -> Self {
        self.handover = Some(handover);
        self
    }

    /// The page for this reason.
    pub(super) fn because(&self, reason: impl Into<Reason>) -> HttpResponse {
        let reason = reason.into();
        self.show(Page::of(reason), reason)
    }

    /// Shows `page`.
    pub(super) fn show(&self, page: Page, reason: impl Into<Reason>) -> HttpResponse {
        let RequestContext { state, request, .. } = *self.context;
        let (id, reason) = (self.context.id(), reason.into());
        if !self.context.has_entry.get() {
            let entry = Entry::new(Event::PageShown).because(reason.code());
            self.context.record(&entry);
        }
        let mut response = HttpResponse::build(page.status());
        response
            .insert_header((X_GATE_REASON, HeaderValue::from_static(reason.code())))
            .insert_header((X_REQUEST_ID, id))
            .insert_header((CACHE_CONTROL, "no-store"));
        if page.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, state.retry_after()));
        }
        if page.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, respond::challenge(reason)));
        }
        if !is_page_request(request) {
            let title = Language::English.text(page).title;
            return response
                .json(json!({"error": title, "reason": reason.code(), "request_id": id}));
        }
        let language = Language::of(request);
        let about = About {
            reason,
            request_id: id,
            path: self.path.as_deref(),
            sign_in: self.sign_in_url(),
            choices: &self.choices,
            popup: self.popup.as_ref(),
            handover: self.handover.as_deref(),
            redirects: self.redirects,
            repeatable: request.method.is_safe(),
        };
        let signed_out = state.redirects.signed_out.as_deref();
        let policy = content_security_policy(page, &state.pages, signed_out);
        response
            .insert_header((REFERRER_POLICY, referrer_policy(page)))
            .insert_header(("Content-Security-Policy", policy))
            .insert_header(("Content-Language", language.code()))
            .content_type("text/html; charset=utf-8")
            .body(render(page, language, &state.pages, &about))
    }

    /// The sign-in page, which knows where to return to, unless its URL would be too long for a redirect.
    pub(super) fn sign_in_url(&self) -> Option<String> {
        let url = self.sign_in_url_from(self.path.as_deref())?;
        match url.len() <= MAX_LOCATION {
            true => Some(url),
            false => self.sign_in_url_from(None),
        }
    }

    /// The sign-in page of the host application, or the gate's own way to an OpenID provider. It leads
    /// back to `path`.
    fn sign_in_url_from(&self, path: Option<&str>) -> Option<String> {
        let state = self.context.state;
        let Some(mut url) = state.redirects.sign_in.clone() else {
            let begins_here = state.sign_in.is_some();
            return begins_here.then(|| start_url(self.context, path));
        };
        if let Some(back) = path.and_then(|path| self.return_url(path)) {
            url.query_pairs_mut()
                .append_pair(&state.redirects.return_parameter, &back);
        }
        Some(url.into())
    }

    /// The URL of this page of Label Studio.
    fn return_url(&self, path: &str) -> Option<String> {
        let RequestContext { state, request, .. } = *self.context;
        if let Some(url) = &state.redirects.label_studio {
            return Some(format!("{}{path}", url.origin().ascii_serialization()));
        }
        let host = extract::original_host(self.proxy, request)?;
        let scheme = match extract::forwarded_proto(request) {
            Some("https") => "https",
            _ => "http",
        };
        Some(format!("{scheme}://{host}{path}"))
    }
}

/// Path and query of the request that `proxy` asks about, without the token.
fn requested_path(context: &RequestContext<'_>, proxy: Proxy) -> Option<String> {
    let uri = extract::original_uri(proxy, context.request)?;
    let without_token = context.state.gate.token_in(uri).map(|(_, clean)| clean);
    Some(local_path(without_token.as_deref().unwrap_or(uri)).to_owned())
}

/// Where a sign-in at an OpenID provider begins. `next` is a local path.
pub(super) fn start_url(context: &RequestContext<'_>, next: Option<&str>) -> String {
    let start = own_path(context, "/sso/start");
    let mut query = form_urlencoded::Serializer::new(String::new());
    match next {
        Some(next) => format!("{start}?{}", query.append_pair("next", next).finish()),
        None => start,
    }
}

/// A path of the gate below Label Studio's, where browsers send Label Studio's cookies.
pub(super) fn own_path(context: &RequestContext<'_>, path: &str) -> String {
    let label_studio = context.state.redirects.label_studio.as_ref();
    let below = label_studio.map_or("", |url| url.path().trim_end_matches('/'));
    format!("{below}{path}")
}

/// Whether the browser opens a page, in a tab or in a frame, so that it can be redirected. A script that
/// asks for HTML can't follow a redirect to a provider (Fetch Metadata §2.2).
pub(super) fn is_navigation(request: &RequestHead) -> bool {
    match extract::only(request.headers(), &SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        // Browsers say so over HTTPS, and over HTTP on loopback.
        None => is_page_request(request),
    }
}

/// Whether a browser requests a page, as opposed to a script that requests data.
pub(super) fn is_page_request(request: &RequestHead) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

/// The form of a `no-referrer` page is posted with `Origin: null` (Fetch, "append a request `Origin`
/// header"), and over plain HTTP nothing else says where it comes from: the sign-out would look like one
/// from another site. [`Page::SignInInWindow`] posts a form too, but needs HTTPS or loopback, where
/// `Sec-Fetch-Site` says that it comes from here.
const fn referrer_policy(page: Page) -> &'static str {
    match page {
        Page::ConfirmSignOut => "same-origin",
        _ => "no-referrer",
    }
}
