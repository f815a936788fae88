//! What holds for every input, as functions over bytes: libFuzzer calls them with what it makes up (`fuzz_targets/`), and `cargo test` with
//! the kept corpus and with proptest's inputs (`tests/fuzz`).
//!
//! In: any bytes. Out: nothing; an invariant that does not hold is a panic. A target is a function here, its line in [`TARGETS`], a file in
//! `fuzz_targets/` and its entry in `Cargo.toml`.

mod client_api;
pub mod cookies;
mod headers;
mod jwt;
mod keys;
mod session;
mod settings;
mod sign_in;
mod uri;

pub use client_api::client_api_answer;
pub use cookies::cookie_header;
pub use headers::{identity_headers, load_balancer_header};
pub use jwt::{jwt_claims, jwt_compact, jwt_header};
pub use keys::public_keys;
pub use session::django_session;
pub use settings::settings_file;
pub use sign_in::{
    callback_query, discovery_document, flow_cookie, handover, logout_token, userinfo,
};
pub use uri::original_uri;

/// A check of one input.
pub type Check = fn(&[u8]);

/// Every target by its name, which is the name of its corpus too.
pub const TARGETS: &[(&str, Check)] = &[
    ("callback_query", callback_query),
    ("client_api_answer", client_api_answer),
    ("cookie_header", cookie_header),
    ("discovery_document", discovery_document),
    ("django_session", django_session),
    ("flow_cookie", flow_cookie),
    ("handover", handover),
    ("identity_headers", identity_headers),
    ("jwt_claims", jwt_claims),
    ("jwt_compact", jwt_compact),
    ("jwt_header", jwt_header),
    ("load_balancer_header", load_balancer_header),
    ("logout_token", logout_token),
    ("original_uri", original_uri),
    ("public_keys", public_keys),
    ("settings_file", settings_file),
    ("userinfo", userinfo),
];
