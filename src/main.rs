//! The `label-studio-gate` program; [`label_studio_gate::cli`] implements it.

use std::process::ExitCode;

fn main() -> ExitCode {
    label_studio_gate::cli::run()
}
