//! Single sign-on for an unmodified Label Studio.
//!
//! For every request, the proxy asks the gate (in nginx: `auth_request`). The gate answers whether
//! the request may proceed, and with which cookies. A request passes through these modules:
//!
//! 1. [`http`] reads the subrequest from the headers of the configured proxy.
//! 2. [`gate`] finds and verifies the credential, finds the user, keeps or opens the session, and
//!    returns a verdict. [`keys`] fetches the keys of issuers that publish them, and
//!    [`application_api`] asks the host application whose session a cookie is.
//! 3. [`django`] implements the formats in which Label Studio's Django stores sessions and cookies.
//! 4. [`postgres`] looks up users and writes sessions. Requests that arrive together share
//!    statements.
//! 5. [`http`] answers in the proxy's format.
//!
//! [`startup`] builds the service from [`settings`]. Only it and the commands may depend on all
//! others. A test enforces the dependency directions (`tests/api/house.rs`).

pub mod application_api;
pub mod audit;
mod cache;
pub mod cli;
mod commands;
pub mod deadline;
pub mod django;
pub mod doctor;
#[cfg(test)]
mod documents;
pub mod gate;
pub mod http;
pub mod http_client;
pub mod keys;
pub mod metrics;
pub mod openid;
pub mod postgres;
pub mod settings;
mod single_flight;
pub mod startup;
pub mod telemetry;
pub mod traces;
pub mod trust;
