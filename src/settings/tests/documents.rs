//! What is written about the settings says what the code does.

use std::fmt::Write as _;

use super::*;

/// `docs/settings.md` is made of the registry and the defaults. `UPDATE_DOCS=1` writes it.
#[test]
fn the_table_of_settings_is_up_to_date() {
    let defaults = load(&[]);
    let mut table = String::from(concat!(
        "# Settings\n\n",
        "A TOML file (`--config FILE` or `GATE_CONFIG`), then environment variables over it. Each setting has a variable of its own; ",
        "the other names are those of Label Studio and of the plugin, so that one `.env` serves both, and the first that is set counts. A secret ",
        "can be read from a file: add `_FILE` to the variable's name. `label-studio-gate check-config` tells what is in force and where it comes from.\n\n",
        "| setting | variable | also | default | what |\n|---|---|---|---|---|\n",
    ));
    for key in KEYS {
        let line = defaults
            .describe()
            .lines()
            .find(|line| line.starts_with(&format!("{} = ", key.name)));
        let default = line
            .and_then(|line| line.split('"').nth(1))
            .unwrap_or_default();
        let code = |name: &str| {
            if name.is_empty() {
                String::new()
            } else {
                format!("`{name}`")
            }
        };
        let aliases: Vec<String> = key.aliases.iter().map(|alias| code(alias)).collect();
        let default = if key.secret { "" } else { default };
        let _ = writeln!(
            table,
            "| `{}` | `{}` | {} | {} | {} |",
            key.name,
            key.variable(),
            aliases.join(", "),
            code(default),
            key.help
        );
    }
    crate::documents::compare("docs/settings.md", &table);
}

#[test]
fn every_setting_stands_in_the_default_file_with_a_comment() {
    let file = include_str!("../../../config/default.toml");
    let mut section = "";
    let mut commented = false;
    let mut found = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            commented = false;
        } else if line.starts_with('#') {
            commented = true;
        } else if let Some((name, _)) = line.split_once(" = ") {
            assert!(commented, "{section}.{name} has no comment above it");
            found.push(format!("{section}.{name}"));
        }
    }
    let registered: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(found, registered);
}
