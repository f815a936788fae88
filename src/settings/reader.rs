//! Reads typed values and collects what is wrong with them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use config::{Config, Value, ValueKind};
use secrecy::SecretString;

use super::keys::find;
use super::sources::{DEFAULT, Layer};
use super::{SettingError, SettingErrors};

/// Reads one setting after the other. An error does not stop it, so that all of them are told at once.
pub(super) struct Reader {
    config: Config,
    errors: SettingErrors,
    unreadable: Vec<&'static str>,
}

impl Reader {
    /// Reads from `config`; `errors` were found before.
    pub(super) const fn new(config: Config, errors: SettingErrors) -> Self {
        Self {
            config,
            errors,
            unreadable: Vec::new(),
        }
    }

    /// All that was found wrong.
    pub(super) fn finish(self) -> (Config, SettingErrors) {
        (self.config, self.errors)
    }

    /// Says that a setting's value cannot be used.
    pub(super) fn refuse(&mut self, name: &str, why: impl Display) {
        // What is wrong with the empty text that stands for an unreadable value is nobody's mistake.
        if self.unreadable.contains(&name) {
            return;
        }
        let origin = self.origin(name);
        let why = match origin.as_str() {
            DEFAULT => why.to_string(),
            _ => format!("{why} (set in {origin})"),
        };
        self.errors.push(SettingError::new(name, why));
    }

    /// Where the value comes from.
    pub(super) fn origin(&self, name: &str) -> String {
        origin(&self.config, name)
    }

    /// How much the place counts where the value comes from.
    pub(super) fn layer(&self, name: &'static str) -> Layer {
        Layer::of(name, &self.origin(name))
    }

    /// Notes that `text` is in force instead, since the setting `by` says so.
    pub(super) fn settle(&mut self, name: &'static str, text: String, by: &'static str) {
        let origin = self.origin(by);
        let place = (name.split('.')).try_fold(&mut self.config.cache, |value, part| {
            match &mut value.kind {
                ValueKind::Table(table) => table.get_mut(part),
                _ => None,
            }
        });
        if let Some(place) = place {
            *place = Value::new(Some(&origin), ValueKind::String(text));
        }
    }

    /// Text as it stands.
    pub(super) fn text(&mut self, name: &'static str) -> String {
        debug_assert!(find(name).is_some(), "{name} is not registered");
        match value(&self.config, name).map(|value| &value.kind) {
            Some(ValueKind::String(text)) => text.clone(),
            Some(ValueKind::Boolean(flag)) => flag.to_string(),
            Some(ValueKind::I64(number)) => number.to_string(),
            Some(ValueKind::Float(number)) => number.to_string(),
            Some(_) => {
                self.refuse(name, "must be a text, a number or a boolean");
                self.unreadable.push(name);
                String::new()
            }
            // Every name has a default: its whole section was replaced by something else, which `merge` has said.
            None => {
                self.unreadable.push(name);
                String::new()
            }
        }
    }

    /// Text that is not empty.
    pub(super) fn filled(&mut self, name: &'static str) -> String {
        let text = self.text(name);
        if text.is_empty() {
            self.refuse(name, "must not be empty");
        }
        text
    }

    /// Text, or nothing where it is empty.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A list: an array of the file, or texts separated by commas.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<String> {
        let items: Vec<String> = match value(&self.config, name).map(|value| &value.kind) {
            Some(ValueKind::Array(items)) => items.iter().map(ToString::to_string).collect(),
            _ => self.text(name).split(',').map(str::to_owned).collect(),
        };
        let items = items.iter().map(|item| item.trim().to_owned());
        items.filter(|item| !item.is_empty()).collect()
    }

    /// The value as JSON, for settings that are tables.
    pub(super) fn json(&self, name: &'static str) -> Result<serde_json::Value, String> {
        match value(&self.config, name) {
            Some(Value {
                kind: ValueKind::String(text),
                ..
            }) if text.is_empty() => Ok(serde_json::json!([])),
            Some(Value {
                kind: ValueKind::String(text),
                ..
            }) => serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}")),
            Some(value) => value
                .clone()
                .try_deserialize()
                .map_err(|_| "must be an array of tables".to_owned()),
            None => Ok(serde_json::json!([])),
        }
    }

    /// A secret.
    pub(super) fn secret(&mut self, name: &'static str) -> SecretString {
        SecretString::from(self.text(name))
    }

    /// A whole number within `allowed`.
    pub(super) fn number<N>(&mut self, name: &'static str, allowed: RangeInclusive<N>) -> N
    where
        N: FromStr + PartialOrd + Display + Copy,
    {
        let text = self.text(name);
        match text.trim().parse::<N>() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let (least, most) = (allowed.start(), allowed.end());
                let why = format!("must be a whole number from {least} to {most}, and is {text:?}");
                self.refuse(name, why);
                *allowed.start()
            }
        }
    }

    /// Seconds within `allowed`.
    pub(super) fn seconds(&mut self, name: &'static str, allowed: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(name, allowed))
    }

    /// Milliseconds within `allowed`.
    pub(super) fn milliseconds(
        &mut self,
        name: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_millis(self.number(name, allowed))
    }

    /// Yes or no, in the words of Label Studio, of Docker and of people.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let text = self.text(name);
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.refuse(name, format!("must be true or false, and is {text:?}"));
                false
            }
        }
    }

    /// One of some words, in any case.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> T {
        let text = self.text(name);
        match words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text))
        {
            Some((_, choice)) => *choice,
            None => {
                let known: Vec<String> =
                    words.iter().map(|(word, _)| format!("{word:?}")).collect();
                let known = known.join(" or ");
                self.refuse(name, format!("must be {known}, and is {text:?}"));
                words[0].1
            }
        }
    }

    /// Anything that can be parsed; `shape` says what is allowed.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, shape: &str) -> Option<T> {
        let text = self.text(name);
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.refuse(name, format!("must be {shape}, and is {text:?}"));
        }
        parsed
    }
}

/// The merged value of a setting.
pub(super) fn value<'c>(config: &'c Config, name: &str) -> Option<&'c Value> {
    name.split('.')
        .try_fold(&config.cache, |value, part| match &value.kind {
            ValueKind::Table(table) => table.get(part),
            _ => None,
        })
}

/// Where a value comes from: a variable, a file, or nowhere.
pub(super) fn origin(config: &Config, name: &str) -> String {
    value(config, name)
        .and_then(Value::origin)
        .unwrap_or(DEFAULT)
        .to_owned()
}
