//! A page as HTML, and the Content Security Policy that allows what it contains and nothing else.
//!
//! In: a page, its language, and what it says about the request. Out: HTML that fits into a frame of
//! 300 × 150 pixels, contains no secret, and loads nothing but the operator's logo. If it has a
//! message for the page around it, its script posts that to the trusted origins.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::language::Language;
use super::page::{Message, Page};
use super::texts::{Labels, Text};
use crate::gate::reason::Reason;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const FRAME_SCRIPT: &str = include_str!("frame.js");
const POPUP_SCRIPT: &str = include_str!("popup.js");

/// Version of the message to the embedding page. Further fields don't change it.
const MESSAGE_VERSION: u32 = 1;

static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| hash_source(STYLE));
static SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| hash_source(SCRIPT));
static FRAME_SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| hash_source(FRAME_SCRIPT));
static POPUP_SCRIPT_SOURCE: LazyLock<String> = LazyLock::new(|| hash_source(POPUP_SCRIPT));

/// What the operator decides about the pages.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Name of the operator or the application. Empty: none.
    pub name: String,
    /// URL of a logo: HTTPS, or a path on the same host.
    pub logo: Option<String>,
    /// Where users get help: `mailto:` or HTTPS.
    pub support: Option<Url>,
    /// Sites that may show the pages in a frame, as sources of `frame-ancestors`. Empty: any site.
    pub frame_ancestors: Vec<String>,
    /// Origins that are trusted like Label Studio's own (`policy.allowed_origins`). They get the
    /// messages.
    pub trusted_origins: Vec<String>,
}

/// What a page says about the request.
#[derive(Debug, Clone)]
pub(super) struct About<'a> {
    pub(super) reason: Reason,
    pub(super) request_id: &'a str,
    /// The page of Label Studio that was asked for.
    pub(super) path: Option<&'a str>,
    /// The sign-in page: a URL, or a path of the gate.
    pub(super) sign_in: Option<String>,
    /// What users choose from, and where each leads.
    pub(super) choices: &'a [(String, String)],
    /// The window that the page opens ([`Page::SignInInWindow`]).
    pub(super) popup: Option<&'a Popup>,
    /// What the page in that window gives to the frame ([`Page::SignedIn`]).
    pub(super) handover: Option<&'a str>,
    /// Whether the browser goes to the sign-in page by itself.
    pub(super) redirects: bool,
    /// Whether the browser can repeat the request.
    pub(super) repeatable: bool,
}

/// A window that a page in a frame opens, because no provider shows a form in a frame.
#[derive(Debug, Clone)]
pub(super) struct Popup {
    /// Where the sign-in begins.
    pub(super) start: String,
    /// Where the frame posts what the window gives to it.
    pub(super) login: String,
}

/// `page.html`. Every value is escaped, except for `style` and `script`.
#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    language: &'static str,
    text: Text,
    labels: &'static Labels,
    sign: Sign,
    name: &'a str,
    logo: Option<&'a str>,
    refresh: Option<&'a str>,
    asks: bool,
    has_links: bool,
    sign_in: Option<(&'static str, &'a str)>,
    choices: &'a [(String, String)],
    /// Whether a choice leads out of a frame.
    leaves: bool,
    popup: Option<&'a Popup>,
    handover: Option<&'a str>,
    retries: bool,
    support: Option<String>,
    is_problem: bool,
    request_id: &'a str,
    reason: &'static str,
    message: Option<String>,
    origins: String,
    style: &'static str,
    script: &'static str,
    frame_script: &'static str,
    popup_script: &'static str,
}

/// The sign above a page's title.
#[derive(Debug, Clone, Copy)]
struct Sign {
    /// A class in `page.css`.
    tone: &'static str,
    /// A path in a square of 24.
    path: &'static str,
}

/// The HTML of the page.
pub(super) fn render(page: Page, language: Language, pages: &Pages, about: &About<'_>) -> String {
    let labels = language.labels();
    let sign_in = about.sign_in.as_deref();
    let sign_in = sign_in.filter(|_| page.offers_sign_in());
    let sign_in_label = match page {
        Page::SignInRequired | Page::SignInInteraction => labels.sign_in,
        _ => labels.sign_in_again,
    };
    let support = pages.support.as_ref().filter(|_| page.is_problem());
    let retries = page.offers_retry() && about.repeatable;
    let html = Html {
        language: language.code(),
        text: language.text(page),
        labels,
        sign: sign(page),
        name: &pages.name,
        logo: pages.logo.as_deref(),
        refresh: sign_in.filter(|_| about.redirects && page.leads_to_sign_in()),
        asks: page == Page::ConfirmSignOut,
        choices: about.choices,
        leaves: page != Page::ChooseProvider,
        popup: about.popup.filter(|_| page == Page::SignInInWindow),
        handover: about.handover.filter(|_| page == Page::SignedIn),
        has_links: sign_in.is_some() || retries || support.is_some(),
        sign_in: sign_in.map(|url| (sign_in_label, url)),
        retries,
        support: support.map(|support| support_url(support, about.request_id)),
        is_problem: page.is_problem(),
        request_id: about.request_id,
        reason: about.reason.code(),
        message: message(page, pages).map(|message| as_json(message, about)),
        origins: pages.trusted_origins.join(" "),
        style: STYLE,
        script: SCRIPT,
        frame_script: FRAME_SCRIPT,
        popup_script: POPUP_SCRIPT,
    };
    html.render().expect("writing to a String does not fail")
}

