//! Secrets: the files that hold them, and what is unlikely to be one.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::Warning;
use super::super::declaration::{Setting, accepts};
use super::{Input, Layer};

impl Input {
    /// Reads a file with a secret or a key. An emptied file would switch off what the secret is for,
    /// so it is an error, unless `allows_empty`. The error says why there is no secret.
    pub(in crate::settings) fn read_secret(
        &mut self,
        file: &str,
        allows_empty: bool,
    ) -> Result<String, String> {
        let text = std::fs::read_to_string(file);
        let contents = text.as_ref().ok().map(String::as_bytes);
        self.files.record(Path::new(file), contents);
        let text = text.map_err(|error| format!("cannot read {file}: {error}"))?;
        match text.trim().is_empty() {
            false => Ok(text),
            true if allows_empty => Ok(String::new()),
            true => Err(format!("{file} is empty")),
        }
    }

    /// Refuses secrets that are the path of a file, and warns about those that hold more than the
    /// secret.
    pub(in crate::settings) fn check_secrets(&mut self) {
        for setting in Setting::all().iter().filter(|setting| setting.secret) {
            let Some(given) = self.given.get(&setting.name) else {
                continue;
            };
            let (variable, is_file) = match (given.layer, given.origin.strip_suffix("_FILE")) {
                (Layer::Default | Layer::File, _) => (setting.variable(), false),
                (Layer::Alias | Layer::Own, Some(variable)) => (variable.to_owned(), true),
                (Layer::Alias | Layer::Own, None) => (given.origin.clone(), false),
            };
            if names_a_file(&given.value) {
                let why = format!("is the path of a file: name it in the variable {variable}_FILE");
                self.refuse(&setting.name, why);
                self.unusable.insert(setting.name.clone());
            } else if given.layer > Layer::File && !is_file {
                let warning = addition(setting, &given.value, &variable);
                self.warnings.extend(warning);
            }
        }
    }

    pub(super) fn refuse_paths_in_table(
        &mut self,
        prefix: &str,
        table: &Map<String, Value>,
        settings: &[Setting],
    ) {
        for setting in settings.iter().filter(|setting| setting.secret) {
            if !table.get(&setting.name).is_some_and(names_a_file) {
                continue;
            }
            let file = format!("{}_file", setting.name);
            let cure = match settings.iter().any(|setting| setting.name == file) {
                true => format!(": name it in {file}"),
                false => String::new(),
            };
            let name = format!("{prefix}.{}", setting.name);
            self.refuse(&name, format!("is the path of a file{cure}"));
        }
    }
}

/// Whether the value, or an item of a list, is the absolute path of a file that exists.
fn names_a_file(value: &Value) -> bool {
    match value {
        Value::String(text) => text.split(',').map(str::trim).any(is_path),
        Value::Array(items) => items.iter().any(names_a_file),
        _ => false,
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && Path::new(text).is_file()
}

/// Warns about what a variable holds beside the secret: `docker run --env-file` keeps quotation marks
/// and white space.
fn addition(setting: &Setting, value: &Value, variable: &str) -> Option<Warning> {
    let text = value.as_str()?;
    let is_list = accepts(&setting.schema, "array") && !accepts(&setting.schema, "string");
    let is_key = text.contains("-----BEGIN ");
    let is_quoted = |mark| text.len() > 1 && text.starts_with(mark) && text.ends_with(mark);
    let (what, cure) = if is_quoted('"') || is_quoted('\'') {
        (
            "is in quotation marks, which are part of the secret",
            "remove them",
        )
    } else if text != text.trim() && !is_list && !is_key {
        (
            "begins or ends with white space, which is part of the secret",
            "remove it",
        )
    } else {
        return None;
    };
    Some(Warning::new(format!("{variable} {what}"), cure))
}
