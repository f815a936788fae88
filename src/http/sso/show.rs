//! Answers with a page.
//!
//! In: a page, the reason, and what was asked for. Out: HTML for browsers, JSON for other requests.
//! Both contain the request ID, which finds the log lines of the proxy and of the gate.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use url::Url;

use super::html::{About, content_security_policy, render};
use super::language::Language;
use super::page::Page;
use crate::gate::policy::local_path;
use crate::gate::reason::Reason;
use crate::http::context::{RequestContext, X_REQUEST_ID};
use crate::http::event::Event;
use crate::http::extract::{self, Proxy};
use crate::http::journal::Entry;
use crate::http::respond;

pub(super) const X_GATE_REASON: HeaderName = HeaderName::from_static("x-gate-reason");

/// A page as the answer to a request.
pub(super) struct Notice<'r> {
    context: &'r RequestContext<'r>,
    proxy: Proxy,
    /// The page of Label Studio that was asked for, without a token.
    path: Option<String>,
    redirects: bool,
}

impl<'r> Notice<'r> {
    /// For a request to one of the gate's own routes.
    pub(super) const fn new(context: &'r RequestContext<'r>) -> Self {
        Self {
            context,
            proxy: Proxy::Nginx,
            path: None,
            redirects: false,
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
            redirects: self.redirects,
            repeatable: request.method().is_safe(),
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

    /// The sign-in page of the host application, with the return URL as a parameter.
    pub(super) fn sign_in_url(&self) -> Option<Url> {
        let redirects = &self.context.state.redirects;
        let mut url = redirects.sign_in.clone()?;
        if let Some(back) = self.return_url() {
            url.query_pairs_mut()
                .append_pair(&redirects.return_parameter, &back);
        }
        Some(url)
    }

    /// The URL of the page that was asked for.
    fn return_url(&self) -> Option<String> {
        let path = self.path.as_deref()?;
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

/// Whether a browser requests a page, not a script data.
pub(super) fn is_page_request(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

/// A page with a form is not `no-referrer`: such a form would be posted without its origin (Fetch,
/// "append a request `Origin` header") and look like one from another site.
const fn referrer_policy(page: Page) -> &'static str {
    match page {
        Page::ConfirmSignOut => "same-origin",
        _ => "no-referrer",
    }
}
