//! Encrypted connections, in libpq's terms.

use label_studio_gate::postgres::Postgres;

use crate::app::{TestDatabase, settings};
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
