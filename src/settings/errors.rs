//! Errors in the settings.

use std::fmt;

/// An error in one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    name: String,
    why: String,
}

impl SettingError {
    /// The value of `name` cannot be used.
    pub(super) fn new(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            why,
        }
    }

    /// No setting is called `name`.
    pub(super) fn unknown(name: &str, origin: &str, guess: Option<Guess>) -> Self {
        let guess = guess.map_or_else(String::new, |guess| format!("; {guess}"));
        Self::new(name, format!("is not a setting (in {origin}){guess}"))
    }
}

/// What an unknown name is about.
pub(super) enum Guess {
    /// This name.
    Name(String),
    /// The file with a secret, which the variable of this name with `_FILE` names.
    FileIn(String),
    /// A Service of Kubernetes whose name begins with `gate`. Pods get variables about each Service
    /// of their namespace.
    Service,
}

impl From<&str> for Guess {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "did you mean {name}?"),
            Self::FileIn(variable) => write!(f, "name the file in the variable {variable}_FILE"),
            Self::Service => f.write_str(
                "Kubernetes sets it for a Service: set enableServiceLinks: false in the Pod",
            ),
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// All errors in the settings, one per line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    pub(super) fn push(&mut self, error: SettingError) {
        self.0.push(error);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are some in a section.
    pub(super) fn are_in(&self, section: &str) -> bool {
        let mut names = self.0.iter().map(|error| error.name.split_once('.'));
        names.any(|name| name.is_some_and(|(first, _)| first == section))
    }

    /// Those in the settings with these names.
    pub(super) fn in_any(mut self, names: &[&str]) -> Self {
        self.0.retain(|error| names.contains(&error.name.as_str()));
        self
    }

    /// The errors, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &SettingError> {
        self.0.iter()
    }
}

impl From<SettingError> for SettingErrors {
    fn from(error: SettingError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}
