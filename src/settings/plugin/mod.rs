//! The plugin's settings in a `settings.py` → the gate's configuration, for whoever moves over.

mod python;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::python::{Assignment, Literal};
use super::Settings;
use super::keys::{KEYS, Key};

/// Reads `source`, the text of `name`, and writes the gate's file of it, with what is to be done about the rest.
///
/// Secrets are not printed: whoever moves a configuration shows it around.
pub fn configuration(
    name: &str,
    source: &str,
    environment: &BTreeMap<String, String>,
) -> Result<String, String> {
    let file = python::read(source).map_err(|why| format!("{name} {why}"))?;
    let settings = of_the_gate(&file.assignments);
    let mut text = format!(
        "# The gate's settings, from {name} as it stands: no Python was run, and variables count as unset.\n\
         # Save it as gate.toml, and start the gate with --config gate.toml.\n"
    );
    write_sections(&mut text, &settings);
    write_notes(
        &mut text,
        "Secrets, which are not printed",
        &secrets(&settings),
    );
    write_notes(
        &mut text,
        "To be settled by hand",
        &unsettled(&file.assignments, &settings),
    );
    write_notes(
        &mut text,
        &format!("To be deleted from {name}"),
        &to_delete(&file),
    );
    write_notes(
        &mut text,
        "What the gate would say to it as it is",
        &judged(&settings, environment),
    );
    Ok(text)
}

/// An assignment that the gate has a setting for.
struct Found<'f> {
    key: &'static Key,
    alias: &'f str,
    assignment: &'f Assignment,
}

/// The last assignment of each name counts, as in Python.
fn of_the_gate(assignments: &[Assignment]) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for key in KEYS {
        let last = assignments
            .iter()
            .rfind(|it| key.aliases.contains(&it.name.as_str()));
        if let Some(assignment) = last {
            found.push(Found {
                key,
                alias: &assignment.name,
                assignment,
            });
        }
    }
    found
}

/// A line each for what the plugin needs and Label Studio doesn't.
fn to_delete(file: &python::File) -> Vec<String> {
    let mentions = (file.mentions.iter()).map(|it| (it.line, format!("{:?}", it.text)));
    let settings = file.assignments.iter();
    let settings = settings
        .filter(|it| is_the_plugins(&it.name))
        .map(|it| (it.line, it.name.clone()));
    let mut lines: Vec<(usize, String)> = mentions.chain(settings).collect();
    lines.sort();
    let lines = lines.into_iter();
    lines
        .map(|(line, what)| format!("line {line}: {what}"))
        .collect()
}

fn is_the_plugins(name: &str) -> bool {
    name.starts_with("JWT_SSO_") || name.starts_with("SSO_")
}

fn write_sections(text: &mut String, settings: &[Found<'_>]) {
    let mut section = "";
    for found in settings.iter().filter(|it| !it.key.secret) {
        let Some(value) = toml(found) else { continue };
        let (its_section, name) = found
            .key
            .name
            .split_once('.')
            .unwrap_or(("", found.key.name));
        if its_section != section {
            section = its_section;
            let _ = write!(text, "\n[{section}]\n");
        }
        let _ = writeln!(
            text,
            "{name} = {value}  # {}, line {}{}",
            found.alias,
            found.assignment.line,
            from_where(found)
        );
    }
}

/// What is to be known about a value that the environment may change.
fn from_where(found: &Found<'_>) -> String {
    let variables = found.assignment.value.as_ref().map(|it| &it.variables);
    let other = variables
        .into_iter()
        .flatten()
        .find(|variable| !found.key.aliases.contains(&variable.as_str()));
    let conditional = match found.assignment.conditional {
        true => "; only under a condition there",
        false => "",
    };
    match (other, variables.is_some_and(|it| !it.is_empty())) {
        (Some(other), _) => format!(
            ", unless {other} is set, which is {} here{conditional}",
            found.alias
        ),
        (None, true) => format!(", unless the variable is set{conditional}"),
        (None, false) => conditional.to_owned(),
    }
}

/// The value as it stands in a file; `None` where there is none.
fn toml(found: &Found<'_>) -> Option<String> {
    match &found.assignment.value.as_ref()?.literal {
        // With the plugin: cookies are not looked at.
        Literal::None if found.key.name == "token.cookie" => Some("\"\"".to_owned()),
        literal => toml_of(literal),
    }
}

fn toml_of(literal: &Literal) -> Option<String> {
    Some(match literal {
        Literal::None => return None,
        Literal::Bool(flag) => flag.to_string(),
        Literal::Int(number) => number.to_string(),
        Literal::Float(number) => number.to_string(),
        // JSON's escapes are TOML's (TOML 1.0, "Basic strings").
        Literal::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Literal::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(toml_of).collect();
            format!("[{}]", items?.join(", "))
        }
    })
}

