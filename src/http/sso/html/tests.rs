//! Rendering: what the policy allows is what the page contains, and nothing is unescaped.

use super::*;
use crate::gate::reason::{CredentialError, Outage};

static POPUP: LazyLock<Popup> = LazyLock::new(|| Popup {
    start: "/sso/start?next=%2F&frame=abc".to_owned(),
    login: "/sso/login".to_owned(),
});

fn about(reason: impl Into<Reason>) -> About<'static> {
    About {
        reason: reason.into(),
        request_id: "0123456789abcdef0123456789abcdef",
        path: Some("/projects/1?tab=2"),
        sign_in: None,
        choices: &[],
        popup: Some(&POPUP),
        handover: Some("sealed"),
        redirects: false,
        repeatable: true,
    }
}

fn branded() -> Pages {
    Pages {
        name: "Example <Research> & Co".to_owned(),
        logo: Some("https://cdn.example.com/logo;1.svg".to_owned()),
        support: Url::parse("mailto:help@example.com").ok(),
        frame_ancestors: Vec::new(),
        trusted_origins: vec![
            "https://app.example.com".to_owned(),
            "http://[::1]:3000".to_owned(),
        ],
    }
}

/// What stands between two marks.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Vec<&'t str> {
    let parts = text.split(start).skip(1);
    parts
        .map(|part| part.split(end).next().expect("a part"))
        .collect()
}

