//! The directions of the dependencies, as ARCHITECTURE.md has them: read from the imports.

use std::path::{Path, PathBuf};

/// The files below a directory whose names end so.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found
}

/// The code of a module without its tests and comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap()
        .to_owned();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n")
}

fn modules(place: &str) -> Vec<(PathBuf, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(place);
    let files = if path.is_dir() {
        files(&path, "rs")
    } else {
        vec![path]
    };
    assert!(!files.is_empty(), "{place} is empty");
    let tests = |file: &PathBuf| {
        file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests")
    };
    files
        .into_iter()
        .filter(|file| !tests(file))
        .map(|file| {
            let text = code(&file);
            (file, text)
        })
        .collect()
}

#[test]
fn modules_depend_in_one_direction() {
    for (place, forbidden) in [
        (
            "django",
            &[
                "crate::",
                "actix",
                "tokio",
                "reqwest",
                "SystemTime::now",
                "std::fs",
                "std::net",
            ][..],
        ),
        (
            "gate",
            &[
                "actix",
                "tokio_postgres",
                "deadpool",
                "reqwest",
                "SystemTime::now",
                "crate::http::",
                "crate::postgres",
                "crate::keys",
                "crate::application_api",
                "crate::http_client",
                "crate::settings",
                "crate::startup",
                "crate::metrics",
            ],
        ),
        (
            "keys",
            &[
                "actix",
                "tokio_postgres",
                "crate::http::",
                "crate::postgres",
                "crate::application_api",
                "crate::startup",
            ],
        ),
        (
            "application_api",
            &[
                "actix",
                "tokio_postgres",
                "crate::http::",
                "crate::postgres",
                "crate::keys",
                "crate::settings",
                "crate::startup",
            ],
        ),
        (
            "http_client.rs",
            &["crate::gate", "crate::settings", "crate::keys"],
        ),
        ("trust.rs", &["crate::"]),
        (
            "postgres",
            &[
                "actix",
                "crate::http::",
                "crate::startup",
                "crate::metrics",
                "crate::cli",
            ],
        ),
        (
            "http",
            &[
                "tokio_postgres",
                "deadpool",
                "crate::postgres",
                "crate::settings",
                "crate::startup",
                "crate::django",
            ],
        ),
        (
            "settings",
            &[
                "actix",
                "crate::http::",
                "crate::postgres",
                "crate::startup",
                "SystemTime::now",
            ],
        ),
        (
            "metrics.rs",
            &["crate::http::", "crate::postgres", "crate::settings"],
        ),
        (
            "telemetry",
            &[
                "crate::http::",
                "crate::postgres",
                "crate::settings",
                "crate::gate",
            ],
        ),
    ] {
        for (file, text) in modules(place) {
            for word in forbidden {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn sql_stands_in_its_own_files() {
    for (file, text) in modules("postgres") {
        for word in ["SELECT ", "INSERT ", "UPDATE ", "DELETE "] {
            assert!(!text.contains(word), "{} holds SQL", file.display());
        }
    }
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let used: String = modules("postgres")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for path in files(&sql, "sql") {
        let name = path.strip_prefix(&sql).unwrap().with_extension("");
        let name = name.to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("-- "),
            "{name}.sql doesn't say what it is for"
        );
        assert!(
            !text.contains("SELECT *"),
            "{name}.sql doesn't name its columns"
        );
        assert!(
            name == "role" || used.contains(&format!("sql!(\"{name}\")")),
            "{name}.sql is not used"
        );
    }
}

#[test]
fn nothing_is_left_to_do_later() {
    for (file, text) in modules("") {
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(!text.contains(word), "{} holds {word}", file.display());
        }
    }
}
