//! Arguments → telemetry → settings → application.

use std::process::ExitCode;

fn main() -> ExitCode {
    label_studio_gate::cli::run()
}
