//! Where values come from: the built-in file, the operator's file, the variables of Label Studio and the plugin, the gate's own.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Format, Map, Source, Value, ValueKind};

use super::keys::{KEYS, Key, find, nearest};
use super::{SettingError, SettingErrors};

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The origin of a value that nobody set.
pub(super) const DEFAULT: &str = "default";

/// Where a value comes from, the one that counts least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The built-in file.
    Default,
    /// The operator's file.
    File,
    /// A variable of Label Studio or of the plugin.
    Alias,
    /// The gate's own variable.
    Own,
}

impl Layer {
    /// The layer of a value of the setting `name` that comes from `origin`.
    pub(super) fn of(name: &'static str, origin: &str) -> Self {
        let variable = origin.strip_suffix("_FILE").unwrap_or(origin);
        let key = find(name);
        if origin == DEFAULT {
            Self::Default
        } else if key.is_some_and(|key| key.variable() == variable) {
            Self::Own
        } else if key.is_some_and(|key| key.aliases.contains(&variable)) {
            Self::Alias
        } else {
            Self::File
        }
    }
}

/// Merges the sources. Each value remembers where it comes from.
pub(super) fn merge(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(Config, SettingErrors), SettingErrors> {
    let mut errors = SettingErrors::default();
    let variables = Variables::read(environment, &mut errors);
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        let name = file.display().to_string();
        match OperatorsFile::read(file) {
            Ok(values) => {
                values.unknown_names(&name, &mut errors);
                builder = builder.add_source(values);
            }
            // Without it nearly every setting would be told to be missing.
            Err(why) => {
                errors.push(SettingError::new(&name, why));
                return Err(errors);
            }
        }
    }
    match builder.add_source(variables).build() {
        Ok(config) => Ok((config, errors)),
        Err(error) => {
            errors.push(SettingError::new("", error.to_string()));
            Err(errors)
        }
    }
}

/// What the operator's file says.
#[derive(Debug, Clone)]
struct OperatorsFile(Map<String, Value>);

impl Source for OperatorsFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl OperatorsFile {
    fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("cannot be read: {e}"))?;
        FileFormat::Toml
            .parse(Some(&file.display().to_string()), &text)
            .map(Self)
            .map_err(|error| {
                // The parser shows the line, and there may be a secret on it: only the place is told.
                let error = error.to_string();
                let place = error.lines().next().unwrap_or_default();
                match place.strip_prefix("TOML parse error at ") {
                    Some(place) => format!("is no TOML: see {place}"),
                    None => "is no TOML: a number is too large".to_owned(),
                }
            })
    }

    /// A name that nobody reads is a mistake: most often a misspelt one, and what was meant is then not in force.
    fn unknown_names(&self, file: &str, errors: &mut SettingErrors) {
        let mut names = Vec::new();
        for (name, value) in &self.0 {
            flatten(name, value, &mut names);
        }
        for (name, is_table) in names {
            let section = format!("{name}.");
            let is_section = KEYS.iter().any(|key| key.name.starts_with(&section));
            if find(&name).is_some() || (is_section && is_table) {
                continue;
            }
            errors.push(if is_section {
                SettingError::new(
                    &name,
                    format!("must be a section: [{name}] (set in {file})"),
                )
            } else {
                let known = KEYS.iter().map(|key| key.name.to_owned());
                SettingError::unknown(&name, file, nearest(&name, known))
            });
        }
    }
}

/// The names of everything below, and of tables that are empty.
fn flatten(prefix: &str, value: &Value, names: &mut Vec<(String, bool)>) {
    match &value.kind {
        ValueKind::Table(table) if !table.is_empty() => {
            for (name, value) in table {
                flatten(&format!("{prefix}.{name}"), value, names);
            }
        }
        kind => names.push((prefix.to_owned(), matches!(kind, ValueKind::Table(_)))),
    }
}

/// What the environment sets: setting, value, and the variable it comes from.
#[derive(Debug, Clone, Default)]
struct Variables(Vec<(&'static str, String, String)>);

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |variable: &String, text: &String| {
            Value::new(Some(variable), ValueKind::String(text.clone()))
        };
        Ok(self
            .0
            .iter()
            .map(|(name, text, variable)| ((*name).to_owned(), value(variable, text)))
            .collect())
    }
}

impl Variables {
    fn read(environment: &BTreeMap<String, String>, errors: &mut SettingErrors) -> Self {
        let mut variables = Self::default();
        let mut known = vec!["GATE_CONFIG".to_owned()];
        for key in KEYS {
            let own = key.variable();
            // The gate's own variable counts as it is; an empty one of the others is one that a compose file passed on unset.
            let value = look_up(key, &own, environment, errors).or_else(|| {
                key.aliases.iter().find_map(|alias| {
                    look_up(key, alias, environment, errors).filter(|(text, _)| !text.is_empty())
                })
            });
            if let Some((text, variable)) = value {
                variables.0.push((key.name, text, variable));
            }
            if key.secret {
                known.push(format!("{own}_FILE"));
            }
            known.push(own);
        }
        // The demo's and the tests' own variables say nothing to the service.
        let others = |name: &str| name.starts_with("GATE_DEMO_") || name.starts_with("GATE_TEST_");
        for name in environment.keys().filter(|name| name.starts_with("GATE_")) {
            if !others(name) && !known.contains(name) {
                let nearest = nearest(name, known.iter().cloned());
                errors.push(SettingError::unknown(name, "the environment", nearest));
            }
        }
        variables
    }
}

/// A variable's value or, for a secret, the content of the file that the variable with `_FILE` names; and which of both it was.
fn look_up(
    key: &Key,
    variable: &str,
    environment: &BTreeMap<String, String>,
    errors: &mut SettingErrors,
) -> Option<(String, String)> {
    let value = environment
        .get(variable)
        .map(|value| (value.clone(), variable.to_owned()));
    let named = format!("{variable}_FILE");
    let file = environment.get(&named).filter(|file| !file.is_empty());
    let (true, Some(file)) = (key.secret, file) else {
        return value;
    };
    if value.as_ref().is_some_and(|(text, _)| !text.is_empty()) {
        let both = format!("{variable} and {named} are both set: only one may be");
        errors.push(SettingError::new(key.name, both));
        return value;
    }
    match std::fs::read_to_string(file) {
        // An editor ends a file with a line feed that is no part of the secret.
        Ok(text) => {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Some((line.strip_suffix('\r').unwrap_or(line).to_owned(), named))
        }
        Err(error) => {
            let unreadable = format!("{named}: cannot read {file}: {error}");
            errors.push(SettingError::new(key.name, unreadable));
            None
        }
    }
}
