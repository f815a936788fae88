//! What both test targets share: children that never outlive the tests, a private Postgres cluster, tokens.
//! Neither target uses all of it.
#![allow(dead_code)]

pub mod cable;
pub mod cluster;
pub mod leash;
pub mod stub;
pub mod token;

/// A port of the loopback interface that nobody listens on. Another program could take it before it is used; the chance is small.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has free ports")
        .port()
}

/// An HTTP client. reqwest asks for the cryptography that the service installs.
pub fn client() -> reqwest::Client {
    client_builder().build().expect("a client")
}

/// One that is still to be set up.
pub fn client_builder() -> reqwest::ClientBuilder {
    label_studio_gate::startup::install_crypto();
    // A test that hangs tells nothing.
    reqwest::Client::builder().timeout(std::time::Duration::from_secs(60))
}
