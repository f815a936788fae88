//! Encrypted connections, in libpq's terms.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use label_studio_gate::doctor::Level;
use label_studio_gate::postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::app::{TestDatabase, settings};
use crate::doctor::{examine, expect};
use crate::support::cluster::{CLUSTER, GATE_ROLE};

/// Whether the connection is encrypted, or `None` if there is none.
async fn connect(database: &TestDatabase, host: &str, more: &[(&str, &str)]) -> Option<bool> {
    let (port, name) = (CLUSTER.port(), &database.name);
    let url = format!(
        "postgres://{GATE_ROLE}@{host}:{port}/{name}?application_name={}",
        CLUSTER.fresh_name()
    );
    let application = url.rsplit('=').next().unwrap().to_owned();
    let settings = settings(&url, more);
    let backend = Postgres::connect(&settings.database).ok()?;
    backend.server_time().await.ok()?;
    let query = format!(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = '{application}'"
    );
    let encrypted = database.text(&query).await;
    assert!(!encrypted.is_empty(), "the connection is not to be found");
    Some(encrypted == "t")
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_modes_mean_the_same_as_in_libpq() {
    let database = TestDatabase::new().await;
    let (ca, other) = (
        CLUSTER.certificate("ca.crt"),
        CLUSTER.certificate("other-ca.crt"),
    );
    for (mode, ca_file, host, expected) in [
        ("disable", "", "localhost", Some(false)),
        ("require", "", "localhost", Some(true)),
        ("require", "", "127.0.0.1", Some(true)),
        ("require", ca.as_str(), "localhost", Some(true)),
        ("require", ca.as_str(), "127.0.0.1", Some(true)),
        ("require", other.as_str(), "localhost", None),
        ("verify-full", ca.as_str(), "localhost", Some(true)),
        ("verify-full", ca.as_str(), "127.0.0.1", None),
        ("verify-full", other.as_str(), "localhost", None),
        ("verify-full", "", "localhost", None),
    ] {
        let more = [
            ("GATE_DATABASE_TLS", mode),
            ("GATE_DATABASE_TLS_CA_FILE", ca_file),
        ];
        assert_eq!(
            connect(&database, host, &more).await,
            expected,
            "{mode} {ca_file} {host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_may_set_the_tls_mode() {
    let database = TestDatabase::new().await;
    let ca = CLUSTER.certificate("ca.crt");
    let url = |mode: &str| format!("{}?sslmode={mode}", database.gate_url());
    for (mode, works) in [("require", true), ("verify-full", false)] {
        let settings = settings(&url(mode), &[("GATE_DATABASE_TLS_CA_FILE", &ca)]);
        let backend = Postgres::connect(&settings.database).unwrap();
        assert_eq!(
            backend.server_time().await.is_ok(),
            works,
            "{mode}: the certificate is not for 127.0.0.1"
        );
    }
}

/// What `doctor` says about a Postgres whose certificate it does not trust, or that has none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_databases_certificate_is_named() {
    let database = TestDatabase::new().await;
    let other = CLUSTER.certificate("other-ca.crt");
    let (port, name, ca) = (
        CLUSTER.port(),
        &database.name,
        CLUSTER.certificate("ca.crt"),
    );
    for (host, ca_file, what) in [
        (
            "localhost",
            &other,
            "invalid peer certificate: BadSignature",
        ),
        (
            "127.0.0.1",
            &ca,
            "certificate not valid for name \"127.0.0.1\"",
        ),
    ] {
        let url = format!("postgres://{GATE_ROLE}@{host}:{port}/{name}");
        let tls = [
            ("GATE_DATABASE_TLS", "verify-full"),
            ("GATE_DATABASE_TLS_CA_FILE", ca_file.as_str()),
        ];
        let report = examine(&settings(&url, &tls)).await;
        let cure = "database.tls_ca_file";
        expect(&report, "database.connection", Level::Failure, what, cure);
        assert!(!report.to_string().contains("Error occurred"), "{report}");
    }
}

/// A server with TLS: its port. It has this certificate and answers every request with 404.
fn https(parameters: &CertificateParams) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            // A peer that does not trust the certificate ends the connection.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    port
}

/// A server that speaks plain HTTP and refuses what is no request: its port.
fn http() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_certificate_of_a_key_server_is_named() {
    let of = |name: &str| {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let common_name = rcgen::DnType::CommonName;
        parameters.distinguished_name.push(common_name, name);
        parameters
    };
    let mut authority = of("localhost");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = tempfile::tempdir().unwrap();
    let file = |name: &str, parameters: &CertificateParams| {
        let key = KeyPair::generate().unwrap();
        let path = trusted.path().join(name);
        std::fs::write(&path, parameters.self_signed(&key).unwrap().pem()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let other = file("other.pem", &of("other.test"));
    let plain = http();
    for (port, what, cure) in [
        (
            https(&of("localhost")),
            "UnknownIssuer",
            "key_server.ca_file",
        ),
        (
            https(&authority),
            "the certificate is a CA's",
            "key_server.ca_file",
        ),
        (plain, "the server speaks plain HTTP", "http://"),
    ] {
        let url = format!("https://localhost:{port}/keys");
        let database = "postgres://nobody@127.0.0.1:1/nothing";
        let settings = settings(
            database,
            &[
                ("GATE_EXTERNAL_JWKS_URL", &url),
                ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
                ("GATE_KEY_SERVER_CA_FILE", &other),
            ],
        );
        let report = examine(&settings).await;
        expect(&report, "issuer.keys", Level::Failure, what, cure);
    }
}
