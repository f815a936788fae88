//! The values that were given, with their origins, and the errors found so far.

mod secrets;
mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) use self::unread::Unread;
use super::convert::{Misfit, as_text};
use super::declaration::Setting;
use super::differences::Fingerprint;
use super::environment::nearest;
use super::files::Files;
use super::{SettingError, SettingErrors, Warning};
use crate::http_client::shown;
use crate::trust;

/// The sources of values. Later ones take precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// The declaration.
    Default,
    /// The operator's file.
    File,
    /// A variable of Label Studio or of the plugin.
    Alias,
    /// The gate's own variable.
    Own,
}

/// A value and where it comes from. It may be a secret, so it has no `Debug`.
struct Given {
    value: Value,
    layer: Layer,
    /// Name of the variable or path of the file.
    origin: String,
}

/// Values that were given, and errors so far. An error does not stop the reading: all of them are
/// reported together.
#[derive(Default)]
pub(super) struct Input {
    given: BTreeMap<String, Given>,
    unusable: BTreeSet<String>,
    pub(super) errors: SettingErrors,
    /// Warnings about single values.
    pub(super) warnings: Vec<Warning>,
    /// The files that were read, other than the settings file.
    pub(super) files: Files,
}

impl Input {
    /// Adds a value. It replaces an earlier value of the same setting.
    pub(super) fn give(&mut self, name: &str, value: Value, layer: Layer, origin: &str) {
        let given = Given {
            value,
            layer,
            origin: origin.to_owned(),
        };
        self.given.insert(name.to_owned(), given);
    }

    /// Reports that the value of a setting could not be read. Nothing else is said about the setting.
    pub(super) fn fail(&mut self, name: &str, why: String) {
        self.errors.push(SettingError::new(name, why));
        self.unusable.insert(name.to_owned());
    }

    /// Whether the value of a setting could not be read, which was reported.
    pub(super) fn is_unusable(&self, name: &str) -> bool {
        self.unusable.contains(name)
    }

    /// Reports that the value of a setting cannot be used. `name` may lead into a table:
    /// `external.issuers[0].secret`.
    pub(super) fn refuse(&mut self, name: &str, why: impl Display) {
        // An unusable value was replaced by the default, and an error about it already reported.
        if self.is_unusable(name) {
            return;
        }
        let setting = name.split('[').next().unwrap_or(name);
        let why = match self.given.get(setting) {
            Some(given) => format!("{why} (set in {})", given.origin),
            None => why.to_string(),
        };
        self.errors.push(SettingError::new(name, why));
    }

    /// The layer that a value comes from.
    pub(super) fn layer(&self, name: &str) -> Layer {
        self.given.get(name).map_or(Layer::Default, |it| it.layer)
    }

    /// Records that `text` is in force instead, because the setting `by` implies it.
    pub(super) fn settle(&mut self, name: &str, text: &str, by: &str) {
        let origin = self.given.get(by).map(|by| (by.layer, by.origin.clone()));
        if let Some((layer, origin)) = origin {
            self.give(name, text.into(), layer, &origin);
        }
    }

    /// Reads all sections. The default is used for a value that does not fit.
    pub(super) fn read<T: DeserializeOwned>(&mut self, settings: &[Setting]) -> T {
        let given = |name: &str| self.given.get(name).map(|given| &given.value);
        let (read, misfits) = deserialize(settings, given);
        for (name, misfit) in misfits {
            self.refuse(&name, misfit);
            self.unusable.insert(name);
        }
        read
    }

    /// Reads one table of a list. The default is used for a value that does not fit.
    pub(super) fn read_table<T: DeserializeOwned>(
        &mut self,
        prefix: &str,
        table: &Map<String, Value>,
        settings: &[Setting],
    ) -> T {
        for name in table.keys() {
            if !settings.iter().any(|setting| setting.name == *name) {
                let known = settings.iter().map(|setting| setting.name.as_str());
                // The path in a file's setting must not become a secret.
                let known = known.filter(|known| Some(*known) != name.strip_suffix("_file"));
                let guess = nearest(name, known).map(|name| format!("; did you mean {name}?"));
                let why = format!("is not a setting{}", guess.unwrap_or_default());
                self.refuse(&format!("{prefix}.{name}"), why);
            }
        }
        let (read, misfits) = deserialize(settings, |name| table.get(name));
        for (name, misfit) in misfits {
            self.refuse(&format!("{prefix}.{name}"), misfit);
        }
        self.refuse_paths_in_table(prefix, table, settings);
        read
    }

    /// Refuses a file from which no trusted certificates can be read when a connection is set up.
    pub(super) fn check_certificates(&mut self, name: &str, file: Option<&Path>) {
        let Some(file) = file else { return };
        // Recorded before it is checked, so that whatever happens in between counts as a change.
        self.files.record(file, std::fs::read(file).ok().as_deref());
        if let Err(error) = trust::verifier(Some(file)) {
            self.refuse(name, error);
        }
    }

    /// A digest of each setting.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for setting in Setting::all() {
            let given = self.given.get(&setting.name).map(|given| &given.value);
            let value = given.and_then(|value| setting.convert(value).ok());
            let value = value.as_ref().unwrap_or(&setting.default);
            let files = self.files.named_in(value);
            fingerprint.add(setting, &value.to_string(), &files);
        }
        fingerprint
    }

    /// A line for each setting: its value, and where it comes from.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for setting in Setting::all() {
            let given = self.given.get(&setting.name);
            let value = as_text(given.map_or(&setting.default, |given| &given.value));
            let value = match (setting.secret, value.is_empty()) {
                (true, true) => "unset".to_owned(),
                (true, false) => "set".to_owned(),
                (false, _) => format!("{:?}", shown(&value)),
            };
            let origin = given.map_or("default", |given| &given.origin);
            let _ = writeln!(text, "{} = {value}  # {origin}", setting.name);
        }
        text
    }
}

/// Reads `T` from the defaults of its settings and from what is given. Each value is tried on its
/// own, so that every error names its setting.
fn deserialize<'v, T: DeserializeOwned>(
    settings: &[Setting],
    given: impl Fn(&str) -> Option<&'v Value>,
) -> (T, Vec<(String, Misfit)>) {
    let mut tree = Value::Null;
    for setting in settings {
        *place(&mut tree, &setting.name) = setting.default.clone();
    }
    let mut misfits = Vec::new();
    for setting in settings {
        let Some(value) = given(&setting.name) else {
            continue;
        };
        let misfit = match setting.convert(value) {
            Ok(value) => {
                *place(&mut tree, &setting.name) = value;
                T::deserialize(&tree).err().map(Misfit::Rejected)
            }
            Err(misfit) => Some(misfit),
        };
        if let Some(misfit) = misfit {
            *place(&mut tree, &setting.name) = setting.default.clone();
            misfits.push((setting.name.clone(), misfit));
        }
    }
    let read =
        T::deserialize(&tree).expect("a test, every_declaration_is_complete, checks defaults");
    (read, misfits)
}

fn place<'t>(tree: &'t mut Value, name: &str) -> &'t mut Value {
    name.split('.').fold(tree, |value, part| &mut value[part])
}
