//! Keeps generated documents in sync with the code.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Fails if the document differs from `expected`. With `UPDATE_DOCS=1`, writes it instead.
#[expect(clippy::disallowed_methods, reason = "a switch for tests")]
pub(crate) fn compare(document: &str, expected: &str) {
    if std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1") {
        let written = std::fs::write(path(document), expected);
        written.unwrap_or_else(|error| panic!("{document}: {error}"));
    }
    let found = std::fs::read_to_string(path(document)).unwrap_or_default();
    assert_eq!(
        found, expected,
        "{document} is out of date: run the tests with UPDATE_DOCS=1"
    );
}

/// The same for the part of a document between `<!-- NAME -->` and `<!-- end of NAME -->`.
pub(crate) fn compare_part(document: &str, name: &str, expected: &str) {
    // Several tests write their parts of one document.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let (start, end) = (
        format!("<!-- {name} -->"),
        format!("<!-- end of {name} -->"),
    );
    let found = std::fs::read_to_string(path(document)).unwrap_or_default();
    let parts = found.split_once(&start).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.unwrap_or_else(|| panic!("{document} has no part {name}"));
    let whole = format!("{before}{start}\n\n{expected}\n{end}{after}");
    compare(document, &whole);
}

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(document)
}
