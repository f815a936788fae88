//! The Korean documents name the same settings, commands, files and codes as the English ones.

use std::collections::BTreeSet;

use crate::documents::file;

/// Each document and its translation.
const TRANSLATED: &[(&str, &str)] = &[
    ("README.md", "docs/ko/README.md"),
    ("docs/methods.md", "docs/ko/methods.md"),
    ("nginx/README.md", "docs/ko/nginx.md"),
    (
        "docs/migrate-from-plugin.md",
        "docs/ko/migrate-from-plugin.md",
    ),
    ("docs/troubleshooting.md", "docs/ko/troubleshooting.md"),
];

/// The code in a document: the lines of its blocks, and each piece of code in its text.
fn code(document: &str) -> BTreeSet<String> {
    let text = file(document);
    let mut code = BTreeSet::new();
    let (mut prose, mut in_block) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            code.insert(line.trim().to_owned());
        } else {
            // A piece of code may be wrapped.
            prose.push_str(line.trim());
            prose.push(' ');
        }
    }
    assert!(!in_block, "{document} has a block without an end");
    code.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    code
}

#[test]
fn both_languages_name_the_same_code() {
    for (english, korean) in TRANSLATED {
        let (wanted, found) = (code(english), code(korean));
        assert!(wanted.len() > 5, "{english} names {} pieces", wanted.len());
        let missing: Vec<_> = wanted.difference(&found).collect();
        let unknown: Vec<_> = found.difference(&wanted).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{korean} is not up to date with {english}:\nit lacks {missing:#?}\nit adds {unknown:#?}"
        );
    }
}

#[test]
fn both_languages_have_the_same_sections() {
    let outline = |document: &str| -> Vec<usize> {
        let text = file(document);
        let mut in_block = false;
        let headings = text.lines().filter(|line| {
            in_block ^= line.trim_start().starts_with("```");
            !in_block && line.starts_with('#')
        });
        headings
            .map(|line| line.chars().take_while(|c| *c == '#').count())
            .collect()
    };
    for (english, korean) in TRANSLATED {
        assert_eq!(outline(korean), outline(english), "{korean}");
    }
}
