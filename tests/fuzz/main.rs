//! The invariants that libFuzzer tries to break (`fuzz/`), on stable Rust: over the kept corpus, and over inputs of proptest.
//!
//! `tests/fuzz/run` looks for new inputs; what it finds is kept in `fuzz/corpus` and stays a test.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

#[path = "../../fuzz/src/lib.rs"]
mod checks;

#[test]
fn the_kept_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in checks::TARGETS {
        let mut files: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name} has no corpus: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 5, "{name} has {} files", files.len());
        for file in files {
            let data = std::fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| check(&data));
            assert!(outcome.is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn every_target_is_built_and_has_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in checks::TARGETS {
        let file = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{name}");
        let text = std::fs::read_to_string(fuzz.join(file)).unwrap();
        assert!(text.contains(&format!("label_studio_gate_fuzz::{name}(data)")));
    }
    for entry in std::fs::read_dir(fuzz.join("corpus")).unwrap() {
        let name = entry.unwrap().file_name();
        // The importer's own tests run its corpus.
        let known =
            name == "python_settings" || checks::TARGETS.iter().any(|(target, _)| name == *target);
        assert!(known, "{name:?} is no target");
    }
}

/// Pieces that mean something to one of the readers, and bytes that mean nothing.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::sample::select(vec![
        "sessionid",
        "ls_auth_token",
        "=",
        ";",
        " ",
        "\"",
        "\\",
        "\\145",
        "\u{a0}",
        "\u{85}",
        "\u{2003}",
        "\n",
        "\t",
        "/",
        "..",
        "%2e",
        "%2f",
        "%5c",
        "?",
        "token=",
        "a.b.c",
        "&",
        "/static/",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"alg\"",
        "\"HS256\"",
        "\"exp\"",
        "1800000600",
        "1e300",
        "null",
        "\"iss\":\"label-studio\"",
        "\"aud\":\"label-studio-sso\"",
        "\"user_id\":7",
        "eyJhbGciOiJIUzI1NiJ9",
        ".",
        "\"keys\"",
        "\"kty\":\"RSA\"",
        "\"_auth_user_id\":\"7\"",
        "x = 1\n",
        "[external]\n",
        "mine",
    ]);
    let piece = prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_cookie_header_breaks_the_reading(data in pieces()) {
        checks::cookie_header(&data);
    }

    #[test]
    fn no_uri_opens_another_path_or_leads_elsewhere(data in pieces()) {
        checks::original_uri(&data);
    }

    #[test]
    fn no_token_is_more_than_its_signature(data in pieces()) {
        checks::jwt_compact(&data);
        checks::jwt_header(&data);
        checks::jwt_claims(&data);
    }

    #[test]
    fn no_bytes_are_a_session_or_an_answer_by_chance(data in pieces()) {
        checks::django_session(&data);
        checks::client_api_answer(&data);
        checks::public_keys(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_file_makes_the_settings_panic(data in pieces()) {
        checks::settings_file(&data);
    }
}
