//! The pages that users see, in English or Korean. They fit into a frame, contain no secret and run
//! no script.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{AcceptLanguage, Header as _, Preference};
use askama::Template;
use serde_json::{Value, json};

use super::texts::{Language, Text};
use crate::gate::reason::{Denied, Reason};

/// A page, by its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The token is not accepted.
    LinkExpired,
    /// The user has no access.
    NoAccess,
    /// The request is refused for every user.
    NotAllowed,
    /// The user must sign in.
    SignInRequired,
    /// The request may come from another site, so the user must confirm the sign-out.
    ConfirmSignOut,
    /// The session has ended.
    SignedOut,
    /// The gate cannot decide now.
    Unavailable,
}

/// What the operator decides about the pages.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Sites that may show the pages in a frame, as sources of `frame-ancestors`. Empty: any site.
    pub frame_ancestors: Vec<String>,
    /// Origins that are trusted like Label Studio's own (`policy.allowed_origins`).
    pub trusted_origins: Vec<String>,
}

/// `page.html`
#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    language: &'a str,
    text: Text,
    request_label: &'a str,
    request_id: &'a str,
    /// Where the page redirects automatically.
    next: Option<&'a str>,
}

/// The available language that the user prefers (RFC 9110 §12.5.4), or English.
pub(super) fn language(request: &HttpRequest) -> Language {
    let Ok(accepted) = AcceptLanguage::parse(request) else {
        return Language::English;
    };
    let refused = |code: &str| {
        let mut ranges = accepted.iter();
        ranges.any(|range| {
            range.quality == actix_web::http::header::Quality::ZERO
                && primary(&range.item) == Some(code)
        })
    };
    let accepted_languages = accepted.ranked();
    let mut preferred = accepted_languages.iter().filter_map(primary);
    preferred
        .find_map(|code| {
            let mut known = Language::ALL.into_iter();
            known.find(|language| language.texts().code == code && !refused(code))
        })
        .unwrap_or(Language::English)
}

/// The primary subtag, without script and region.
fn primary(preference: &Preference<actix_web::http::header::LanguageTag>) -> Option<&str> {
    preference.item().map(|tag| tag.primary_language())
}

impl Page {
    /// The page for a check that was answered 403.
    pub(super) const fn of_denial(reason: Denied) -> Self {
        match reason {
            Denied::CrossSiteRequest | Denied::RequestMalformed => Self::NotAllowed,
            Denied::UserUnknown
            | Denied::UserInactive
            | Denied::UserRemoved
            | Denied::UserPrivileged
            | Denied::UserNotCreated => Self::NoAccess,
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::LinkExpired | Self::SignInRequired => StatusCode::UNAUTHORIZED,
            Self::NoAccess | Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::SignedOut | Self::ConfirmSignOut => StatusCode::OK,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The policy allows no loading and no scripts. The operator decides who may frame the pages;
    /// by default any site, because Label Studio itself is framed. The page with a button is for
    /// trusted origins only: a framing site could trick the user into pressing it.
    pub(super) fn content_security_policy(self, pages: &Pages) -> String {
        let (form, own, ancestors) = match self {
            Self::ConfirmSignOut => ("'self'", Some("'self'"), &pages.trusted_origins),
            Self::LinkExpired
            | Self::NoAccess
            | Self::NotAllowed
            | Self::SignInRequired
            | Self::SignedOut
            | Self::Unavailable => ("'none'", None, &pages.frame_ancestors),
        };
        let ancestors = own.into_iter().chain(ancestors.iter().map(String::as_str));
        let ancestors: Vec<&str> = ancestors.collect();
        let mut policy = format!(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action {form}"
        );
        if !ancestors.is_empty() {
            policy.push_str("; frame-ancestors ");
            policy.push_str(&ancestors.join(" "));
        }
        policy
    }

    /// The page with a form is not `no-referrer`: such a form would be posted without its origin
    /// (Fetch, "append a request `Origin` header") and look like one from another site.
    pub(super) const fn referrer_policy(self) -> &'static str {
        match self {
            Self::ConfirmSignOut => "same-origin",
            Self::LinkExpired
            | Self::NoAccess
            | Self::NotAllowed
            | Self::SignInRequired
            | Self::SignedOut
            | Self::Unavailable => "no-referrer",
        }
    }

    /// The HTML of the page. The template escapes every value.
    pub(super) fn html(
        self,
        language: Language,
        request_id: &str,
        next: Option<&url::Url>,
    ) -> String {
        let texts = language.texts();
        let html = Html {
            language: texts.code,
            text: texts.of(self),
            request_label: texts.request,
            request_id,
            next: next.map(url::Url::as_str),
        };
        html.render().expect("writing to a String does not fail")
    }

    pub(super) fn json(self, reason: Reason, id: &str) -> Value {
        let title = Language::English.texts().of(self).title;
        json!({"error": title, "reason": reason.code(), "request_id": id})
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_is_chosen() {
        for (header, expected) in [
            (None, Language::English),
            (Some("ko"), Language::Korean),
            (
                Some("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"),
                Language::Korean,
            ),
            (Some("en-US,en;q=0.9,ko;q=0.8"), Language::English),
            (Some("de, ko;q=0.5"), Language::Korean),
            (Some("fr"), Language::English),
            (Some("*"), Language::English),
            (Some("ko;q=0, en;q=0"), Language::English),
            (Some("ko;q=much"), Language::English),
            (Some(""), Language::English),
        ] {
            let mut request = TestRequest::get();
            if let Some(header) = header {
                request = request.insert_header(("Accept-Language", header));
            }
            assert_eq!(language(&request.to_http_request()), expected, "{header:?}");
        }
    }

    #[test]
    fn values_are_escaped() {
        let next = url::Url::parse("https://app.test/?a=1&b=\"><script>'").expect("a URL");
        let html = Page::SignInRequired.html(Language::English, "<i>", Some(&next));
        assert!(
            !html.contains("<script>") && !html.contains("<i>"),
            "{html}"
        );
        assert!(
            html.contains("https://app.test/?a=1&#38;b=%22%3E%3Cscript%3E"),
            "{html}"
        );
    }
}
