//! Tests of the public URL, and of the warnings that compare cookies with it.

use super::*;

#[test]
fn an_invalid_public_url_is_refused_with_what_is_accepted() {
    for url in [
        "label-studio.example.com",
        "/label-studio",
        "ftp://label-studio.example.com",
        "https://",
        "https://admin:secret@label-studio.example.com",
        "https://label-studio.example.com/?next=1",
        "https://label-studio.example.com/#top",
    ] {
        let told = errors(&[("LABEL_STUDIO_HOST", url)]);
        assert!(
            told.contains("label_studio.url: must be a URL that begins with http:// or https://"),
            "{told}"
        );
        assert!(told.contains("(set in LABEL_STUDIO_HOST)"), "{told}");
    }
    for url in [
        "https://ls.example.com",
        "http://10.0.0.7:8080/label-studio/",
    ] {
        assert!(
            load(&[("LABEL_STUDIO_HOST", url)])
                .label_studio
                .url
                .is_some()
        );
    }
    assert!(
        load(&[("LABEL_STUDIO_HOST", "")])
            .label_studio
            .url
            .is_none()
    );
}

/// Each line has the public URL, a setting with its value, and what the warning begins with.
#[test]
fn cookies_that_browsers_reject_at_the_public_url_are_warned_about() {
    const DOMAIN: &str = "session.cookie_domain (SESSION_COOKIE_DOMAIN) is";
    const PATH: &str = "session.cookie_path (SESSION_COOKIE_PATH) is";
    const SECURE: &str = "session.cookie_secure (SESSION_COOKIE_SECURE) is set";
    for (url, name, value, warned) in [
        (
            "https://ls.example.com",
            "SESSION_COOKIE_DOMAIN",
            "ls.example.com",
            "",
        ),
        (
            "https://ls.example.com",
            "SESSION_COOKIE_DOMAIN",
            ".Example.com",
            "",
        ),
        (
            "https://ls.example.com",
            "SESSION_COOKIE_DOMAIN",
            "other.example.com",
            DOMAIN,
        ),
        (
            "https://ls.example.com",
            "SESSION_COOKIE_DOMAIN",
            "s.example.com",
            DOMAIN,
        ),
        (
            "https://ls.example.com",
            "SESSION_COOKIE_DOMAIN",
            "a.ls.example.com",
            DOMAIN,
        ),
        ("https://ls.co.kr", "SESSION_COOKIE_DOMAIN", "co.kr", DOMAIN),
        ("http://10.0.0.7", "SESSION_COOKIE_DOMAIN", "10.0.0.7", ""),
        ("http://10.0.0.7", "SESSION_COOKIE_DOMAIN", "0.0.7", DOMAIN),
        (
            "https://example.com/label-studio",
            "SESSION_COOKIE_PATH",
            "/label-studio",
            "",
        ),
        (
            "https://example.com/label-studio/",
            "SESSION_COOKIE_PATH",
            "/label-studio/",
            "",
        ),
        (
            "https://example.com/label-studio",
            "SESSION_COOKIE_PATH",
            "/label",
            PATH,
        ),
        (
            "https://example.com",
            "SESSION_COOKIE_PATH",
            "/label-studio",
            PATH,
        ),
        (
            "http://ls.example.com",
            "SESSION_COOKIE_SECURE",
            "1",
            SECURE,
        ),
        ("https://ls.example.com", "SESSION_COOKIE_SECURE", "1", ""),
        ("http://localhost:8080", "SESSION_COOKIE_SECURE", "1", ""),
        ("http://127.0.0.1:8080", "SESSION_COOKIE_SECURE", "1", ""),
        (
            "https://ls.example.com",
            "GATE_TOKEN_COOKIE_DOMAIN",
            "example.org",
            "token.cookie_domain is",
        ),
        (
            "https://example.com",
            "JWT_SSO_COOKIE_PATH",
            "/label-studio",
            "token.cookie_path (JWT_SSO_COOKIE_PATH) is",
        ),
    ] {
        let settings = load(&[("LABEL_STUDIO_HOST", url), (name, value)]);
        let warnings = settings.warnings();
        let said = format!("{url} {name}={value}: {warnings:?}");
        match warnings.as_slice() {
            [] => assert_eq!(warned, "", "{said}"),
            [warning] => {
                assert!(
                    !warned.is_empty() && warning.what.starts_with(warned),
                    "{said}"
                );
                assert_eq!(
                    warning.prevents_logins,
                    warned.starts_with("session"),
                    "{said}"
                );
            }
            _ => panic!("{said}"),
        }
        // Without a public URL there is nothing to compare.
        assert_eq!(load(&[(name, value)]).warnings(), []);
    }
}

#[test]
fn same_site_none_over_http_is_a_warning_with_its_cure() {
    let warnings = warnings(&[
        ("LABEL_STUDIO_HOST", "http://ls.example.com"),
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
    ]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("SameSite=None works over HTTPS only"),
        "{warnings:?}"
    );
}
