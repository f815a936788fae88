//! Environment variables: the gate's own, and those of Label Studio and the plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::SettingError;
use super::declaration::Setting;
use super::errors::Guess;
use super::input::{Input, Layer};

/// Prefixes of the plugin's variables.
const PLUGIN_PREFIXES: [&str; 2] = ["JWT_SSO_", "SSO_TOKEN_"];

/// The variables of a process. They may hold secrets, so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The names of those that are not UTF-8.
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// The variables that are UTF-8.
    pub(super) const fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.variables.keys().chain(&self.unreadable)
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(all: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in all {
            // No setting has a name that is not UTF-8, so none gets this value.
            let name = name.to_string_lossy().into_owned();
            if let Ok(value) = value.into_string() {
                environment.variables.insert(name, value);
            } else {
                environment.unreadable.insert(name);
            }
        }
        environment
    }
}

impl From<BTreeMap<String, String>> for Environment {
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self {
            variables,
            unreadable: BTreeSet::new(),
        }
    }
}

/// Reads `environment` into `input`.
pub(super) fn read(environment: &Environment, input: &mut Input) {
    refuse_unreadable(environment, input);
    read_settings(&environment.variables, input);
    let known = known_variables();
    // The demo and the tests have variables of their own.
    let others = |name: &str| name.starts_with("GATE_DEMO_") || name.starts_with("GATE_TEST_");
    for name in environment.names().filter(|name| name.starts_with("GATE_")) {
        if !others(name) && !known.contains(name) {
            let value = environment.variables.get(name).map_or("", String::as_str);
            let meant = meant(name, value, &known);
            input
                .errors
                .push(SettingError::unknown(name, "the environment", meant));
        }
    }
}

/// What was probably meant by an unknown variable of the gate.
fn meant(name: &str, value: &str, known: &[String]) -> Option<Guess> {
    if is_of_service(name, value) {
        return Some(Guess::Service);
    }
    // A name of Label Studio or the plugin, with the gate's prefix.
    let without_prefix = name.strip_prefix("GATE_").filter(|rest| {
        let mut known = known.iter();
        known.any(|known| known == rest)
    });
    let nearest = || nearest(name, known.iter().map(String::as_str));
    without_prefix.or_else(nearest).map(Guess::from)
}

/// Whether Kubernetes sets such a variable for a Service (`SVC_SERVICE_HOST`, `SVC_SERVICE_PORT_NAME`,
/// and Docker's `SVC_PORT_8090_TCP_ADDR`).
fn is_of_service(name: &str, value: &str) -> bool {
    let links = ["tcp://", "udp://", "sctp://"];
    let is_of_port = name.split_once("_PORT_").is_some_and(|(_, port)| {
        port.starts_with(|first: char| first.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"].iter().any(|it| port.contains(it))
    });
    is_of_port
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && links.iter().any(|link| value.starts_with(link)))
}

/// A setting would silently have another value than the one that was meant for it.
fn refuse_unreadable(environment: &Environment, input: &mut Input) {
    for setting in Setting::all() {
        for name in variables_of(setting) {
            if environment.unreadable.contains(&name) {
                input.fail(&setting.name, format!("{name} is not UTF-8"));
            }
        }
    }
}

fn read_settings(environment: &BTreeMap<String, String>, input: &mut Input) {
    for setting in Setting::all() {
        let own = setting.variable();
        if let Some((text, origin)) = look_up(setting, &own, environment, input) {
            input.give(&setting.name, text.into(), Layer::Own, &origin);
            continue;
        }
        let mut aliases = setting.aliases.iter();
        let alias = aliases.find_map(|alias| {
            let found = look_up(setting, alias, environment, input);
            found.filter(|(text, _)| setting.empty_alias || !text.is_empty())
        });
        if let Some((text, origin)) = alias {
            input.give(&setting.name, text.into(), Layer::Alias, &origin);
        }
    }
}

/// Warnings about variables that look like the plugin's but are unknown. They are not errors,
/// because other software may read them.
pub(super) fn misspelled(environment: &BTreeMap<String, String>) -> Vec<String> {
    let known = known_variables();
    let is_plugins = |name: &str| PLUGIN_PREFIXES.iter().any(|it| name.starts_with(it));
    let unknown = environment.keys();
    unknown
        .filter(|name| is_plugins(name) && !known.contains(name))
        .map(|name| {
            let nearest = nearest(name, known.iter().map(String::as_str));
            SettingError::unknown(name, "the environment", nearest.map(Guess::from)).to_string()
        })
        .collect()
}

fn known_variables() -> Vec<String> {
    // The path in it may be any bytes.
    let config = std::iter::once("GATE_CONFIG".to_owned());
    config
        .chain(Setting::all().iter().flat_map(variables_of))
        .collect()
}

/// The names of the variables of a setting.
fn variables_of(setting: &Setting) -> Vec<String> {
    let mut names = setting.aliases.clone();
    names.push(setting.variable());
    if setting.secret {
        let files: Vec<_> = names.iter().map(|name| format!("{name}_FILE")).collect();
        names.extend(files);
    }
    names
}

/// The known name that is most similar to `unknown`, if any is similar.
pub(super) fn nearest<'k>(unknown: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .map(|(_, name)| name)
}

/// The value of a variable or, for a secret, the content of the file that the variable with `_FILE`
/// names; and the name of the variable that it comes from.
fn look_up(
    setting: &Setting,
    variable: &str,
    environment: &BTreeMap<String, String>,
    input: &mut Input,
) -> Option<(String, String)> {
    let value = environment.get(variable);
    let value = value.map(|value| (value.clone(), variable.to_owned()));
    let with_file = format!("{variable}_FILE");
    let file = environment.get(&with_file).filter(|file| !file.is_empty());
    let (true, Some(file)) = (setting.secret, file) else {
        return value;
    };
    let read = input.read_secret(file, setting.empty_file);
    if value.as_ref().is_some_and(|(text, _)| !text.is_empty()) {
        let why = format!("{variable} and {with_file} are both set: only one may be");
        input.errors.push(SettingError::new(&setting.name, why));
        return value;
    }
    match read {
        // Editors end files with a line feed, which is not part of the secret.
        Ok(text) => {
            let line = text.strip_suffix('\n').unwrap_or(&text);
            let line = line.strip_suffix('\r').unwrap_or(line);
            Some((line.to_owned(), with_file))
        }
        Err(why) => {
            input.fail(&setting.name, format!("{with_file}: {why}"));
            None
        }
    }
}
