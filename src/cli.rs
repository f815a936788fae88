//! The command line: parses arguments, loads the settings and runs a command.
//!
//! Exit status: 0 for success, 1 for failure, 2 if `doctor` found warnings only, 64 for wrong usage
//! or settings (`EX_USAGE` of `sysexits.h`). This module and `commands` turn errors into text.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use crate::commands;
use crate::doctor::{Level, Options, Report};
use crate::settings::types::PublicUrl;
use crate::settings::{LogFormat, SettingErrors, Settings, Source};
use crate::startup::{self, Application, Hangups, ServiceError};
use crate::telemetry::{self, LogOutput, Losses};

/// A command failed.
const FAILURE: u8 = 1;

/// `doctor` found warnings, but nothing that prevents logins.
const WARNINGS: u8 = 2;

/// Wrong usage or settings.
const USAGE: u8 = 64;

/// Single sign-on for an unmodified Label Studio, behind nginx's auth_request.
#[derive(Debug, Parser)]
#[command(name = "label-studio-gate", version, about, max_term_width = 100)]
struct Arguments {
    /// Settings file (TOML). Environment variables take precedence.
    #[arg(long, short, global = true, env = "GATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Configured(Configured),
    /// Check the settings: report every error, or show the values in force
    CheckConfig {
        /// Moved to the program label-studio-gate-import
        #[arg(long, value_name = "FILE", hide = true)]
        from_django: Option<PathBuf>,
    },
    /// Check whether the running service answers, also without its database
    Healthcheck,
    /// Print a completion script
    Completions {
        /// Shell to complete in
        shell: Shell,
    },
    /// Print the manual page; view it with man -l -
    Man,
}

