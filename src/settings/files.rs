//! The files, other than the settings file, that the settings were read from: secrets, keys and
//! trusted certificates.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a file's contents; `None`: it cannot be read.
type Contents = Option<[u8; 32]>;

/// Files, with what was in them when they were read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Contents>);

impl Files {
    /// Records that `file` was read, or could not be.
    pub fn record(&mut self, file: &Path, contents: Option<&[u8]>) {
        let digest = contents.map(|bytes| Sha256::digest(bytes).into());
        self.0.insert(file.to_owned(), digest);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same files as they are now. Blocks while they are read.
    pub fn look_again(&self) -> Self {
        let mut now = Self::default();
        for file in self.0.keys() {
            now.record(file, std::fs::read(file).ok().as_deref());
        }
        now
    }

    /// The files whose contents differ from `earlier`.
    pub fn changed_since<'f>(&'f self, earlier: &Self) -> impl Iterator<Item = &'f Path> {
        let files = self.0.iter();
        let changed = files.filter(|(file, contents)| earlier.0.get(*file) != Some(*contents));
        changed.map(|(file, _)| file.as_path())
    }

    /// The digests of the files that a setting's value names, itself or in its lists and tables.
    pub(super) fn named_in(&self, value: &Value) -> Vec<[u8; 32]> {
        let of_all = |values: &mut dyn Iterator<Item = &Value>| {
            values.flat_map(|value| self.named_in(value)).collect()
        };
        match value {
            Value::String(file) => {
                let contents = self.0.get(Path::new(file)).copied().flatten();
                contents.into_iter().collect()
            }
            Value::Array(items) => of_all(&mut items.iter()),
            Value::Object(table) => of_all(&mut table.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }
}

/// Without the digests: a short secret could be guessed from one.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
