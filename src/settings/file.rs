//! The settings file.

use serde_json::{Map, Value};

use super::SettingError;
use super::declaration::Setting;
use super::environment::nearest;
use super::input::{Input, Layer};

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
        failed(format!("is not TOML: see line {line}, column {column}"))
    })?;
    for (name, value) in table {
        give(&name, json(value), origin, input);
    }
    Ok(())
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
            let known = Setting::all().iter().map(|setting| setting.name.as_str());
            let error = SettingError::unknown(name, origin, nearest(name, known));
            input.errors.push(error);
        }
    }
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
