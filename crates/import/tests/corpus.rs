//! What the fuzzer keeps (`fuzz/corpus/python_settings`) on stable Rust, and inputs of proptest.
#![allow(missing_docs, unreachable_pub)]

use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/src/python_settings.rs"]
mod checks;

#[test]
fn the_kept_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/python_settings");
    let files = std::fs::read_dir(corpus).expect("a corpus");
    let mut checked = 0;
    for file in files {
        let path = file.expect("an entry").path();
        checks::python_settings(&std::fs::read(&path).expect("readable"));
        checked += 1;
    }
    assert!(checked >= 5, "{checked} files");
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(
        lines in prop::collection::vec("(JWT_SSO_[A-Z_]{1,12}|SSO_TOKEN_EXPIRY|if x:|    y) ?= ?[-'\"0-9a-z(\\[{\\\\+*.,:]{0,12}|\\PC{0,30}", 0..8),
    ) {
        checks::python_settings(lines.join("\n").as_bytes());
    }
}
