//! `label-studio-gate-import settings.py > gate.toml`
//!
//! Exit status: 0 for success, 1 if the file cannot be read, 64 for wrong usage (`EX_USAGE` of
//! `sysexits.h`).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use label_studio_gate_import::configuration;

/// Reads the settings of the label-studio-sso plugin from a settings.py and prints them as the
/// configuration of label-studio-gate. No Python is run, and secrets are not printed.
#[derive(Debug, Parser)]
#[command(
    name = "label-studio-gate-import",
    version,
    about,
    max_term_width = 100
)]
struct Arguments {
    /// Label Studio's settings file, such as label_studio/core/settings/label_studio.py
    #[arg(value_name = "FILE")]
    settings: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let usage = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if usage { 64 } else { 0 });
        }
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let name = arguments.settings.display().to_string();
    let source = std::fs::read_to_string(&arguments.settings);
    let configuration = source
        .map_err(|error| format!("{name}: {error}"))
        .and_then(|source| configuration(&name, &source, &environment));
    match configuration {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "label-studio-gate-import: {why}");
            ExitCode::FAILURE
        }
    }
}
