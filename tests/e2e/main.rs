//! End to end: the gate's binary behind the shipped nginx files, in front of the real Label Studio,
//! with a real Postgres.
//!
//! Needs nginx, PostgreSQL and a venv with Label Studio and the plugin; `tests/run` installs them.
//! `GATE_TEST_NGINX` lists nginx binaries, `GATE_TEST_LABEL_STUDIO_VENV` names the venv,
//! `GATE_TEST_POSTGRES_BIN` the server's directory.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod browser;
mod chart;
mod check_headers;
#[allow(dead_code)]
#[path = "../../fuzz/src/lib.rs"]
mod checks;
mod crafted;
mod differential;
mod django;
mod doctor;
mod embedding;
mod endings;
mod environments;
mod examples;
mod exposure;
mod gates;
mod groups;
mod identity_behind_proxies;
mod identity_headers;
mod kept_connections;
mod kubernetes;
mod label_studio;
mod login;
mod logs;
mod monitoring;
mod nginx;
mod old_version;
mod openapi;
mod openid;
mod outages;
mod packages;
mod pages;
mod parallel;
mod passing;
mod people;
mod plugin;
mod programs;
mod provider_sign_in;
mod proxies;
mod proxy;
mod raw;
mod reload;
mod renamed;
mod request_ids;
mod sdk;
mod server_files;
mod sign_in;
mod stack;
#[path = "../support/mod.rs"]
mod support;
mod token_route;
mod traces;
mod unavailable;
mod upgrades;
mod uploads;
mod usernames;
