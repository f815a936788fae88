//! Variables that settings of Label Studio are known by, and that do not do what their names say.

use std::collections::BTreeMap;

use super::Warning;

/// Names in the guides of the plugin that nothing reads as a variable: they were lines of a
/// `settings.py`.
const IGNORED: [(&str, &str); 4] = [
    (
        "CORS_ALLOW_CREDENTIALS",
        "for requests of other origins with cookies, add the header in nginx \
         (docs/migrate-from-plugin.md, \"Frames, CORS and CSRF\")",
    ),
    (
        "X_FRAME_OPTIONS",
        "say who may frame Label Studio with frame-ancestors in nginx/gate-check.conf, and who may \
         frame the gate's pages with pages.frame_ancestors",
    ),
    (
        "CSRF_COOKIE_DOMAIN",
        "Label Studio's csrftoken belongs to its own host; nothing needs to be set",
    ),
    (
        "CSRF_COOKIE_PATH",
        "where Label Studio is below a path, proxy_cookie_path of nginx sets it \
         (nginx/environments)",
    ),
];

/// Variables that Label Studio reads as a number, with the prefixes that it looks them up with
/// (`bool(int(…))` in `core/settings/base.py`, since 1.7.2).
const NUMBERS: [&str; 3] = [
    "SESSION_COOKIE_SECURE",
    "CSRF_COOKIE_SECURE",
    "CSRF_COOKIE_HTTPONLY",
];

/// Why a setting of Label Studio has no effect unless Label Studio's files are edited, and what has;
/// `None`: it has.
pub fn without_effect(name: &str) -> Option<&'static str> {
    let found = IGNORED.iter().find(|(ignored, _)| *ignored == name);
    found.map(|(_, instead)| *instead)
}

/// Warns about such variables.
pub(in crate::settings) fn warnings(environment: &BTreeMap<String, String>) -> Vec<Warning> {
    let ignored = IGNORED.iter().filter_map(|(name, instead)| {
        let is_set = environment.get(*name).is_some_and(|text| !text.is_empty());
        let what = || format!("{name} is ignored: neither Label Studio nor the gate reads it");
        is_set.then(|| Warning::new(what(), *instead))
    });
    let prefixed =
        |name: &str| ["LABEL_STUDIO_", "HEARTEX_", ""].map(|prefix| format!("{prefix}{name}"));
    let numbers = NUMBERS
        .iter()
        .flat_map(|name| prefixed(name))
        .filter_map(|name| {
            let text = environment.get(&name).filter(|text| !text.is_empty())?;
            let is_number = text.trim().parse::<i64>().is_ok();
            let what =
                || format!("Label Studio does not start with {name}={text:?}: it reads a number");
            (!is_number).then(|| Warning::new(what(), "write 0 or 1, which the gate reads too"))
        });
    ignored.chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_without_effect_and_words_for_numbers_are_named() {
        for (name, value, expected) in [
            ("CORS_ALLOW_CREDENTIALS", "True", Some("is ignored")),
            ("X_FRAME_OPTIONS", "SAMEORIGIN", Some("frame-ancestors")),
            ("CSRF_COOKIE_DOMAIN", ".a.test", Some("is ignored")),
            ("CSRF_COOKIE_PATH", "/x", Some("proxy_cookie_path")),
            ("X_FRAME_OPTIONS", "", None),
            ("SESSION_COOKIE_SECURE", "false", Some("write 0 or 1")),
            (
                "LABEL_STUDIO_SESSION_COOKIE_SECURE",
                "true",
                Some("write 0 or 1"),
            ),
            ("HEARTEX_CSRF_COOKIE_SECURE", "yes", Some("write 0 or 1")),
            ("CSRF_COOKIE_HTTPONLY", "off", Some("write 0 or 1")),
            ("SESSION_COOKIE_SECURE", "0", None),
            ("SESSION_COOKIE_SECURE", "1", None),
            ("CSRF_COOKIE_SAMESITE", "None", None),
            // The gate's own name is not Label Studio's.
            ("GATE_SESSION_COOKIE_SECURE", "true", None),
        ] {
            let environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let warnings: Vec<String> = warnings(&environment)
                .iter()
                .map(ToString::to_string)
                .collect();
            match expected {
                None => assert!(warnings.is_empty(), "{name}={value}: {warnings:?}"),
                Some(text) => {
                    assert_eq!(warnings.len(), 1, "{name}={value}: {warnings:?}");
                    assert!(
                        warnings[0].contains(text) && warnings[0].contains(name),
                        "{warnings:?}"
                    );
                }
            }
        }
    }
}
