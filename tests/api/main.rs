//! The service over HTTP and a real Postgres, without a proxy and without Label Studio. Needs PostgreSQL's binaries.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod api_calls;
mod app;
mod auth;
mod client_sessions;
mod commands;
mod cross_site;
mod documents;
mod endings;
mod exposure;
mod house;
mod issuers;
mod log_output;
mod names;
mod outages;
mod people;
mod policy;
mod proxies;
mod schema;
mod sessions;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;
mod world;
