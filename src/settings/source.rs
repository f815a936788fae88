//! Where settings come from: the text of the settings file, and the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::{self, Environment};
use super::input::Input;
use super::{SettingError, SettingErrors, file};

/// The text of the settings file, and the environment.
///
/// The files that settings name (secrets, keys, certificates) are not part of it: they are read each
/// time settings are made from the source. So a changed secret can take effect without picking up a
/// settings file that an operator is still editing.
#[derive(Clone)]
pub struct Source {
    file: Option<(PathBuf, String)>,
    environment: Environment,
}

impl Source {
    /// Reads the file, if there is one.
    pub fn read(file: Option<&Path>, environment: Environment) -> Result<Self, SettingErrors> {
        let file = match file.map(|path| (path, std::fs::read_to_string(path))) {
            None => None,
            Some((path, Ok(text))) => Some((path.to_owned(), text)),
            Some((path, Err(error))) => {
                let why = format!("cannot be read: {error}");
                let error = SettingError::new(&path.display().to_string(), why);
                return Err(error.into());
            }
        };
        Ok(Self { file, environment })
    }

    /// Reads the file again. The environment of a process does not change.
    pub fn read_again(&self) -> Result<Self, SettingErrors> {
        let file = self.file.as_ref().map(|(path, _)| path.as_path());
        Self::read(file, self.environment.clone())
    }

    /// The variables of the environment.
    pub(super) const fn variables(&self) -> &BTreeMap<String, String> {
        self.environment.variables()
    }

    /// Adds what the file and the environment say to `input`. The error says why the file as a whole
    /// cannot be used.
    pub(super) fn give(&self, input: &mut Input) -> Result<(), SettingError> {
        if let Some((path, text)) = &self.file {
            file::parse(&path.display().to_string(), text, input)?;
        }
        environment::read(&self.environment, input);
        Ok(())
    }
}
