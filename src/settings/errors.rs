//! What is wrong with the settings.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    name: String,
    why: String,
}

impl SettingError {
    /// `name` cannot be used as it is set.
    pub(super) fn new(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            why,
        }
    }

    /// Nobody reads `name`.
    pub(super) fn unknown(name: &str, origin: &str, nearest: Option<String>) -> Self {
        let guess = nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"));
        Self::new(name, format!("is no setting (in {origin}){guess}"))
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return f.write_str(&self.why);
        }
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// Everything that is wrong, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    pub(super) fn push(&mut self, error: SettingError) {
        self.0.push(error);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
