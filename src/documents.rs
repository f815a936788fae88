//! Keeps generated documents in sync with the code.

use std::path::Path;

/// Fails if the document differs from `expected`. With `UPDATE_DOCS=1`, writes it instead.
#[expect(clippy::disallowed_methods, reason = "a switch for tests")]
pub(crate) fn compare(document: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap_or_else(|error| panic!("{document}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "{document} is out of date: run the tests with UPDATE_DOCS=1"
    );
}
