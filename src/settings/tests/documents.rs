//! Generates documents from the declarations. `UPDATE_DOCS=1` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Value, json};

use super::*;
use crate::settings::convert::as_text;
use crate::settings::declaration::choices;

/// Line width of `config/default.toml`.
const WIDTH: usize = 100;

/// A section: its name, its documentation, and its settings.
type Section = (&'static str, String, Vec<&'static Setting>);

fn sections() -> Vec<Section> {
    let schema = schema::<Sections>().to_value();
    let mut sections: Vec<Section> = Vec::new();
    for setting in Setting::all() {
        let (section, _) = setting.name.split_once('.').expect("a section");
        match sections.last_mut() {
            Some((name, _, settings)) if *name == section => settings.push(setting),
            _ => {
                let documentation = one_line(&schema["properties"][section]["description"]);
                sections.push((section, documentation, vec![setting]));
            }
        }
    }
    sections
}

fn one_line(description: &Value) -> String {
    let text = description.as_str().expect("a doc comment");
    text.replace('\n', " ")
}

/// The documentation of a setting: a paragraph, and a line for each choice.
fn documentation(setting: &Setting) -> Vec<String> {
    let schema = match &setting.schema["items"] {
        Value::Null => &setting.schema,
        items => items,
    };
    // If it is optional, the other alternative is null.
    let mut alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let of_words = alternatives.find(|it| !choices(it).is_empty());
    let schema = of_words.unwrap_or(schema);
    let mut text = one_line(&setting.schema["description"]);
    if let Some(most) = setting.schema["maximum"].as_u64() {
        let least = setting.schema["minimum"].as_u64().unwrap_or_default();
        let _ = write!(text, " From {least} to {most}.");
    }
    if setting.restart {
        text.push_str(" Takes effect at a restart.");
    }
    let mut lines = vec![text];
    let described = schema["oneOf"].as_array().into_iter().flatten();
    lines.extend(described.map(|choice| {
        let word = choice["const"].as_str().expect("a word");
        format!("`\"{word}\"`: {}", one_line(&choice["description"]))
    }));
    if lines.len() == 1 && !choices(schema).is_empty() {
        let words: Vec<String> = choices(schema)
            .iter()
            .map(|it| format!("`\"{it}\"`"))
            .collect();
        let _ = write!(lines[0], " {}.", words.join(", "));
    }
    lines
}

