//! The texts of the pages, one table per language.

use super::page::Page;

/// The available languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

/// The texts of one page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) title: &'static str,
    pub(super) body: &'static str,
    /// Label of the button, on a page that has one.
    pub(super) button: Option<&'static str>,
}

/// The texts of one language.
pub(super) struct Texts {
    /// `lang` in HTML, and the primary subtag of `Accept-Language`.
    pub(super) code: &'static str,
    /// Label of the request ID.
    pub(super) request: &'static str,
    link_expired: Text,
    no_access: Text,
    not_allowed: Text,
    sign_in_required: Text,
    confirm_sign_out: Text,
    signed_out: Text,
    unavailable: Text,
}

const fn text(title: &'static str, body: &'static str) -> Text {
    Text {
        title,
        body,
        button: None,
    }
}

const ENGLISH: Texts = Texts {
    code: "en",
    request: "Request",
    link_expired: text(
        "This link has expired",
        "Go back to the application you came from and open Label Studio from there again.",
    ),
    no_access: text(
        "You don't have access to this Label Studio",
        "Ask your Label Studio administrator for access.",
    ),
    not_allowed: text(
        "This request was blocked",
        "It came from a page that isn't allowed to act on your behalf.",
    ),
    sign_in_required: text(
        "Sign in required",
        "Sign in to the application that Label Studio is part of, and open Label Studio from there.",
    ),
    confirm_sign_out: Text {
        title: "Sign out of Label Studio?",
        body: "You followed a link from another site. Select the button to end your session.",
        button: Some("Sign out"),
    },
    signed_out: text("You are signed out", "Your Label Studio session has ended."),
    unavailable: text(
        "Sign-in is temporarily unavailable",
        "Please try again in a moment.",
    ),
};

const KOREAN: Texts = Texts {
    code: "ko",
    request: "요청 번호",
    link_expired: text(
        "링크가 만료되었습니다",
        "원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
    ),
    no_access: text(
        "이 Label Studio에 접근할 권한이 없습니다",
        "Label Studio 관리자에게 접근 권한을 요청해 주세요.",
    ),
    not_allowed: text(
        "요청이 차단되었습니다",
        "이 요청은 권한이 없는 페이지에서 전송되었습니다.",
    ),
    sign_in_required: text(
        "로그인이 필요합니다",
        "애플리케이션에 로그인한 뒤 Label Studio를 열어 주세요.",
    ),
    confirm_sign_out: Text {
        title: "Label Studio에서 로그아웃할까요?",
        body: "다른 사이트의 링크를 통해 들어오셨습니다. 버튼을 누르면 세션이 종료됩니다.",
        button: Some("로그아웃"),
    },
    signed_out: text("로그아웃되었습니다", "Label Studio 세션이 종료되었습니다."),
    unavailable: text("지금은 로그인할 수 없습니다", "잠시 후 다시 시도해 주세요."),
};

impl Language {
    /// Every language; the default comes first.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// The texts in this language.
    pub(super) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Korean => &KOREAN,
        }
    }
}

impl Texts {
    /// The texts of `page`.
    pub(super) const fn of(&self, page: Page) -> Text {
        match page {
            Page::LinkExpired => self.link_expired,
            Page::NoAccess => self.no_access,
            Page::NotAllowed => self.not_allowed,
            Page::SignInRequired => self.sign_in_required,
            Page::ConfirmSignOut => self.confirm_sign_out,
            Page::SignedOut => self.signed_out,
            Page::Unavailable => self.unavailable,
        }
    }
}
