//! The language of a page.

use actix_web::dev::RequestHead;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, AcceptLanguage, LanguageTag, Preference, Quality, from_comma_delimited,
};

/// The available languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

impl Language {
    /// Every language; the default comes first.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// The available language that the user prefers (RFC 9110 §12.5.4), or English.
    pub(super) fn of(request: &RequestHead) -> Self {
        let headers = request.headers().get_all(ACCEPT_LANGUAGE);
        let Ok(accepted) = from_comma_delimited(headers).map(AcceptLanguage) else {
            return Self::English;
        };
        let refused = |code: &str| {
            let mut ranges = accepted.iter();
            ranges.any(|range| range.quality == Quality::ZERO && primary(&range.item) == Some(code))
        };
        let accepted_languages = accepted.ranked();
        let mut preferred = accepted_languages.iter().filter_map(primary);
        preferred
            .find_map(|code| {
                let mut known = Self::ALL.into_iter();
                known.find(|language| language.code() == code && !refused(code))
            })
            .unwrap_or(Self::English)
    }

    /// `lang` in HTML, and the primary subtag of `Accept-Language`.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

/// The primary subtag, without script and region.
fn primary(preference: &Preference<LanguageTag>) -> Option<&str> {
    preference.item().map(|tag| tag.primary_language())
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
            let language = Language::of(request.to_http_request().head());
            assert_eq!(language, expected, "{header:?}");
        }
    }
}
