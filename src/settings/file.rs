//! The settings file.

use serde_json::{Map, Value};

use super::SettingError;
use super::declaration::Setting;
use super::environment::nearest;
use super::errors::Guess;
use super::input::{Input, Layer};

/// Beginnings of the parser's messages, in words that contain no part of the file.
const KINDS: [(&str, &str); 7] = [
    ("duplicate key", "a key or table is there twice"),
    ("cannot extend value", "a key is a table elsewhere"),
    ("key with no value", "a key has no value"),
    ("string values must be quoted", "text needs quotation marks"),
    ("missing opening quote", "a quotation mark is missing"),
    ("invalid basic string", "a quotation mark is missing"),
    ("unclosed", "a bracket is missing"),
];

/// Reads the text of a TOML file into `input`. The error says why the file as a whole cannot be
/// used.
pub(super) fn parse(origin: &str, text: &str, input: &mut Input) -> Result<(), SettingError> {
    let failed = |why| SettingError::new(origin, why);
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // The parser's message quotes the line, which may contain a secret, so only its position is
        // shown.
        let place = error.span().map_or(0, |span| span.start);
        let before = text.get(..place).unwrap_or_default();
        let line = before.split('\n').count();
        let column = before
            .rsplit('\n')
            .next()
            .map_or(1, |l| l.chars().count() + 1);
        let kind = kind(error.message()).map(|kind| format!(" ({kind})"));
        let kind = kind.unwrap_or_default();
        failed(format!(
            "is not TOML: see line {line}, column {column}{kind}"
        ))
    })?;
    for (name, value) in table {
        give(&name, json(value), origin, input);
    }
    Ok(())
}

/// What kind of error it is; `None`: the position has to do.
fn kind(message: &str) -> Option<&'static str> {
    let mut kinds = KINDS.iter();
    let (_, kind) = kinds.find(|(beginning, _)| message.starts_with(beginning))?;
    Some(kind)
}

/// Adds a setting, or the settings of a section. An unknown name is an error, because it is usually
/// a misspelling, and the intended setting would not take effect.
fn give(name: &str, value: Value, origin: &str, input: &mut Input) {
    if Setting::find(name).is_some() {
        input.give(name, value, Layer::File, origin);
        return;
    }
    let section = format!("{name}.");
    let mut settings = Setting::all().iter();
    let is_section = settings.any(|setting| setting.name.starts_with(&section));
    match value {
        Value::Object(fields) if is_section || !fields.is_empty() => {
            for (field, value) in fields {
                give(&format!("{section}{field}"), value, origin, input);
            }
        }
        _ if is_section => {
            let why = format!("must be a section: [{name}] (set in {origin})");
            input.errors.push(SettingError::new(name, why));
        }
        _ => {
            input
                .errors
                .push(SettingError::unknown(name, origin, meant(name)));
        }
    }
}

/// What was probably meant by a name that no setting has.
fn meant(name: &str) -> Option<Guess> {
    // The setting itself would be a near guess, and take the path for the secret.
    let with_file = Setting::all().iter().find(|setting| {
        let file = name.strip_suffix("_file");
        setting.secret && file == Some(setting.name.as_str())
    });
    if let Some(setting) = with_file {
        return Some(Guess::FileIn(setting.variable()));
    }
    let known = Setting::all().iter().map(|setting| setting.name.as_str());
    nearest(name, known).map(Guess::from)
}

/// Converts TOML to JSON. Dates, and numbers that JSON lacks, become text.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            let as_text = || Value::String(number.to_string());
            serde_json::Number::from_f64(number).map_or_else(as_text, Value::Number)
        }
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            let fields = table.into_iter().map(|(name, value)| (name, json(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}
