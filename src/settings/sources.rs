//! Where values come from: the built-in file, the operator's file, the variables of Label Studio and the plugin, the gate's own.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::keys::{KEYS, Key, find, nearest};
use super::{SettingError, SettingErrors};

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The origin of a value that nobody set.
pub(super) const DEFAULT: &str = "default";

/// Merges the sources. Each value remembers where it comes from.
pub(super) fn merge(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(Config, SettingErrors), SettingErrors> {
    let mut errors = SettingErrors::default();
    let variables = Variables::read(environment, &mut errors);
    let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        builder = builder.add_source(File::from(file).format(FileFormat::Toml).required(true));
        unknown_names(file, &mut errors);
    }
    match builder.add_source(variables).build() {
        Ok(config) => Ok((config, errors)),
        Err(error) => {
            let name = file.map_or_else(String::new, |file| file.display().to_string());
            errors.push(SettingError::new(&name, error.to_string()));
            Err(errors)
        }
    }
}

/// A name that nobody reads is a mistake: most often a misspelt one, and what was meant is then not in force.
fn unknown_names(file: &Path, errors: &mut SettingErrors) {
    let source = File::from(file).format(FileFormat::Toml).required(true);
    let Ok(config) = Config::builder().add_source(source).build() else {
        return; // said by `merge`
    };
    let mut names = Vec::new();
    flatten("", &config.cache, &mut names);
    for name in names.iter().filter(|name| find(name).is_none()) {
        let known = KEYS.iter().map(|key| key.name.to_owned());
        errors.push(SettingError::unknown(
            name,
            &file.display().to_string(),
            nearest(name, known),
        ));
    }
}

fn flatten(prefix: &str, value: &Value, names: &mut Vec<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{name}"), value, names);
            }
        }
        _ => names.push(prefix.to_owned()),
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
            let own_value = look_up(key, &own, environment, errors);
            let value = own_value.map(|text| (text, own.clone())).or_else(|| {
                key.aliases.iter().find_map(|alias| {
                    look_up(key, alias, environment, errors)
                        .filter(|text| !text.is_empty())
                        .map(|text| (text, (*alias).to_owned()))
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

/// A variable's value or, for a secret, the content of the file that the variable with `_FILE` names.
fn look_up(
    key: &Key,
    variable: &str,
    environment: &BTreeMap<String, String>,
    errors: &mut SettingErrors,
) -> Option<String> {
    let value = environment.get(variable).cloned();
    let named = format!("{variable}_FILE");
    let file = environment.get(&named).filter(|file| !file.is_empty());
    let (true, Some(file)) = (key.secret, file) else {
        return value;
    };
    if value.as_ref().is_some_and(|value| !value.is_empty()) {
        let both = format!("{variable} and {named} are both set: only one may be");
        errors.push(SettingError::new(key.name, both));
        return value;
    }
    match std::fs::read_to_string(file) {
        // An editor ends a file with a line feed that is no part of the secret.
        Ok(text) => Some(
            text.strip_suffix('\n')
                .map(|text| text.strip_suffix('\r').unwrap_or(text))
                .unwrap_or(&text)
                .to_owned(),
        ),
        Err(error) => {
            let unreadable = format!("{named}: cannot read {file}: {error}");
            errors.push(SettingError::new(key.name, unreadable));
            None
        }
    }
}
