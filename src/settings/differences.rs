//! What differs between two sets of settings, so that a reload changes no more than it has to.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::declaration::Setting;

/// A digest of the value of each setting, and of the files that it names.
#[derive(Clone, Default)]
pub struct Fingerprint(BTreeMap<&'static str, [u8; 32]>);

impl Fingerprint {
    /// Adds the value of a setting, as JSON, and the digests of the files that it names.
    pub(super) fn add(&mut self, setting: &'static Setting, value: &str, files: &[[u8; 32]]) {
        let mut digest = Sha256::new();
        digest.update(value);
        digest.update([0]);
        digest.update(files.as_flattened());
        self.0.insert(&setting.name, digest.finalize().into());
    }

    /// The settings that differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let settings = self.0.iter();
        let differing = settings.filter(|(name, digest)| other.0.get(*name) != Some(*digest));
        differing.map(|(name, _)| *name).collect()
    }

    /// Whether every setting of a section is the same.
    pub fn agrees(&self, other: &Self, section: &str) -> bool {
        let is_of_section = |name: &&str| {
            name.strip_prefix(section)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !self.differences(other).iter().any(is_of_section)
    }

    /// The settings that differ from those the service was started with, and that take effect only
    /// at a start.
    pub fn need_restart(&self, started: &Self) -> Vec<&'static str> {
        let differing = self.differences(started).into_iter();
        let needs_restart = |name: &&str| Setting::find(name).is_some_and(|it| it.restart);
        differing.filter(needs_restart).collect()
    }
}

/// Without the digests: a short secret could be guessed from one.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({} settings)", self.0.len())
    }
}
