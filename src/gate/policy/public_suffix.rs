//! Domains under which anybody can register one (<https://publicsuffix.org>).
//!
//! The list is code, of two thirds of a megabyte. The compiler makes a copy of it for each of its
//! units of work that uses it, so only this module does.

/// The domain that somebody registered, with the public suffix: `example.co.kr` of
/// `a.example.co.kr`. `None` for a public suffix.
#[inline(never)]
pub fn registrable_domain(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Whether the name is a public suffix, such as `co.kr`.
#[inline(never)]
pub fn is_public_suffix(name: &str) -> bool {
    psl::suffix_str(name) == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_suffix_has_no_registrable_domain() {
        assert_eq!(registrable_domain("a.example.co.kr"), Some("example.co.kr"));
        for suffix in ["co.kr", "com", "github.io"] {
            assert_eq!(registrable_domain(suffix), None);
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        assert!(!is_public_suffix("example.com"));
    }
}
