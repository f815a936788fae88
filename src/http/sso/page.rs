//! The pages that people see: small, in English or Korean, and readable in a frame. They hold no secret and run no script.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::gate::reason::{Denied, Reason};

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The token is not acceptable.
    LinkExpired,
    /// The user may not come in.
    NotKnown,
    /// The request itself is refused.
    NotAllowed,
    /// Somebody must be signed in.
    SignInRequired,
    /// Another site may have led here: the visitor has to say that they want to sign out.
    ConfirmSignOut,
    /// The session has ended.
    SignedOut,
    /// It cannot be said now.
    Unavailable,
}

/// In which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

impl Language {
    /// The one that the visitor likes better (RFC 9110 §12.5.4); English without a word about it.
    pub(super) fn preferred(accept_language: Option<&str>) -> Self {
        let mut best = (Self::English, 0.0);
        for range in accept_language.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
            let language = match tag.split('-').next() {
                Some("ko") => Self::Korean,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

impl Page {
    /// What is said to whom the check answered 403.
    pub(super) const fn of_denial(reason: Denied) -> Self {
        match reason {
            Denied::CrossSiteRequest | Denied::RequestMalformed => Self::NotAllowed,
            Denied::UserUnknown
            | Denied::UserInactive
            | Denied::UserRemoved
            | Denied::UserPrivileged
            | Denied::UserNotCreated => Self::NotKnown,
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::LinkExpired | Self::SignInRequired => StatusCode::UNAUTHORIZED,
            Self::NotKnown | Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::SignedOut | Self::ConfirmSignOut => StatusCode::OK,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Nothing is loaded and nothing runs; who may frame a page is not restricted, since Label Studio itself is framed. The page with a button is
    /// not framed by other sites, where somebody could be made to press it.
    pub(super) const fn content_security_policy(self) -> &'static str {
        match self {
            Self::ConfirmSignOut => {
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
            }
            Self::LinkExpired
            | Self::NotKnown
            | Self::NotAllowed
            | Self::SignInRequired
            | Self::SignedOut
            | Self::Unavailable => {
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
            }
        }
    }

    /// Whether the address of the page is told to others. A form that is posted under "no-referrer" hides its origin (Fetch, "append a request
    /// `Origin` header"), so that it could not be told from one of another site.
    pub(super) const fn referrer_policy(self) -> &'static str {
        match self {
            Self::ConfirmSignOut => "same-origin",
            Self::LinkExpired
            | Self::NotKnown
            | Self::NotAllowed
            | Self::SignInRequired
            | Self::SignedOut
            | Self::Unavailable => "no-referrer",
        }
    }

    /// Title and text.
    const fn words(self, language: Language) -> (&'static str, &'static str) {
        match (self, language) {
            (Self::LinkExpired, Language::English) => (
                "This link has expired",
                "Go back to the application that you came from and open Label Studio there again.",
            ),
            (Self::LinkExpired, Language::Korean) => (
                "링크가 만료되었습니다",
                "원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
            ),
            (Self::NotKnown, Language::English) => (
                "You are not known here",
                "Your account may not use this Label Studio. Ask whoever looks after it to let you in.",
            ),
            (Self::NotKnown, Language::Korean) => (
                "등록되지 않은 사용자입니다",
                "이 계정으로는 Label Studio를 사용할 수 없습니다. 관리자에게 문의해 주세요.",
            ),
            (Self::NotAllowed, Language::English) => (
                "This request is not allowed",
                "It came from a page that may not act here in your name.",
            ),
            (Self::NotAllowed, Language::Korean) => (
                "허용되지 않은 요청입니다",
                "이 요청은 권한이 없는 페이지에서 전송되었습니다.",
            ),
            (Self::SignInRequired, Language::English) => (
                "Please sign in",
                "Sign in to the application that Label Studio belongs to, and open Label Studio there.",
            ),
            (Self::SignInRequired, Language::Korean) => (
                "로그인이 필요합니다",
                "애플리케이션에 로그인한 뒤 Label Studio를 열어 주세요.",
            ),
            (Self::ConfirmSignOut, Language::English) => (
                "Sign out of Label Studio?",
                "Another page led you here. Your session ends when you press the button.",
            ),
            (Self::ConfirmSignOut, Language::Korean) => (
                "Label Studio에서 로그아웃할까요?",
                "다른 페이지를 통해 들어오셨습니다. 버튼을 누르면 세션이 종료됩니다.",
            ),
            (Self::SignedOut, Language::English) => (
                "You are signed out",
                "Your session in Label Studio has ended.",
            ),
            (Self::SignedOut, Language::Korean) => {
                ("로그아웃되었습니다", "Label Studio 세션이 종료되었습니다.")
            }
            (Self::Unavailable, Language::English) => (
                "This cannot be decided right now",
                "The sign-in service is not available. Please try again in a moment.",
            ),
            (Self::Unavailable, Language::Korean) => (
                "지금은 처리할 수 없습니다",
                "로그인 서비스를 사용할 수 없습니다. 잠시 후 다시 시도해 주세요.",
            ),
        }
    }

    /// Only words of our own, an id of hexadecimal digits and the URL of where the page goes on by itself stand in it.
    pub(super) fn html(self, language: Language, id: &str, next: Option<&url::Url>) -> String {
        let (title, text) = self.words(language);
        let code = language.code();
        let label = match language {
            Language::English => "Request",
            Language::Korean => "요청 번호",
        };
        // A URL holds no quotes and no angle brackets (url::Url writes them as %22, %3C, %3E).
        let next = next.map_or_else(String::new, |url| {
            let url = url.as_str().replace('&', "&amp;");
            format!("<meta http-equiv=\"refresh\" content=\"0; url={url}\">")
        });
        // The form goes to the address that the page was asked at, which is another below a path of the host.
        let button = match (self, language) {
            (Self::ConfirmSignOut, Language::English) => {
                "<form method=\"post\"><button>Sign out</button></form>"
            }
            (Self::ConfirmSignOut, Language::Korean) => {
                "<form method=\"post\"><button>로그아웃</button></form>"
            }
            _ => "",
        };
        format!(
            "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"robots\" content=\"noindex\">{next}<title>{title}</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0;padding:2rem;max-width:34rem}}\
             h1{{font-size:1.3rem}}small{{color:#666}}</style></head>\
             <body><h1>{title}</h1><p>{text}</p>{button}<p><small>{label}: {id}</small></p></body></html>\n"
        )
    }

    pub(super) fn json(self, reason: Reason, id: &str) -> Value {
        let (title, _) = self.words(Language::English);
        json!({"error": title, "reason": reason.code(), "request_id": id})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_weighs_more() {
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
            (Some("ko;q=0, en;q=0"), Language::English),
            (Some("ko;q=much"), Language::English),
        ] {
            assert_eq!(Language::preferred(header), expected, "{header:?}");
        }
    }
}
