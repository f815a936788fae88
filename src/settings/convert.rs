//! Converts a value to the type that its setting declares. A variable holds text, and a file may
//! too: `"3600"` is a number, `"yes"` is true, `"a,b"` is a list.

use serde_json::Value;

use super::declaration::{Setting, accepts, choices, parts};
use crate::http_client::shown;

impl Setting {
    /// The value in the declared type. The error never contains a secret.
    pub(super) fn convert(&self, given: &Value) -> Result<Value, Misfit> {
        convert(&self.schema, given).map_err(|misfit| match misfit {
            Misfit::Kind { accepted, .. } if self.secret => Misfit::SecretKind { accepted },
            other => other,
        })
    }
}

/// Why a value is not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    /// Another type, another word, or a number out of range.
    #[error("must be {accepted}, not {}", quoted(.found))]
    Kind {
        accepted: String,
        /// The value, or the item of a list.
        found: Value,
    },
    /// The same for a secret, which is not shown.
    #[error("must be {accepted}")]
    SecretKind { accepted: String },
    #[error("must not be empty")]
    Empty,
    #[error("is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// The type of the field rejects the value.
    #[error("{0}")]
    Rejected(#[source] serde_json::Error),
}

impl Misfit {
    fn kind(schema: &Value, found: Value) -> Self {
        Self::Kind {
            accepted: accepted(schema),
            found,
        }
    }
}

fn convert(schema: &Value, given: &Value) -> Result<Value, Misfit> {
    let text = text_of(given);
    let words = choices(schema);
    let converted = match (given, text.as_deref()) {
        (_, Some("")) if accepts(schema, "null") => Some(Value::Null),
        (_, Some(text)) if !words.is_empty() => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
            word.map(|word| Value::from(*word))
        }
        (_, Some(text)) if accepts(schema, "string") && accepts(schema, "integer") => {
            number(schema, text.trim()).or_else(|| Some(text.into()))
        }
        (_, Some(text)) if accepts(schema, "string") => Some(text.into()),
        (_, Some(text)) if accepts(schema, "integer") => number(schema, text.trim()),
        (_, Some(text)) if accepts(schema, "boolean") => flag(text),
        (Value::Array(items), _) if accepts(schema, "array") => Some(list(schema, items)?),
        (Value::String(text), _) if accepts(schema, "array") => Some(split(schema, text)?),
        (Value::Object(_), _) if accepts(schema, "object") => Some(given.clone()),
        _ => None,
    };
    let converted = converted.ok_or_else(|| Misfit::kind(schema, given.clone()))?;
    let is_empty = converted == "" || converted.as_array().is_some_and(Vec::is_empty);
    if is_empty && (schema["minLength"].is_number() || schema["minItems"].is_number()) {
        return Err(Misfit::Empty);
    }
    Ok(converted)
}

fn number(schema: &Value, text: &str) -> Option<Value> {
    let number: u64 = text.parse().ok()?;
    let (least, most) = range(schema);
    (least <= number && most.is_none_or(|most| number <= most)).then(|| number.into())
}

fn range(schema: &Value) -> (u64, Option<u64>) {
    let least = schema["minimum"].as_u64().unwrap_or_default();
    (least, schema["maximum"].as_u64())
}

/// Yes or no, in the words of Label Studio, Docker and people.
fn flag(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true.into()),
        "false" | "0" | "no" | "off" => Some(false.into()),
        _ => None,
    }
}

fn list(schema: &Value, items: &[Value]) -> Result<Value, Misfit> {
    let Some(of_item) = parts(schema).find_map(|part| part.get("items")) else {
        return Ok(Value::Array(items.to_vec()));
    };
    let items = items.iter().filter(|item| **item != "");
    items.map(|item| convert(of_item, item)).collect()
}

/// A list in a variable: JSON if its items are tables, otherwise texts separated by commas.
fn split(schema: &Value, text: &str) -> Result<Value, Misfit> {
    if is_list_of_tables(schema) && !text.trim().is_empty() {
        return match serde_json::from_str(text).map_err(Misfit::NotJson)? {
            Value::Array(items) => list(schema, &items),
            other => Err(Misfit::kind(schema, other)),
        };
    }
    let items = text.split(',').map(|item| Value::from(item.trim()));
    list(schema, &items.collect::<Vec<_>>())
}

fn is_list_of_tables(schema: &Value) -> bool {
    schema["items"]["type"] == "object"
}

fn accepted(schema: &Value) -> String {
    let words = choices(schema);
    if !words.is_empty() {
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        return quoted.join(" or ");
    }
    if accepts(schema, "integer") {
        return match range(schema) {
            (least, Some(most)) => format!("a whole number from {least} to {most}"),
            (least, None) => format!("a whole number of {least} or more"),
        };
    }
    let kind = if accepts(schema, "boolean") {
        "true or false"
    } else if is_list_of_tables(schema) {
        "an array of tables"
    } else if schema["type"] == "object" {
        "a table"
    } else if accepts(schema, "array") {
        "a list, or text separated by commas"
    } else {
        "text"
    };
    kind.to_owned()
}

/// A text, a number or a boolean as text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The value in an error message, in quotation marks.
fn quoted(value: &Value) -> String {
    match text_of(value) {
        Some(text) => format!("{:?}", shown(&text)),
        None => shown(&value.to_string()).into_owned(),
    }
}

/// The value as a variable would hold it.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        Value::Object(_) => value.to_string(),
        scalar => text_of(scalar).unwrap_or_default(),
    }
}