/// The commands that need valid settings.
#[derive(Debug, Subcommand)]
enum Configured {
    /// Run the service (default)
    Serve,
    /// Check everything that a login needs, and say how to fix what is wrong
    ///
    /// Exit status: 0 if all is well, 1 if something prevents logins, 2 if there are warnings only.
    Doctor {
        /// Label Studio's public URL, instead of label_studio.url
        #[arg(long, value_name = "URL", value_parser = public_url)]
        url: Option<Url>,
        /// Log in this user through the public URL, ask Label Studio who it is, and sign out
        #[arg(long, value_name = "EMAIL")]
        email: Option<String>,
        /// Print the findings as JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Create the gate's own tables, needed by token.use = "once" and to revoke tokens and signed
    /// cookies; connect as a role that may create a schema
    Migrate {
        /// Role of the service, which is granted access to the tables
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Delete expired sessions from the database in small batches
    Purge,
    /// Issue a token for a user, to try a login
    Token {
        /// Email address of the user in Label Studio
        #[arg(long)]
        email: String,
    },
    /// Tell whether a token would be accepted, and why
    Inspect {
        /// The token; `-` reads it from standard input, which keeps it out of the process list
        token: String,
        /// Judge it as one that an identity-aware proxy sends in `token.header`
        #[arg(long)]
        header: bool,
    },
}

/// Why a command failed.
enum Failure {
    Settings(SettingErrors),
    Usage(String),
    /// `doctor` has said what is wrong; this is the exit status.
    Reported(u8),
    Other(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// Runs the command in the arguments.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let usage = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if usage { USAGE } else { 0 });
        }
    };
    match run_command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(errors)) => {
            complain(&format!("label-studio-gate: invalid settings\n{errors}"));
            ExitCode::from(USAGE)
        }
        Err(Failure::Usage(why)) => {
            complain(&format!("label-studio-gate: {why}"));
            ExitCode::from(USAGE)
        }
        Err(Failure::Reported(status)) => ExitCode::from(status),
        Err(Failure::Other(why)) => {
            complain(&format!("label-studio-gate: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run_command(arguments: Arguments) -> Result<(), Failure> {
    let read = || Source::read(arguments.config.as_deref(), startup::environment());
    let source = || read().map_err(Failure::Settings);
    let settings = |source: &Source| Settings::of(source).map_err(Failure::Settings);
    let default = Command::Configured(Configured::Serve);
    match arguments.command.unwrap_or(default) {
        Command::Configured(command) => {
            let source = source()?;
            run_configured(command, settings(&source)?, source)?;
        }
        Command::Healthcheck => {
            let address = Settings::health_address(&source()?).map_err(Failure::Settings)?;
            commands::healthcheck(address, Duration::from_secs(3))?;
        }
        Command::CheckConfig {
            from_django: Some(file),
        } => return Err(Failure::Usage(moved_importer(&file))),
        Command::CheckConfig { from_django: None } => {
            let settings = settings(&source()?)?;
            say(settings.describe());
            for warning in settings.warnings() {
                say(&format!("warning: {warning}"));
            }
        }
        Command::Completions { shell } => say(&completions(shell)),
        Command::Man => say(&man_page()?),
    }
    Ok(())
}

fn run_configured(command: Configured, settings: Settings, source: Source) -> Result<(), Failure> {
    let (log, level) = start_log(&settings);
    startup::install_crypto();
    let done = match command {
        Configured::Serve => serve(settings, source, level, log.losses()),
        Configured::Doctor { url, email, json } => {
            let options = Options { url, email };
            let report = on_one_thread(commands::doctor(&settings, &options))?;
            return present(&report, json);
        }
        Configured::Migrate { role } => {
            on_one_thread(commands::migrate(&settings, role.as_deref())).map(|done| say(&done))
        }
        Configured::Purge => on_one_thread(commands::purge(&settings)).map(|done| say(&done)),
        Configured::Token { email } => {
            on_one_thread(commands::issue_token(&settings, &email)).map(|token| say(&token))
        }
        Configured::Inspect { token, header } => read_token(token)
            .and_then(|token| on_one_thread(commands::inspect(&settings, &token, header)))
            .map(|finding| say(&finding)),
    };
    Ok(done?)
}

/// Prints what `doctor` found. What prevents logins is a failure, and so are warnings, with a
/// status of their own.
fn present(report: &Report, json: bool) -> Result<(), Failure> {
    match json {
        true => say(&report.to_json()),
        false => say(&report.to_string()),
    }
    match report.level() {
        Level::Ok | Level::Note => Ok(()),
        Level::Warning => Err(Failure::Reported(WARNINGS)),
        Level::Failure => {
            complain(&format!(
                "label-studio-gate: {} of the checks failed",
                report.failures()
            ));
            Err(Failure::Reported(FAILURE))
        }
    }
}

/// The value of `--url`.
fn public_url(text: &str) -> Result<Url, String> {
    let url = PublicUrl::try_from(text.to_owned());
    url.map(|url| Url::clone(&url))
        .map_err(|error| error.to_string())
}

/// The importer is a separate program, so the service contains no Python parser.
fn moved_importer(file: &Path) -> String {
    format!(
        "--from-django has moved to a separate program; run label-studio-gate-import {}",
        file.display()
    )
}

fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn man_page() -> Result<String, String> {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(Arguments::command()).section("8");
    page.render(&mut text).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn start_log(settings: &Settings) -> (LogOutput, telemetry::Level) {
    let format = match settings.log.format {
        LogFormat::Human => telemetry::Format::Human,
        LogFormat::Json => telemetry::Format::Json,
    };
    let filter = settings.log.level.targets();
    let output = LogOutput::new(std::io::stderr());
    let writer = output.writer();
    let (subscriber, level) = telemetry::subscriber(format, filter, move || writer.clone());
    // Fails only if a subscriber is already installed, which is used then.
    let _ = tracing::subscriber::set_global_default(subscriber);
    (output, level)
}

fn serve(
    settings: Settings,
    source: Source,
    level: telemetry::Level,
    losses: Losses,
) -> Result<(), String> {
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    actix_web::rt::System::new()
        .block_on(async {
            // First, because SIGHUP would end the process.
            let hangups = Hangups::listen().map_err(ServiceError::Hangup)?;
            let application = Application::build(settings).await?;
            let application = application.looking_at_database();
            let application = application.reloading(hangups, source, level);
            application.report_losses(losses);
            application.run_until_stopped().await
        })
        .map_err(|error: ServiceError| error.to_string())
}

fn on_one_thread<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?
        .block_on(work)
}

fn read_token(token: String) -> Result<String, String> {
    if token != "-" {
        return Ok(token);
    }
    std::io::read_to_string(std::io::stdin())
        .map(|text| text.trim().to_owned())
        .map_err(|error| format!("cannot read the token from standard input: {error}"))
}

/// Prints to standard output. A closed pipe is not an error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
}
