//! `[pages]`: what ends up in a header or in HTML.

use super::*;

#[test]
fn sites_that_may_frame_the_pages_are_sources_of_csp() {
    for (text, source) in [
        ("self", "'self'"),
        ("'self'", "'self'"),
        ("https://App.Example.com/", "https://app.example.com"),
        ("https://*.example.com:8443", "https://*.example.com:8443"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ] {
        let settings = load(&[("GATE_PAGES_FRAME_ANCESTORS", text)]);
        assert_eq!(settings.pages.frame_ancestors[0].as_str(), source, "{text}");
    }
    for text in [
        "none",
        "*",
        "https://*",
        "https://app.*.com",
        "https://app.example.com/path",
        "app.example.com",
        "https://a;script-src",
        "https://[::1]:3000",
        "data:",
    ] {
        let told = errors(&[("GATE_PAGES_FRAME_ANCESTORS", text)]);
        let expected =
            "pages.frame_ancestors: must be self, an origin as https://app.example.com, ";
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn characters_that_mean_something_in_a_header_are_no_part_of_an_origin() {
    for text in [
        "https://a;b",
        "https://a'b",
        "https://a\"b",
        "https://a,b.test",
    ] {
        let told = errors(&[("GATE_POLICY_ALLOWED_ORIGINS", text)]);
        assert!(
            told.contains("policy.allowed_origins: must be an origin"),
            "{text}: {told}"
        );
    }
}

#[test]
fn a_logo_is_a_public_https_url_or_a_path() {
    for (text, accepted) in [
        ("https://cdn.example.com/logo;1.svg?x=1", true),
        ("/static/logo.svg", true),
        ("http://cdn.example.com/logo.svg", false),
        ("//cdn.example.com/logo.svg", false),
        ("/\\cdn.example.com/logo.svg", false),
        ("https://user:secret@cdn.example.com/logo.svg", false),
        ("https://a;script-src/logo.svg", false),
        ("https://[::1]/logo.svg", false),
        ("data:image/svg+xml,<svg/>", false),
        ("javascript:alert(1)", false),
        ("logo.svg", false),
    ] {
        let variables = environment(&[("GATE_PAGES_LOGO_URL", text)]);
        let settings = Settings::load(None, &variables);
        assert_eq!(settings.is_ok(), accepted, "{text}");
    }
}

#[test]
fn the_support_address_is_an_email_address_or_an_https_url() {
    for (text, accepted) in [
        ("mailto:help@example.com", true),
        ("mailto:help@example.com?subject=Label%20Studio", true),
        ("https://help.example.com/label-studio", true),
        ("help@example.com", false),
        ("mailto:help", false),
        ("mailto:@example.com", false),
        ("http://help.example.com/", false),
        ("javascript:alert(1)", false),
        ("tel:+4912345", false),
    ] {
        let variables = environment(&[("GATE_PAGES_SUPPORT_URL", text)]);
        let settings = Settings::load(None, &variables);
        assert_eq!(settings.is_ok(), accepted, "{text}");
    }
}