/// The hash of the text, computed from the page that the browser gets.
fn allowed(policy: &str, directive: &str, text: &str) -> bool {
    let hash = BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    let expected = format!("'sha256-{hash}'");
    let mut sources = policy.split("; ").map(|it| it.split(' '));
    sources.any(|mut it| it.next() == Some(directive) && it.any(|it| it == expected))
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_each_page_and_no_others() {
    for page in Page::ALL {
        for pages in [Pages::default(), branded()] {
            let html = render(
                *page,
                Language::English,
                &pages,
                &about(Reason::SignInRequired),
            );
            let policy = content_security_policy(*page, &pages, None);
            assert!(!policy.contains("unsafe"), "{policy}");
            let [style] = between(&html, "<style>", "</style>")[..] else {
                panic!("{html}");
            };
            assert!(allowed(&policy, "style-src", style), "{page:?}: {policy}");
            assert!(!html.contains("style=\""), "{html}");
            let scripts = between(&html, "<script", "</script>");
            let told = page.message().is_some() && !pages.trusted_origins.is_empty();
            let own = matches!(page, Page::SignInInWindow | Page::SignedIn);
            let expected = usize::from(told) + usize::from(own);
            assert_eq!(scripts.len(), expected, "{page:?}");
            assert_eq!(
                policy.matches("'sha256-").count(),
                1 + expected,
                "{page:?}: {policy}"
            );
            for script in scripts {
                let (_, script) = script.split_once('>').expect("a tag");
                assert!(allowed(&policy, "script-src", script), "{page:?}: {policy}");
            }
            let images = policy.contains("; img-src https://cdn.example.com;");
            assert_eq!(images, pages.logo.is_some(), "{policy}");
        }
    }
}

#[test]
fn the_message_names_the_reason_and_the_page_that_was_asked_for() {
    let html = render(
        Page::LinkExpired,
        Language::English,
        &branded(),
        &About {
            path: Some("/projects/?a='\"><script>"),
            ..about(CredentialError::TokenExpired)
        },
    );
    assert!(!html.contains("><script>\""), "{html}");
    assert_eq!(
        between(&html, "data-origins=\"", "\""),
        ["https://app.example.com http://[::1]:3000"]
    );
    let message = between(&html, "data-message=\"", "\" ")[0].replace("&#34;", "\"");
    let message = message
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#39;", "'");
    let message: serde_json::Value = serde_json::from_str(&message).expect("JSON");
    assert_eq!(
        message,
        json!({
            "source": "label-studio-gate", "version": 1, "type": "link_expired", "reason": "token_expired",
            "request_id": "0123456789abcdef0123456789abcdef", "path": "/projects/?a='\"><script>",
        })
    );
}

#[test]
fn values_are_escaped() {
    let next = Url::parse("https://app.test/?a=1&b=\"><script>'").expect("a URL");
    let html = render(
        Page::SignInRequired,
        Language::English,
        &branded(),
        &About {
            request_id: "<i>",
            sign_in: Some(next.into()),
            redirects: true,
            ..about(Reason::SignInRequired)
        },
    );
    assert!(
        !html.contains("<script>") && !html.contains("<i>"),
        "{html}"
    );
    let escaped = "https://app.test/?a=1&#38;b=%22%3E%3Cscript%3E";
    assert_eq!(html.matches(escaped).count(), 2, "{html}");
    assert!(
        html.contains("<span>Example &#60;Research&#62; &#38; Co</span>"),
        "{html}"
    );
}

#[test]
fn pages_offer_what_helps() {
    let sign_in = Some("https://app.test/login".to_owned());
    for page in Page::ALL {
        let about = About {
            sign_in: sign_in.clone(),
            ..about(Outage::Overloaded)
        };
        let html = render(*page, Language::English, &branded(), &about);
        let offers = |words: &str| html.contains(words);
        assert_eq!(
            offers("href=\"https://app.test/login\""),
            page.offers_sign_in(),
            "{page:?}"
        );
        assert_eq!(offers(">Try again</a>"), page.offers_retry(), "{page:?}");
        assert_eq!(
            offers(">Contact support</a>"),
            page.is_problem(),
            "{page:?}"
        );
        let posts = matches!(page, Page::ConfirmSignOut | Page::SignInInWindow);
        assert_eq!(offers("<form"), posts, "{page:?}");
        assert_eq!(offers("rel=\"opener\""), *page == Page::SignInInWindow);
        assert_eq!(html.matches("<h1>").count(), 1);
    }
    let post = About {
        repeatable: false,
        ..about(Outage::Overloaded)
    };
    let html = render(Page::Overloaded, Language::English, &branded(), &post);
    assert!(
        !html.contains("Try again</a>"),
        "a form is not sent twice: {html}"
    );
}

#[test]
fn the_support_address_gets_the_request_id_as_the_subject() {
    for (support, expected) in [
        (
            "mailto:help@example.com",
            "mailto:help@example.com?subject=Label%20Studio:%20abc",
        ),
        (
            "mailto:help@example.com?subject=Help",
            "mailto:help@example.com?subject=Help",
        ),
        ("https://help.example.com/", "https://help.example.com/"),
    ] {
        let support = Url::parse(support).expect("a URL");
        assert_eq!(support_url(&support, "abc"), expected);
    }
}

/// Browsers apply `form-action` to the redirect after the form too.
#[test]
fn the_form_may_lead_to_where_the_sign_out_leads() {
    let policy =
        |signed_out| content_security_policy(Page::ConfirmSignOut, &Pages::default(), signed_out);
    assert!(policy(None).contains("; form-action 'self';"));
    assert!(policy(Some("/bye")).contains("; form-action 'self';"));
    let elsewhere = policy(Some("https://app.example.com/bye?x=1"));
    assert!(
        elsewhere.contains("; form-action 'self' https://app.example.com;"),
        "{elsewhere}"
    );
}

#[test]
fn every_language_has_texts_of_its_own() {
    for page in Page::ALL {
        let [english, korean] = Language::ALL.map(|language| language.text(*page));
        assert_ne!(english.title, korean.title, "{page:?}");
        assert_ne!(english.advice, korean.advice, "{page:?}");
        for text in [english, korean] {
            assert!(text.title.len() < 80 && text.advice.len() > 10, "{text:?}");
            assert!(text.advice.ends_with('.'), "{text:?}");
        }
    }
}
