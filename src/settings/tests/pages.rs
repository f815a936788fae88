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
