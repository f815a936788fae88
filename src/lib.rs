//! Single sign-on for an unmodified Label Studio.
//!
//! nginx asks about every request (`auth_request`), and the gate answers: go on, and with which cookies. The way of a request:
//!
//! 1. [`http`] reads the subrequest from the one place that belongs to that kind of proxy;
//! 2. [`gate`] finds the credential, verifies it, finds the user, keeps or opens the session, and so comes to a verdict; [`keys`] reads
//!    the keys of issuers that publish them, and [`application_api`] asks the client's application whose session a cookie names;
//! 3. [`django`] knows the formats in which Label Studio's Django reads and writes sessions and cookies;
//! 4. [`postgres`] looks users up and writes the session, one statement each;
//! 5. [`http`] answers in the proxy's terms.
//!
//! [`startup`] puts these together from [`settings`], and is the only module that sees all of them. The directions of these dependencies
//! are held by a test (`tests/api/house.rs`).

pub mod application_api;
pub mod cli;
mod commands;
pub mod django;
pub mod doctor;
#[cfg(test)]
mod documents;
pub mod gate;
pub mod http;
pub mod http_client;
pub mod keys;
pub mod metrics;
pub mod postgres;
pub mod settings;
pub mod startup;
pub mod telemetry;
pub mod trust;
