//! The result of the checks: findings as values, and their rendering as text.

use std::fmt;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The check passed.
    Ok,
    /// The check could not be made, or something is worth knowing.
    Note,
    /// Logins work, but something is probably not intended.
    Warning,
    /// Logins do not work.
    Failure,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// The results of all checks, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// The findings, in the order of the checks.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many checks failed.
    pub fn failures(&self) -> usize {
        let failures = self.findings.iter();
        failures.filter(|it| it.level == Level::Failure).count()
    }

    pub(super) fn ok(&mut self, what: impl Into<String>) {
        self.push(Level::Ok, what.into(), None);
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        self.push(Level::Note, what.into(), None);
    }

    pub(super) fn warn(&mut self, what: impl Into<String>, cure: &str) {
        self.push(Level::Warning, what.into(), Some(cure.to_owned()));
    }

    pub(super) fn fail(&mut self, what: impl Into<String>, cure: &str) {
        self.push(Level::Failure, what.into(), Some(cure.to_owned()));
    }

    fn push(&mut self, level: Level, what: String, cure: Option<String>) {
        self.findings.push(Finding { level, what, cure });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Note => "note",
            Level::Warning => "WARN",
            Level::Failure => "FAIL",
        };
        write!(f, "{level}  {}", self.what)?;
        match &self.cure {
            Some(cure) => write!(f, "\n      {cure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_rendered_with_their_cure() {
        let mut report = Report::default();
        report.ok("settings");
        report.fail("Postgres does not answer", "start it");
        assert_eq!(
            report.to_string(),
            "ok    settings\nFAIL  Postgres does not answer\n      start it\n"
        );
        assert_eq!(report.failures(), 1);
    }
}
