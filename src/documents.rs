//! Tables of the documentation that are made of the code, and compared with it.

use std::path::Path;

/// Fails where the document differs; with `UPDATE_DOCS=1` in the environment it is written instead.
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
pub(crate) fn compare(document: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap_or_else(|error| panic!("{document}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "{document} is not up to date: run the tests with UPDATE_DOCS=1"
    );
}