/// A comment in TOML, without Markdown.
fn comment(paragraph: &str, indentation: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.replace('`', "").split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                let _ = write!(line, " {word}");
            }
            _ => lines.push(format!("#{indentation} {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The value in TOML, which writes text, numbers and booleans like JSON but has no null.
fn toml(value: &Value) -> String {
    match value {
        Value::Null => String::from("\"\""),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[test]
fn the_default_file_is_up_to_date() {
    let mut file = String::from(concat!(
        "#:schema schema.json\n",
        "#\n",
        "# Every setting of label-studio-gate with its default. Your own file needs only what differs.\n",
        "# Environment variables take precedence: GATE_ and the setting's name in capitals\n",
        "# (session.cookie_name is GATE_SESSION_COOKIE_NAME), or the name that Label Studio and the plugin\n",
        "# use. docs/settings.md lists them. Generated: UPDATE_DOCS=1 cargo test settings\n",
    ));
    for (section, documentation_of_section, settings) in sections() {
        let comment_of_section = comment(&documentation_of_section, "");
        let _ = write!(file, "\n{comment_of_section}[{section}]\n");
        for setting in settings {
            let (_, field) = setting.name.split_once('.').expect("a section");
            let documentation = documentation(setting);
            let choices = documentation[1..].iter().map(|line| comment(line, "  "));
            let comment = comment(&documentation[0], "") + &choices.collect::<String>();
            let _ = writeln!(file, "\n{comment}{field} = {}", toml(&setting.default));
        }
    }
    crate::documents::compare("config/default.toml", &file);
}

#[test]
fn the_default_file_is_accepted_and_changes_nothing() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml");
    let settings = Settings::load(Some(&file), &environment(&[]));
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
    let values = |described: &str| -> Vec<String> {
        let lines = described.lines();
        lines
            .map(|line| line.split("  # ").next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(values(settings.describe()), values(load(&[]).describe()));
}

#[test]
fn the_table_of_settings_is_up_to_date() {
    let mut table = String::from(concat!(
        "# Settings\n\n",
        "Settings come from a TOML file (`--config FILE` or `GATE_CONFIG`) and from environment variables, which take precedence. Every setting\n",
        "has a variable of its own, listed first; the others are names of Label Studio and of the plugin, so that one `.env` serves both, and the first\n",
        "that is set counts. In a variable, a list is separated by commas. A secret can be read from a file: add `_FILE` to the variable's name.\n",
        "An empty file is an error, except for `label_studio.secret_key_fallbacks`, `external.previous_secret` and `database.password`, where it means that there is none.\n",
        "`label-studio-gate check-config` shows what is in force and where it comes from.\n\n",
        "Editors complete and check the file ([Even Better TOML](https://taplo.tamasfe.dev), for example) if its first line names the schema, relative to\n",
        "the file or as a URL. The Debian package installs it:\n\n",
        "```toml\n#:schema /usr/share/label-studio-gate/schema.json\n```\n",
    ));
    for (section, documentation_of_section, settings) in sections() {
        let _ = write!(
            table,
            "\n## `[{section}]`\n\n{documentation_of_section}\n\n\
             | setting | variables | default | meaning |\n|---|---|---|---|\n"
        );
        for setting in settings {
            let variables = std::iter::once(setting.variable()).chain(setting.aliases.clone());
            let variables: Vec<String> = variables.map(|name| format!("`{name}`")).collect();
            let default = match as_text(&setting.default) {
                text if text.is_empty() => String::new(),
                text => format!("`{text}`"),
            };
            let _ = writeln!(
                table,
                "| `{}` | {} | {default} | {} |",
                setting.name,
                variables.join(", "),
                documentation(setting).join("<br>")
            );
        }
    }
    crate::documents::compare("docs/settings.md", &table);
}

/// Adapts the schema for editors: nothing is required, empty text means "not set", a list may be
/// text, and unknown names are errors.
fn for_editors(schema: &mut Schema) {
    for keyword in [
        "required",
        "format",
        "x-env",
        "x-env-empty",
        "x-secret",
        "x-empty-file",
        "x-restart",
    ] {
        schema.remove(keyword);
    }
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    let is_list_of_words = schema.get("items").is_some_and(|it| it["type"] != "object");
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => Some(kinds[0].clone()),
        Some(kind) if kind == "array" && is_list_of_words => Some(json!(["array", "string"])),
        _ => None,
    };
    if let Some(kind) = kind {
        schema.insert("type".to_owned(), kind);
    }
    // An optional choice.
    let alternatives = schema.get_mut("anyOf").and_then(Value::as_array_mut);
    for alternative in alternatives.into_iter().flatten() {
        if alternative["type"] == "null" {
            *alternative = json!({"const": ""});
        }
    }
    // A choice named like a boolean may be written as one.
    if let Some(flag) = schema
        .get("const")
        .and_then(|it| it.as_str()?.parse::<bool>().ok())
    {
        schema.remove("const");
        schema.remove("type");
        schema.insert("enum".to_owned(), json!([flag.to_string(), flag]));
    }
}

#[test]
fn the_schema_for_editors_is_up_to_date() {
    let mut schema = schema::<Sections>();
    RecursiveTransform(for_editors).transform(&mut schema);
    let title = json!("Settings of label-studio-gate");
    schema.insert("title".to_owned(), title);
    for setting in Setting::all() {
        let path = setting.name.replace('.', "/properties/");
        let place = schema.pointer(&format!("/properties/{path}"));
        assert!(place.is_some(), "{}", setting.name);
    }
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    crate::documents::compare("config/schema.json", &text);
}

#[test]
fn every_declaration_is_complete() {
    let mut variables = BTreeSet::new();
    for setting in Setting::all() {
        let name = &setting.name;
        let documentation = documentation(setting);
        let sentences = documentation.iter().all(|line| line.ends_with('.'));
        assert!(sentences, "{name}: {documentation:?}");
        if !setting.secret {
            let converted = setting.convert(&as_text(&setting.default).into());
            assert_eq!(
                converted.as_ref().ok(),
                Some(&setting.default),
                "{name} needs a default"
            );
        }
        for keyword in setting.schema.as_object().expect("a schema").keys() {
            let known = !keyword.starts_with("x-")
                || [
                    "x-env",
                    "x-env-empty",
                    "x-secret",
                    "x-empty-file",
                    "x-restart",
                ]
                .contains(&&**keyword);
            assert!(known, "{name}: {keyword}");
        }
        for variable in setting.aliases.iter().cloned().chain([setting.variable()]) {
            assert!(
                variables.insert(variable.clone()),
                "{name}: {variable} is taken"
            );
        }
    }
}
