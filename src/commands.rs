//! The commands other than `serve`. Each returns the text to print, or why it failed.

use std::cell::RefCell;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::doctor;
use crate::gate::Inspected;
use crate::gate::clock::Clock as _;
use crate::gate::credential::Credential;
use crate::gate::issue::IssueError;
use crate::gate::observer::{Change, Observer};
use crate::settings::Settings;
use crate::startup::{self, Backend, Services, SystemClock};

fn connect(settings: &Settings) -> Result<Backend, String> {
    Backend::connect(settings).map_err(|error| error.to_string())
}

/// `doctor`: checks everything that a login needs.
pub(crate) async fn doctor(
    settings: &Settings,
    options: &doctor::Options,
) -> Result<doctor::Report, String> {
    let backend = connect(settings)?;
    Ok(doctor::check(settings, &backend.postgres, options, SystemClock.now()).await)
}

/// `migrate`: creates the gate's own tables.
pub(crate) async fn migrate(settings: &Settings, role: Option<&str>) -> Result<String, String> {
    let backend = connect(settings)?;
    let failed = |_| "could not create the tables: see the log line above".to_owned();
    let deletes_audit_events = settings.audit.kept_days().is_some();
    let postgres = &backend.postgres;
    let migrated = postgres.migrate(role, deletes_audit_events).await;
    migrated.map_err(failed)?;
    let roles = postgres.own_table_roles().await.map_err(failed)?;
    Ok(match roles.as_slice() {
        [] => "the gate's own tables exist; no other role may use them: unless the gate connects \
               as their owner, every login fails until you run label-studio-gate migrate --role \
               ROLE with the gate's role"
            .to_owned(),
        roles => format!(
            "the gate's own tables exist; roles that may use them: {}",
            roles.join(", ")
        ),
    })
}

/// `purge`: deletes expired sessions.
pub(crate) async fn purge(settings: &Settings) -> Result<String, String> {
    let backend = connect(settings)?;
    let done = match backend.postgres.purge().await {
        Ok(Some(sessions)) => format!("deleted {sessions} expired sessions"),
        Ok(None) => "another gate is deleting expired sessions".to_owned(),
        Err(outage) => return Err(format!("could not delete expired sessions: {outage}")),
    };
    match startup::purge_audit(&backend.postgres, settings.audit.kept_days()).await {
        Ok(0) => Ok(done),
        Ok(events) => Ok(format!("{done}\ndeleted {events} old audit events")),
        Err(outage) => Err(format!(
            "{done}\ncould not delete old audit events: {outage}"
        )),
    }
}

/// `token`: issues a token for a user, as the token route does for an administrator.
pub(crate) async fn issue_token(settings: &Settings, email: &str) -> Result<String, String> {
    let backend = connect(settings)?;
    let issuer = startup::issuer(settings, &backend, Arc::new(SystemClock));
    match issuer.issue_as_operator(email, &Steps::default()).await {
        Ok(issued) => Ok(issued.token),
        Err(IssueError::User { reason, .. }) => Err(format!("{email}: {}", reason.explanation())),
        Err(IssueError::Outage(outage)) => Err(format!("could not issue a token: {outage}")),
        Err(
            IssueError::InvalidCredential
            | IssueError::LegacyTokensDisabled { .. }
            | IssueError::JwtTokensDisabled
            | IssueError::NotAdmin { .. }
            | IssueError::NotSuperuser { .. },
        ) => Err(format!(
            "{email}: only an administrator may ask for this token"
        )),
    }
}

/// `inspect`: tells whether a token would be accepted, and why: which methods and keys were tried,
/// what they expect, and what the token holds. With `in_header`, it is judged as a token in
/// `token.header`.
pub(crate) async fn inspect(
    settings: &Settings,
    token: &str,
    in_header: bool,
) -> Result<String, String> {
    if in_header && settings.token.header.is_none() {
        return Err("token.header is not set".to_owned());
    }
    let credential = match in_header {
        true => Credential::Asserted(token),
        false => Credential::Token(token.into()),
    };
    let backend = connect(settings)?;
    let clock = Arc::new(SystemClock);
    let services = Services::connect(settings).map_err(|error| error.to_string())?;
    let gate = startup::gate(settings, &backend, &services, clock);
    let steps = Steps::default();
    let finding = match gate.inspect(&credential, &steps).await {
        Ok(Inspected::Known { user, method }) => Ok(format!(
            "accepted ({}): logs in user {} ({})",
            method.as_str(),
            user.id(),
            user.email()
        )),
        Ok(Inspected::New { method }) => Ok(format!(
            "accepted ({}): creates an account, because the user has none yet",
            method.as_str()
        )),
        Ok(Inspected::Refused(reason)) => {
            Err(format!("{}: {}", reason.code(), reason.explanation()))
        }
        Err(outage) => Err(format!("cannot check the token: {outage}")),
    };
    let explained = |headline| format!("{headline}{steps}");
    finding.map(explained).map_err(explained)
}

/// What the gate did for a command.
#[derive(Default)]
struct Steps(RefCell<Vec<String>>);

impl Observer for Steps {
    fn wants_steps(&self) -> bool {
        true
    }

    fn step(&self, step: fmt::Arguments<'_>) {
        self.0.borrow_mut().push(step.to_string());
    }

    fn changed(&self, change: Change) {
        self.step(format_args!("{change:?}"));
    }
}

/// A line for each step.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.0.borrow();
        steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
    }
}

/// `healthcheck`: asks the service at `address` whether its process works.
///
/// Not whether it is ready: engines stop and replace what is unhealthy, and an outage of Postgres
/// would take down every gate.
pub(crate) fn healthcheck(address: SocketAddr, limit: Duration) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    // An unspecified address (0.0.0.0, ::) is no destination; use the loopback address.
    let target = match address.ip() {
        ip if !ip.is_unspecified() => address,
        std::net::IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, address.port()).into(),
        std::net::IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, address.port()).into(),
    };
    let mut stream = TcpStream::connect_timeout(&target, limit).map_err(failed)?;
    stream.set_read_timeout(Some(limit)).map_err(failed)?;
    stream.set_write_timeout(Some(limit)).map_err(failed)?;
    let request =
        format!("GET /health/live HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream
        .take(4096)
        .read_to_string(&mut answer)
        .map_err(failed)?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(format!("{address} is not healthy: {status}"))
    }
}
