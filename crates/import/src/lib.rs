//! Reads the settings of the `label-studio-sso` plugin from the syntax of a `settings.py` and
//! writes them as the configuration of label-studio-gate, with notes about what is left to do.
//!
//! It is a separate crate because a migration happens once, and the service needs no Python parser.

mod python;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use label_studio_gate::settings::{Setting, Settings, without_effect};

use self::python::{Assignment, Literal};

/// Converts `source`, the text of the file `name`, to the gate's settings file.
///
/// Environment variables in the file count as unset. The result is checked together with
/// `environment`, the variables that the gate would run with. Secrets are not printed, because
/// people share the configurations that they migrate.
///
/// # Errors
///
/// The file and the line that is not Python 3.
pub fn configuration(
    name: &str,
    source: &str,
    environment: &BTreeMap<String, String>,
) -> Result<String, String> {
    let file = python::read(source)
        .map_err(|error| format!("{name} is not Python 3: see line {}", error.line))?;
    let recognized = recognize(&file.assignments);
    let mut text = format!(
        "# Settings of label-studio-gate, read from {name}. No Python was run, and environment\n\
         # variables count as unset. Save it as gate.toml, and start the gate with --config gate.toml.\n"
    );
    write_sections(&mut text, &recognized);
    write_engine(&mut text, &recognized);
    let to_do = to_do(&file.assignments, &recognized);
    let to_delete = to_delete(&file);
    for (title, notes) in [
        ("Secrets, which are not printed", secrets(&recognized)),
        ("To do by hand", to_do),
        (&format!("To delete from {name}"), to_delete),
        (
            "What the gate says about these settings",
            verdict(&recognized, environment),
        ),
    ] {
        write_notes(&mut text, title, &notes);
    }
    Ok(text)
}

/// An assignment that corresponds to a setting of the gate.
struct Recognized<'f> {
    setting: &'static Setting,
    alias: &'f str,
    assignment: &'f Assignment,
    /// The value is a secret of the file, or contains one, though the setting is none.
    holds_secret: bool,
}

impl Recognized<'_> {
    /// The value, if it is known and may be printed.
    fn literal(&self) -> Option<&Literal> {
        let value = self.assignment.value.as_ref()?;
        (!self.holds_secret).then_some(&value.literal)
    }
}

/// The last assignment of each name counts, as in Python.
fn recognize(assignments: &[Assignment]) -> Vec<Recognized<'_>> {
    let secrets = secret_texts(assignments);
    let settings = Setting::all().iter();
    settings
        .filter_map(|setting| {
            let is_alias = |it: &&Assignment| setting.aliases.contains(&it.name);
            let assignment = assignments.iter().rfind(is_alias)?;
            let text = text_of(assignment).unwrap_or_default();
            let holds_secret = secrets.iter().any(|secret| text.contains(secret));
            Some(Recognized {
                setting,
                alias: &assignment.name,
                assignment,
                holds_secret: holds_secret && !setting.secret,
            })
        })
        .collect()
}

/// The secrets in the file, also those that a later assignment replaces.
fn secret_texts(assignments: &[Assignment]) -> Vec<String> {
    let is_secret = |it: &&Assignment| {
        let mut settings = Setting::all().iter().filter(|setting| setting.secret);
        settings.any(|setting| setting.aliases.contains(&it.name))
    };
    let secrets = assignments.iter().filter(is_secret).filter_map(text_of);
    secrets.filter(|text| !text.is_empty()).collect()
}

/// A note for every line that only the plugin needs.
fn to_delete(file: &python::File) -> Vec<String> {
    let mentions = (file.mentions.iter()).map(|it| (it.line, format!("{:?}", it.text)));
    let assignments = file.assignments.iter();
    let assignments = assignments
        .filter(|it| is_of_plugin(&it.name))
        .map(|it| (it.line, it.name.clone()));
    let mut lines: Vec<(usize, String)> = mentions.chain(assignments).collect();
    lines.sort();
    let lines = lines.into_iter();
    lines
        .map(|(line, what)| format!("line {line}: {what}"))
        .collect()
}

fn is_of_plugin(name: &str) -> bool {
    name.starts_with("JWT_SSO_") || name.starts_with("SSO_")
}

