//! The list of all settings, read from the JSON Schema that schemars derives from the structs of
//! the sections. Names, environment variables, defaults and documents come from this list.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::Sections;

/// A setting, as the field of its section declares it.
#[derive(Debug)]
pub struct Setting {
    /// Its place in the file: `section.field`.
    pub name: String,
    /// Further variables that set it, the names of Label Studio and of the plugin (`x-env`). The
    /// first that is set counts.
    pub aliases: Vec<String>,
    /// Whether an empty alias counts (`x-env-empty`). For other settings it is as good as unset,
    /// because compose files pass unset variables on as empty text.
    pub(super) empty_alias: bool,
    /// Whether its value is never shown (`x-secret`). Such a setting can come from a file that a
    /// variable ending in `_FILE` names.
    pub secret: bool,
    /// Whether an empty file is a value of it (`x-empty-file`): there is no such secret.
    pub(super) empty_file: bool,
    /// Whether a change takes effect only when the service is restarted (`x-restart`).
    pub restart: bool,
    /// Its value if it is not set.
    pub(super) default: Value,
    /// What is accepted, as JSON Schema.
    pub(super) schema: Value,
}

/// All settings, in the order of the file.
///
/// Label Studio looks a name up with the prefixes `LABEL_STUDIO_` and `HEARTEX_` first
/// (`label_studio/core/utils/params.py`), except for `SECRET_KEY`.
static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(declared::<Sections>);

impl Setting {
    /// All settings, in the order of the file.
    pub fn all() -> &'static [Self] {
        &SETTINGS
    }

    /// The setting of that name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|setting| setting.name == name)
    }

    /// The gate's own variable for it.
    pub fn variable(&self) -> String {
        format!("GATE_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// The settings that `T` declares.
pub(super) fn declared<T: JsonSchema>() -> Vec<Setting> {
    let mut settings = Vec::new();
    collect("", schema::<T>().as_value(), &mut settings);
    settings
}

/// The schema of `T` without references.
pub(super) fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

fn collect(prefix: &str, section: &Value, settings: &mut Vec<Setting>) {
    let Some(fields) = section["properties"].as_object() else {
        return;
    };
    for (field, schema) in fields {
        let name = format!("{prefix}{field}");
        if schema["properties"].is_object() {
            collect(&format!("{name}."), schema, settings);
            continue;
        }
        let aliases = schema["x-env"].as_array().into_iter().flatten();
        settings.push(Setting {
            aliases: aliases
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            empty_alias: schema["x-env-empty"] == true,
            secret: parts(schema).any(|part| part["x-secret"] == true),
            empty_file: schema["x-empty-file"] == true,
            restart: schema["x-restart"] == true,
            default: match &schema["default"] {
                Value::Null => unset(schema),
                default => default.clone(),
            },
            schema: schema.clone(),
            name,
        });
    }
}

/// The value of a setting that has no default: `None`, an empty list, or empty text. A number, a
/// boolean or a choice needs a default.
fn unset(schema: &Value) -> Value {
    if accepts(schema, "null") {
        Value::Null
    } else if accepts(schema, "array") && !accepts(schema, "string") {
        Value::Array(Vec::new())
    } else {
        Value::String(String::new())
    }
}

/// The schema itself, its alternatives, and what it says about the items of a list.
pub(super) fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let alternatives = ["anyOf", "oneOf"].map(|keyword| schema[keyword].as_array());
    let alternatives = alternatives.into_iter().flatten().flatten();
    let whole = std::iter::once(schema).chain(alternatives);
    whole.flat_map(|part| std::iter::once(part).chain(part.get("items")))
}

/// Whether values of a JSON type are accepted.
pub(super) fn accepts(schema: &Value, kind: &str) -> bool {
    let named = |part: &Value| match &part["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    std::iter::once(schema).chain(alternatives).any(named)
}

/// The words that are accepted; empty: not only some words are. An optional choice is one of two
/// alternatives, the other of which is null.
pub(super) fn choices(schema: &Value) -> Vec<&str> {
    let mut alternatives = schema["anyOf"].as_array().into_iter().flatten();
    if let Some(choice) = alternatives.find(|it| it["enum"].is_array() || it["oneOf"].is_array()) {
        return choices(choice);
    }
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten();
    let words = listed.chain(described.map(|choice| &choice["const"]));
    words.filter_map(Value::as_str).collect()
}