/// The Content Security Policy (CSP 3) of the page.
///
/// The operator decides who may frame it; by default any site, because Label Studio itself is
/// framed. The page with a button is for trusted origins only: a framing site could trick the user
/// into pressing it. A page for a window is for no frame. `form-action` also applies to the redirect
/// after the sign-out.
pub(super) fn content_security_policy(
    page: Page,
    pages: &Pages,
    signed_out: Option<&str>,
) -> String {
    let mut policy = format!("default-src 'none'; style-src {}", *STYLE_SOURCE);
    let mut directive = |name: &str, sources: &[&str]| {
        policy.push_str("; ");
        policy.push_str(name);
        for source in sources {
            policy.push(' ');
            policy.push_str(source);
        }
    };
    if let Some(source) = pages.logo.as_deref().and_then(source_of) {
        directive("img-src", &[&source]);
    }
    let scripts = scripts(page, pages);
    if !scripts.is_empty() {
        directive("script-src", &scripts);
    }
    directive("base-uri", &["'none'"]);
    let posts = page == Page::SignInInWindow;
    let asks = page == Page::ConfirmSignOut;
    let after = signed_out.filter(|_| asks).and_then(source_of);
    match (asks || posts, &after) {
        (false, _) => directive("form-action", &["'none'"]),
        (true, Some(after)) if after != "'self'" => directive("form-action", &["'self'", after]),
        (true, _) => directive("form-action", &["'self'"]),
    }
    let nobody: &[String] = &[];
    let (own, sites) = match page {
        Page::ConfirmSignOut => (Some("'self'"), pages.trusted_origins.as_slice()),
        Page::SignedIn => (Some("'none'"), nobody),
        _ => (None, pages.frame_ancestors.as_slice()),
    };
    let sites = own.into_iter().chain(sites.iter().map(String::as_str));
    let sites: Vec<&str> = sites.collect();
    if !sites.is_empty() {
        directive("frame-ancestors", &sites);
    }
    policy
}

/// The sources of the page's scripts.
fn scripts(page: Page, pages: &Pages) -> Vec<&'static str> {
    let told = message(page, pages).map(|_| SCRIPT_SOURCE.as_str());
    let own = match page {
        Page::SignInInWindow => Some(FRAME_SCRIPT_SOURCE.as_str()),
        Page::SignedIn => Some(POPUP_SCRIPT_SOURCE.as_str()),
        _ => None,
    };
    told.into_iter().chain(own).collect()
}

/// The message of the page, if anybody gets it.
fn message(page: Page, pages: &Pages) -> Option<Message> {
    page.message().filter(|_| !pages.trusted_origins.is_empty())
}

fn as_json(message: Message, about: &About<'_>) -> String {
    let message = json!({
        "source": "label-studio-gate",
        "version": MESSAGE_VERSION,
        "type": message.name(),
        "reason": about.reason.code(),
        "request_id": about.request_id,
        "path": about.path,
    });
    message.to_string()
}

/// Where users get help. The subject of an email names the request, unless the operator chose one.
fn support_url(support: &Url, request_id: &str) -> String {
    let mut url = support.clone();
    if url.scheme() == "mailto" && url.query().is_none() {
        url.set_query(Some(&format!("subject=Label Studio: {request_id}")));
    }
    url.into()
}

/// The source of CSP that covers a URL, or a path on the same host.
fn source_of(url: &str) -> Option<String> {
    if url.starts_with('/') {
        return Some("'self'".to_owned());
    }
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// The source of CSP that allows an inline element with this content (CSP 3 §2.3.1).
fn hash_source(content: &str) -> String {
    let hash = Sha256::digest(content.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
}

const fn sign(page: Page) -> Sign {
    const CLOCK: &str = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7.5V12l3 2";
    const PERSON: &str = "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4.5 20.5a7.5 7.5 0 0 1 15 0";
    const LOCK: &str = "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3";
    const WARNING: &str = "M12 4 2.8 20h18.4zM12 10v4.5M12 17.4v.1";
    const CHECK: &str = "M4.5 12.5 10 18 19.5 7";
    let (tone, path) = match page.message() {
        Some(Message::LinkExpired) => ("", CLOCK),
        None if matches!(page, Page::SignedIn) => ("done", CHECK),
        Some(Message::SignInRequired) | None => ("", PERSON),
        Some(Message::AccessDenied | Message::RequestRefused) => ("refused", LOCK),
        Some(Message::SignedOut) => ("done", CHECK),
        Some(Message::Unavailable) => ("waiting", WARNING),
    };
    Sign { tone, path }
}

#[cfg(test)]
mod tests;