fn write_sections(text: &mut String, recognized: &[Recognized<'_>]) {
    let mut current = "";
    for found in recognized.iter().filter(|it| !it.setting.secret) {
        let (Some(value), Some((section, field))) =
            (toml(found), found.setting.name.split_once('.'))
        else {
            continue;
        };
        if section != current {
            current = section;
            let _ = write!(text, "\n[{section}]\n");
        }
        let (alias, line) = (found.alias, found.assignment.line);
        let caveat = caveat(found);
        let _ = writeln!(text, "{field} = {value}  # {alias}, line {line}{caveat}");
    }
}

/// The session engine, if the file does not set it. The gate's default is not that of Label Studio,
/// whose own settings module sets signed cookies and is imported by most others.
fn write_engine(text: &mut String, recognized: &[Recognized<'_>]) {
    if recognized
        .iter()
        .any(|it| it.setting.name == "session.engine")
    {
        return;
    }
    let section = match recognized
        .iter()
        .any(|it| it.setting.name.starts_with("session."))
    {
        // The lines of a table stand together.
        true => "# In the section above, or as SESSION_ENGINE:\n# ",
        false => "[session]\n",
    };
    let _ = write!(
        text,
        "\n# SESSION_ENGINE is not set in this file. This is what Label Studio runs with as shipped\n\
         # (core/settings/label_studio.py). With a settings module that imports core.settings.base only, it is\n\
         # django.contrib.sessions.backends.db.\n\
         {section}engine = \"django.contrib.sessions.backends.signed_cookies\"\n"
    );
}

/// The conditions under which the value differs.
fn caveat(found: &Recognized<'_>) -> String {
    let variables = found.assignment.value.as_ref().map(|it| &it.variables);
    let other = variables
        .into_iter()
        .flatten()
        .find(|variable| !found.setting.aliases.contains(variable));
    let conditional = match found.assignment.conditional {
        true => "; only under a condition there",
        false => "",
    };
    match (other, variables.is_some_and(|it| !it.is_empty())) {
        (Some(other), _) => format!(
            ", unless {other} is set, which the gate reads as {}{conditional}",
            found.alias
        ),
        (None, true) => format!(", unless the variable is set{conditional}"),
        (None, false) => conditional.to_owned(),
    }
}

/// The value in TOML; `None`: there is none.
fn toml(found: &Recognized<'_>) -> Option<String> {
    match found.literal()? {
        // With None, the plugin ignores cookies.
        Literal::None if found.setting.name == "token.cookie" => Some("\"\"".to_owned()),
        literal => toml_of(literal),
    }
}

fn toml_of(literal: &Literal) -> Option<String> {
    Some(match literal {
        Literal::None => return None,
        Literal::Bool(flag) => flag.to_string(),
        Literal::Int(number) => number.to_string(),
        Literal::Float(number) => number.to_string(),
        // TOML has the same escapes as JSON (TOML 1.0, "Basic strings").
        Literal::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Literal::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(toml_of).collect();
            format!("[{}]", items?.join(", "))
        }
    })
}

/// The value of an assignment as an environment variable would hold it.
fn text_of(assignment: &Assignment) -> Option<String> {
    plain(&assignment.value.as_ref()?.literal)
}

fn plain(literal: &Literal) -> Option<String> {
    Some(match literal {
        Literal::None => return None,
        Literal::Text(text) => text.clone(),
        Literal::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(plain).collect();
            items?.join(",")
        }
        Literal::Bool(_) | Literal::Int(_) | Literal::Float(_) => toml_of(literal)?,
    })
}

fn secrets(recognized: &[Recognized<'_>]) -> Vec<String> {
    let secrets = recognized.iter().filter(|it| it.setting.secret);
    secrets
        .map(|found| {
            let (alias, line) = (found.alias, found.assignment.line);
            let origin = match &found.assignment.value {
                None => format!(
                    "is computed: give the gate the value that Label Studio runs with, as {alias}"
                ),
                Some(value) => match value.variables.first() {
                    Some(variable) if variable == alias => {
                        "comes from the variable of that name: give it to the gate as well"
                            .to_owned()
                    }
                    Some(variable) => format!(
                        "comes from the variable {variable}: give the gate its value as {alias}"
                    ),
                    None => {
                        format!("is in the file: give the gate its value as the variable {alias}")
                    }
                },
            };
            format!("line {line}: {alias} {origin}, or in a file that {alias}_FILE names")
        })
        .collect()
}

fn to_do(assignments: &[Assignment], recognized: &[Recognized<'_>]) -> Vec<String> {
    let left_out = recognized
        .iter()
        .filter(|it| it.literal().is_none() && !it.setting.secret);
    let mut notes: Vec<String> = left_out
        .map(|found| {
            let (line, alias) = (found.assignment.line, found.alias);
            let name = &found.setting.name;
            let why = match found.holds_secret {
                true => "holds a secret of this file, which is not printed",
                false => "is computed",
            };
            format!("line {line}: {alias} {why}: set {name} to its value")
        })
        .collect();
    let named = assignments.iter();
    notes.extend(named.filter_map(|it| {
        let (line, name) = (it.line, &it.name);
        let instead = without_effect(name)?;
        Some(format!(
            "line {line}: {name} has no effect in an unmodified Label Studio: {instead}"
        ))
    }));
    let is_known = |name| Setting::all().iter().any(|it| it.aliases.contains(name));
    let unknown = assignments
        .iter()
        .filter(|it| is_of_plugin(&it.name) && !is_known(&it.name));
    notes.extend(unknown.map(|it| {
        let (line, name) = (it.line, &it.name);
        format!("line {line}: {name} is unknown to the gate")
    }));
    notes
}

/// The gate's errors or warnings about the values, including secrets in the file, together with
/// the environment.
fn verdict(recognized: &[Recognized<'_>], environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut variables = environment.clone();
    for found in recognized {
        if let Some(text) = found.literal().and_then(plain) {
            variables.insert(found.alias.to_owned(), text);
        }
    }
    match Settings::load(None, &variables) {
        Ok(settings) => {
            let warnings = settings.warnings();
            warnings.iter().map(ToString::to_string).collect()
        }
        Err(errors) => {
            let errors = errors.to_string();
            errors
                .lines()
                .map(|error| error.trim().to_owned())
                .collect()
        }
    }
}

fn write_notes(text: &mut String, title: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let _ = write!(text, "\n# {title}:\n");
    for note in notes {
        let _ = writeln!(text, "#   {note}");
    }
}

#[cfg(test)]
mod tests;
