//! The files, other than the settings file, that the settings were read from: secrets, keys and
//! trusted certificates.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

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

    /// The digest of a file's contents, if this is one of the files.
    pub(super) fn contents(&self, file: &str) -> Option<&[u8]> {
        self.0
            .get(Path::new(file))?
            .as_ref()
            .map(<[u8; 32]>::as_slice)
    }
}

/// Without the digests: a short secret could be guessed from one.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
