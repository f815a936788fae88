//! The commands that look, and do not serve.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::doctor;
use crate::gate::Inspected;
use crate::gate::clock::Clock as _;
use crate::gate::issue::IssueError;
use crate::settings::Settings;
use crate::startup::{self, Backend, Serving, SystemClock};

/// `doctor`: what stands between this configuration and a working login.
pub(crate) async fn doctor(settings: &Settings) -> Result<String, String> {
    let backend = Backend::connect(settings)?;
    doctor::examine(settings, &backend.postgres, SystemClock.now()).await
}

/// `migrate`: makes the gate's own tables.
pub(crate) async fn migrate(settings: &Settings, role: Option<&str>) -> Result<String, String> {
    let backend = Backend::connect(settings)?;
    let failed = |_| "the tables were not made: see the log line above".to_owned();
    backend.postgres.migrate(role).await.map_err(failed)?;
    Ok("the gate's own tables are there".to_owned())
}

/// `purge`: deletes expired sessions.
pub(crate) async fn purge(settings: &Settings) -> Result<String, String> {
    let backend = Backend::connect(settings)?;
    match backend.postgres.purge().await {
        Ok(Some(sessions)) => Ok(format!("deleted {sessions} expired sessions")),
        Ok(None) => Ok("another gate deletes expired sessions".to_owned()),
        Err(outage) => Err(format!("expired sessions were not deleted: {outage}")),
    }
}

/// `token`: issues a token for a user, as the token route would for an administrator.
pub(crate) async fn issue_token(settings: &Settings, email: &str) -> Result<String, String> {
    let backend = Backend::connect(settings)?;
    let issuer = startup::issuer(settings, &backend, Arc::new(SystemClock));
    match issuer.issue_as_operator(email).await {
        Ok(issued) => Ok(issued.token),
        Err(IssueError::User(reason)) => Err(format!("{email}: {}", reason.explanation())),
        Err(error) => Err(format!("no token was issued: {error:?}")),
    }
}

/// `inspect`: tells why a token would be accepted or not.
pub(crate) async fn inspect(settings: &Settings, token: &str) -> Result<String, String> {
    let backend = Backend::connect(settings)?;
    let clock = Arc::new(SystemClock);
    let gate = startup::gate(settings, &backend, clock, Serving::No)?;
    match gate.inspect(token).await {
        Ok(Inspected::Known { user, method }) => Ok(format!(
            "accepted ({}): it logs in user {} ({})",
            method.as_str(),
            user.id(),
            user.email()
        )),
        Ok(Inspected::New { method }) => Ok(format!(
            "accepted ({}): an account is created for its user, who has none yet",
            method.as_str()
        )),
        Ok(Inspected::Refused(reason)) => {
            Err(format!("{}: {}", reason.code(), reason.explanation()))
        }
        Err(outage) => Err(format!("cannot decide: {outage}")),
    }
}

/// `healthcheck`: asks the service at `address` whether it is ready.
pub(crate) fn healthcheck(address: SocketAddr, limit: Duration) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    // A service that listens everywhere is asked where it can be reached.
    let target = match address.ip() {
        ip if !ip.is_unspecified() => address,
        std::net::IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, address.port()).into(),
        std::net::IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, address.port()).into(),
    };
    let mut stream = TcpStream::connect_timeout(&target, limit).map_err(failed)?;
    stream.set_read_timeout(Some(limit)).map_err(failed)?;
    stream.set_write_timeout(Some(limit)).map_err(failed)?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
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
        Err(format!("{address} answers: {status}"))
    }
}
