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
        // Once for each language, not for each entry: anybody can send a long list.
        let is_refused = |language: &Self| {
            let mut refused = accepted.iter().filter(|it| it.quality == Quality::ZERO);
            refused.any(|range| primary(&range.item) == Some(language.code()))
        };
        let mut offered = Self::ALL.to_vec();
        offered.retain(|language| !is_refused(language));
        let ranked = accepted.ranked();
        let mut preferred = ranked.iter().filter_map(primary);
        preferred
            .find_map(|code| offered.iter().find(|language| language.code() == code))
            .copied()
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

    fn of(header: &str) -> Language {
        let request = TestRequest::get().insert_header(("Accept-Language", header));
        Language::of(request.to_http_request().head())
    }

    #[test]
    fn the_language_with_the_highest_weight_is_chosen() {
        let without = TestRequest::get().to_http_request();
        assert_eq!(Language::of(without.head()), Language::English);
        for (header, expected) in [
            ("ko", Language::Korean),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Language::Korean),
            ("en-US,en;q=0.9,ko;q=0.8", Language::English),
            ("de, ko;q=0.5", Language::Korean),
            ("fr", Language::English),
            ("*", Language::English),
            ("ko;q=0, en;q=0", Language::English),
            ("ko, ko-KP;q=0", Language::English),
            ("ko;q=much", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(of(header), expected, "{header:?}");
        }
    }

    /// Longer than any header that a proxy passes on. If each entry were compared with each other one,
    /// this test would take minutes.
    #[test]
    fn a_language_is_refused_wherever_a_long_list_says_so() {
        let header = format!("{}ko;q=0", "ko,".repeat(200_000));
        assert_eq!(of(&header), Language::English);
    }
}
