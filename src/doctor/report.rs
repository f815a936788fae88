//! The result of the checks: findings as values, and their rendering as text and as JSON.

use std::fmt;

use serde::Serialize;

use super::Check;

/// The form of [`Report::to_json`]. It changes if a field is removed or means something else.
const FORMAT: u32 = 1;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: Check,
    /// How serious it is.
    pub level: Level,
    /// What was found.
    #[serde(rename = "message")]
    pub what: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// The results of all checks, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

/// What `doctor --json` prints.
#[derive(Serialize)]
struct Document<'r> {
    format: u32,
    version: &'static str,
    level: Level,
    findings: &'r [Finding],
}

impl Report {
    /// The findings, in the order of the checks.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The level of the most serious finding.
    pub fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// How many findings are failures.
    pub fn failures(&self) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.level == Level::Failure)
            .count()
    }

    /// The report for scripts: one object (`docs/doctor.md`).
    pub fn to_json(&self) -> String {
        let document = Document {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            level: self.level(),
            findings: &self.findings,
        };
        serde_json::to_string_pretty(&document).expect("texts can be written as JSON")
    }

    /// Whether this check has failed.
    pub(super) fn has_failed(&self, check: Check) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.check == check && finding.level == Level::Failure)
    }

    pub(super) fn ok(&mut self, check: Check, what: impl Into<String>) {
        self.push(check, Level::Ok, what.into(), None);
    }

    pub(super) fn note(&mut self, check: Check, what: impl Into<String>) {
        self.push(check, Level::Note, what.into(), None);
    }

    /// A note that says what to do about it, if the operator wants to.
    pub(super) fn advise(
        &mut self,
        check: Check,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.push(check, Level::Note, what.into(), Some(cure.into()));
    }

    pub(super) fn warn(&mut self, check: Check, what: impl Into<String>, cure: impl Into<String>) {
        self.push(check, Level::Warning, what.into(), Some(cure.into()));
    }

    pub(super) fn fail(&mut self, check: Check, what: impl Into<String>, cure: impl Into<String>) {
        self.push(check, Level::Failure, what.into(), Some(cure.into()));
    }

    fn push(&mut self, check: Check, level: Level, what: String, cure: Option<String>) {
        self.findings.push(Finding {
            check,
            level,
            what,
            cure,
        });
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

    fn report() -> Report {
        let mut report = Report::default();
        report.ok(Check::Settings, "settings");
        report.fail(
            Check::DatabaseConnection,
            "Postgres does not answer",
            "start it",
        );
        report
    }

    #[test]
    fn findings_are_rendered_with_their_cure() {
        assert_eq!(
            report().to_string(),
            "ok    settings\nFAIL  Postgres does not answer\n      start it\n"
        );
        assert_eq!(report().failures(), 1);
    }

    #[test]
    fn the_most_serious_finding_is_the_level_of_the_report() {
        let mut report = Report::default();
        assert_eq!(report.level(), Level::Ok);
        report.note(Check::Settings, "");
        assert_eq!(report.level(), Level::Note);
        report.warn(Check::Settings, "", "");
        report.ok(Check::Settings, "");
        assert_eq!(report.level(), Level::Warning);
        report.fail(Check::Settings, "", "");
        assert_eq!(report.level(), Level::Failure);
    }

    /// Scripts read these names.
    #[test]
    fn the_form_of_the_json_is_stable() {
        let json: serde_json::Value =
            serde_json::from_str(&report().to_json()).expect("it is JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "format": 1,
                "version": env!("CARGO_PKG_VERSION"),
                "level": "failure",
                "findings": [
                    {"check": "settings", "level": "ok", "message": "settings", "cure": null},
                    {
                        "check": "database.connection",
                        "level": "failure",
                        "message": "Postgres does not answer",
                        "cure": "start it",
                    },
                ],
            })
        );
    }

    #[test]
    fn every_check_is_documented_under_its_name() {
        let document = include_str!("../../docs/doctor.md");
        let rows: Vec<&str> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter(|(name, _)| name.contains('.') || *name == "settings")
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&str> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(rows, names);
        for check in Check::ALL {
            let row = format!("| `{}` | {} |", check.name(), check.explanation());
            assert!(document.contains(&row), "{row}");
        }
    }
}