/// The value as an environment variable has it.
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

fn secrets(settings: &[Found<'_>]) -> Vec<String> {
    let secrets = settings.iter().filter(|it| it.key.secret);
    secrets
        .map(|found| {
            let (alias, line) = (found.alias, found.assignment.line);
            let Some(value) = &found.assignment.value else {
                return format!("line {line}: {alias} is computed: give the gate the value that Label Studio runs with, as {alias} or {alias}_FILE");
            };
            match value.variables.first() {
                Some(variable) if variable == alias => {
                    format!("line {line}: {alias} comes from the variable of that name: give it to the gate as well, or {alias}_FILE")
                }
                Some(variable) => {
                    format!("line {line}: {alias} comes from the variable {variable}: give the gate its value as {alias}, or {alias}_FILE")
                }
                None => {
                    format!("line {line}: {alias} stands in the file: give the gate its value as the variable {alias}, or a file with it as {alias}_FILE")
                }
            }
        })
        .collect()
}

fn unsettled(assignments: &[Assignment], settings: &[Found<'_>]) -> Vec<String> {
    let computed = settings
        .iter()
        .filter(|it| it.assignment.value.is_none() && !it.key.secret);
    let mut notes: Vec<String> = computed
        .map(|found| {
            let (line, alias, name) = (found.assignment.line, found.alias, found.key.name);
            format!("line {line}: {alias} is computed, which only Python can do: write its value as {name}")
        })
        .collect();
    let unknown = assignments.iter().filter(|it| {
        is_the_plugins(&it.name)
            && !KEYS
                .iter()
                .any(|key| key.aliases.contains(&it.name.as_str()))
    });
    notes.extend(unknown.map(|it| {
        format!(
            "line {}: {} is no setting that the gate knows",
            it.line, it.name
        )
    }));
    notes
}

/// What is wrong with these values, the secrets that stand in the file among them. What is missing comes from elsewhere.
fn judged(settings: &[Found<'_>], environment: &BTreeMap<String, String>) -> Vec<String> {
    let mut variables = environment.clone();
    for found in settings {
        let literal = found.assignment.value.as_ref().map(|value| &value.literal);
        if let Some(text) = literal.and_then(plain) {
            variables.insert(found.alias.to_owned(), text);
        }
    }
    match Settings::load(None, &variables) {
        Ok(settings) => settings.warnings(),
        Err(errors) => errors
            .to_string()
            .lines()
            .map(|error| error.trim().to_owned())
            .collect(),
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
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
INSTALLED_APPS += ['label_studio_sso']
MIDDLEWARE += ['label_studio_sso.middleware.JWTAutoLoginMiddleware']
JWT_SSO_SECRET = 'too-short'
JWT_SSO_ALGORITHM = os.getenv('JWT_SSO_ALGORITHM', 'HS512')
JWT_SSO_EMAIL_CLAIM = os.getenv('OUR_CLAIM', 'mail"s')
JWT_SSO_COOKIE_NAME = None
JWT_SSO_USERNAME_CLAIM = None
JWT_SSO_FIRST_NAME_CLAIM = claim('first')
JWT_SSO_SESSION_VERIFY_SECRET = os.environ['VERIFY']
JWT_SSO_SESSION_CACHE_TTL = 60 * 5
JWT_SSO_OTHER = 1
SSO_TOKEN_EXPIRY = 600
SSO_TOKEN_EXPIRY = 1800
if DEBUG:
    SSO_AUTO_CREATE_USERS = True
SECRET_KEY = generate_secret_key_if_missing(BASE_DATA_DIR)
"#;

    #[test]
    fn the_plugins_settings_become_the_gates() {
        let environment = [("SECRET_KEY".to_owned(), "secret-key-".repeat(5))].into();
        let text = configuration("settings.py", SETTINGS, &environment).unwrap();
        let (head, rest) = text.split_once("\n\n").unwrap();
        assert!(head.lines().all(|line| line.starts_with('#')), "{head}");
        assert_eq!(
            rest,
            r#"[token]
cookie = ""  # JWT_SSO_COOKIE_NAME, line 7

[external]
algorithms = "HS512"  # JWT_SSO_ALGORITHM, line 5, unless the variable is set
email_claim = "mail\"s"  # JWT_SSO_EMAIL_CLAIM, line 6, unless OUR_CLAIM is set, which is JWT_SSO_EMAIL_CLAIM here

[client_session]
cache_ttl_seconds = 300  # JWT_SSO_SESSION_CACHE_TTL, line 11

[token_issue]
expires_in = 1800  # SSO_TOKEN_EXPIRY, line 14
create_users = true  # SSO_AUTO_CREATE_USERS, line 16; only under a condition there

# Secrets, which are not printed:
#   line 17: SECRET_KEY is computed: give the gate the value that Label Studio runs with, as SECRET_KEY or SECRET_KEY_FILE
#   line 4: JWT_SSO_SECRET stands in the file: give the gate its value as the variable JWT_SSO_SECRET, or a file with it as JWT_SSO_SECRET_FILE
#   line 10: JWT_SSO_SESSION_VERIFY_SECRET comes from the variable VERIFY: give the gate its value as JWT_SSO_SESSION_VERIFY_SECRET, or JWT_SSO_SESSION_VERIFY_SECRET_FILE

# To be settled by hand:
#   line 9: JWT_SSO_FIRST_NAME_CLAIM is computed, which only Python can do: write its value as external.first_name_claim
#   line 12: JWT_SSO_OTHER is no setting that the gate knows

# To be deleted from settings.py:
#   line 2: "label_studio_sso"
#   line 3: "label_studio_sso.middleware.JWTAutoLoginMiddleware"
#   line 4: JWT_SSO_SECRET
#   line 5: JWT_SSO_ALGORITHM
#   line 6: JWT_SSO_EMAIL_CLAIM
#   line 7: JWT_SSO_COOKIE_NAME
#   line 8: JWT_SSO_USERNAME_CLAIM
#   line 9: JWT_SSO_FIRST_NAME_CLAIM
#   line 10: JWT_SSO_SESSION_VERIFY_SECRET
#   line 11: JWT_SSO_SESSION_CACHE_TTL
#   line 12: JWT_SSO_OTHER
#   line 13: SSO_TOKEN_EXPIRY
#   line 14: SSO_TOKEN_EXPIRY
#   line 16: SSO_AUTO_CREATE_USERS

# What the gate would say to it as it is:
#   external.secret: is shorter than 32 bytes, the least for HS256 (RFC 7518 §3.2): such a secret can be guessed from one token (set in JWT_SSO_SECRET)
"#
        );
        assert!(!text.contains("too-short"));
    }

    #[test]
    fn what_is_printed_is_a_file_that_the_gate_reads() {
        let environment: BTreeMap<String, String> = [
            ("SECRET_KEY".to_owned(), "secret-key-".repeat(5)),
            ("JWT_SSO_SECRET".to_owned(), "shared-secret-".repeat(5)),
        ]
        .into();
        let text = configuration("settings.py", SETTINGS, &environment).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let settings = Settings::load(Some(file.path()), &environment).unwrap();
        assert_eq!(settings.token.cookie, None);
        assert_eq!(settings.token_issue.expires_in.as_secs(), 1800);
        assert!(settings.token_issue.create_users);
    }
}
