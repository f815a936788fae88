//! Domains under which anybody can register one (<https://publicsuffix.org>).

/// The domain that somebody registered, with the public suffix: `example.co.kr` of
/// `a.example.co.kr`. `None` for a public suffix.
pub fn registrable_domain(name: &str) -> Option<&str> {
    psl2::lookup(name)?.registrable_domain()
}

/// Whether the name is a public suffix, such as `co.kr`.
pub fn is_public_suffix(name: &str) -> bool {
    psl2::lookup(name).is_some_and(|domain| domain.suffix() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_suffix_has_no_registrable_domain() {
        assert_eq!(registrable_domain("a.example.co.kr"), Some("example.co.kr"));
        for suffix in ["co.kr", "com", "github.io", "svc.firenet.ch"] {
            assert_eq!(registrable_domain(suffix), None);
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        assert!(!is_public_suffix("example.com"));
    }
}
