//! The service over HTTP and a real Postgres, without a proxy and without Label Studio. Needs
//! PostgreSQL's binaries.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod actors;
mod api_calls;
mod app;
mod audit;
mod auth;
mod backlog;
mod bearer;

mod collector;
mod commands;
mod cross_site;
mod deadline;
mod doctor;
mod doctor_public;
mod documents;
mod endings;
mod exposure;
mod groups;
mod host_application;
mod house;
mod identity_headers;
mod issuers;
mod java;
mod log_lines;
mod log_output;
mod memory;
mod metrics;
mod names;
mod open_files;
mod openid;
mod outages;
mod overload;
mod policy;
mod pooler;
mod private_keys;
mod process;
mod proxies;
mod proxy_headers;
mod refusals;
mod reload;
mod roles;
mod schema;
mod sessions;
mod several_hosts;
mod sign_in;
#[path = "../support/mod.rs"]
mod support;
mod texts;
mod tls;
mod together;
mod tokens;
mod traces;
mod translations;
mod unknown_addresses;
mod users;
mod versions;
mod world;
