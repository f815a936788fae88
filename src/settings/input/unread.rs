//! Settings that are given, and that nothing reads.

use super::super::Warning;
use super::super::declaration::Setting;
use super::{Given, Input, Layer};

/// Why nothing reads some settings of a section.
#[derive(Clone, Copy)]
pub(in crate::settings) enum Unread {
    /// What they are about is off, because another setting is missing.
    Off(&'static str),
    /// Each table of this list has its own.
    Beside(&'static str),
}

impl Unread {
    /// A variable of the plugin is only warned about: one `.env` serves several services. So is what
    /// `label-studio-gate-import` writes, unless somebody could believe that it holds for tables.
    const fn is_forgiven(self, setting: &Setting, layer: Layer) -> bool {
        match (self, layer) {
            (_, Layer::Alias) => true,
            (Self::Off(_), Layer::File) => !setting.aliases.is_empty(),
            _ => false,
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off(missing) => write!(f, "has no effect without {missing}"),
            Self::Beside(list) => {
                write!(f, "has no effect beside {list}: write it in each table")
            }
        }
    }
}

impl Input {
    /// Refuses settings of `section` that are given although nothing reads them: an operator would
    /// believe that they keep somebody out. A value that is the default asks for nothing.
    pub(in crate::settings) fn refuse_unread(
        &mut self,
        section: &str,
        settings: &[Setting],
        why: Unread,
    ) {
        for setting in settings {
            let name = format!("{section}.{}", setting.name);
            let Some(Given { layer, origin, .. }) = self.given_beyond_default(&name, setting)
            else {
                continue;
            };
            if why.is_forgiven(setting, *layer) {
                let warning = format!("{name}: {why} (set in {origin})");
                self.warnings.push(Warning::from(warning));
            } else {
                self.refuse(&name, why);
            }
        }
    }

    /// What is given for a setting, if it differs from the default.
    fn given_beyond_default(&self, name: &str, setting: &Setting) -> Option<&Given> {
        let given = self.given.get(name)?;
        let value = setting.convert(&given.value).ok()?;
        (value != setting.default).then_some(given)
    }
}
