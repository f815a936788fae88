//! The connection to Postgres by URL, in parts, or both.

use super::*;

fn config(variables: &[(&str, &str)]) -> tokio_postgres::Config {
    load(variables).database.config
}

#[test]
fn parts_that_contradict_the_url_are_refused() {
    let url = (
        "DATABASE_URL",
        "postgres://u:p@h:5433/n?sslmode=verify-full&connect_timeout=3",
    );
    assert_eq!(load(&[url]).database.tls, Tls::VerifyFull);
    load(&[url, ("POSTGRE_HOST", "h"), ("POSTGRE_PASSWORD", "p")]);
    for part in [
        ("POSTGRE_HOST", "other"),
        ("POSTGRE_PORT", "5432"),
        ("POSTGRE_NAME", "other"),
        ("POSTGRE_USER", "other"),
        ("POSTGRE_PASSWORD", "hunter2"),
        ("GATE_DATABASE_PASSWORD", "hunter2"),
    ] {
        let told = errors(&[url, part]);
        assert!(told.contains("contradicts database.url"), "{told}");
        assert!(told.contains(&format!("(set in {})", part.0)), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// One `.env` serves both services: the parts name Label Studio's role, the URL names the gate's.
#[test]
fn the_gates_url_overrides_the_parts_of_label_studio() {
    let url = ("GATE_DATABASE_URL", "postgres://gate:p@h/n");
    let owner = [
        ("POSTGRE_USER", "owner"),
        ("POSTGRE_PASSWORD", "q"),
        ("POSTGRE_PORT", "6432"),
    ];
    let config = config(&[url, owner[0], owner[1], owner[2]]);
    assert_eq!(config.get_user(), Some("gate"));
    assert_eq!(config.get_password(), Some(&b"p"[..]));
    assert_eq!(config.get_ports(), [5432]);
    // The gate must not use the owner's password either.
    let url = ("GATE_DATABASE_URL", "postgres://gate@h/n");
    assert_eq!(self::config(&[url, owner[1]]).get_password(), None);
    let told = errors(&[url, ("GATE_DATABASE_USER", "other")]);
    assert!(told.contains("database.user: contradicts"), "{told}");
}

#[test]
fn a_url_of_the_environment_overrides_the_parts_of_the_file() {
    let file = written("[database]\nhost = 'of_the_file'\nuser = 'of_the_file'\n");
    let variables = environment(&[("DATABASE_URL", "postgres://u:p@h/n")]);
    let settings = Settings::load(Some(file.path()), &variables);
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.database.config.get_user(), Some("u"));
}

#[test]
fn parts_complete_a_url() {
    let password = written("p%40\n");
    let path = password.path().to_str().expect("text");
    let config = config(&[
        ("DATABASE_URL", "postgres://?host=h"),
        ("POSTGRE_PORT", "6432"),
        ("POSTGRE_NAME", "n"),
        ("POSTGRE_USER", "u"),
        ("GATE_DATABASE_PASSWORD_FILE", path),
    ]);
    assert_eq!(config.get_ports(), [6432]);
    assert_eq!(config.get_dbname(), Some("n"));
    assert_eq!(config.get_user(), Some("u"));
    assert_eq!(config.get_password(), Some(&b"p%40"[..]));
}

#[test]
fn a_url_is_read_as_libpq_reads_it() {
    for scheme in ["postgres", "postgresql", "psql", "pgsql"] {
        let url = format!("{scheme}://u:p%2F%40@[::1]/n");
        let config = config(&[("DATABASE_URL", &url)]);
        assert_eq!(format!("{:?}", config.get_hosts()), "[Tcp(\"::1\")]");
        assert_eq!(config.get_ports(), [5432]);
        assert_eq!(config.get_password(), Some(&b"p/@"[..]));
        assert_eq!(config.get_application_name(), Some("label-studio-gate"));
    }
    let options = "options=-c%20search_path%3Dls&sslmode=require&application_name=a+b";
    let url = format!("postgres://u:p@h/n?{options}");
    let database = load(&[("DATABASE_URL", &url)]).database;
    let search_path = ("search_path".to_owned(), "ls".to_owned());
    assert_eq!(database.options, [search_path]);
    let config = database.config;
    assert_eq!(config.get_options(), None);
    assert_eq!(config.get_application_name(), Some("a+b"));
}

/// The hosts, and whether one must accept writes to be used.
fn hosts(variables: &[(&str, &str)]) -> (String, bool) {
    let database = load(variables).database;
    let hosts: Vec<String> = database.hosts.iter().map(ToString::to_string).collect();
    (hosts.join(" "), database.writable)
}

#[test]
fn there_can_be_several_hosts() {
    for (url, expected, writable) in [
        ("postgres://u:p@h1:1,h2:2/n", "h1:1 h2:2", true),
        ("postgres://u:p%2C%40@h1,h2:2/n", "h1:5432 h2:2", true),
        (
            "postgres://u:p@[::1]:1,h2/n?target_session_attrs=any",
            "::1:1 h2:5432",
            true,
        ),
        (
            "postgres:///n?host=h1,h2&port=1,2&user=u",
            "h1:1 h2:2",
            true,
        ),
        (
            "postgres:///n?host=/run/a,/run/b&user=u",
            "/run/a:5432 /run/b:5432",
            true,
        ),
        ("postgres://u:p@h/n", "h:5432", false),
        (
            "postgres://u:p@h/n?target_session_attrs=read-write",
            "h:5432",
            true,
        ),
        (
            "postgres://u:p@h/n?target_session_attrs=primary",
            "h:5432",
            true,
        ),
        ("postgres://u@h/n?hostaddr=127.0.0.1", "h:5432", false),
    ] {
        let expected = (expected.to_owned(), writable);
        assert_eq!(hosts(&[("DATABASE_URL", url)]), expected, "{url}");
    }
    for (host, port) in [
        ("GATE_DATABASE_HOST", "GATE_DATABASE_PORT"),
        ("POSTGRE_HOST", "POSTGRE_PORT"),
    ] {
        let expected = ("h1:1 h2:2".to_owned(), true);
        assert_eq!(hosts(&[(host, "h1,h2"), (port, "1,2")]), expected);
        assert_eq!(hosts(&[(host, "h1:1,h2:2")]), expected);
        assert!(errors(&[(host, "h1,h2"), (port, "1,2,3")]).contains("database.host: "));
        assert!(errors(&[(host, "h1,,h2")]).contains("database.host: "));
        assert!(errors(&[(port, "1,x")]).contains("database.port: "));
    }
    // The parts may say the same as the URL.
    let url = ("DATABASE_URL", "postgres://u:p@h1:1,h2:2/n");
    load(&[url, ("POSTGRE_HOST", "h1,h2"), ("POSTGRE_PORT", "1,2")]);
    assert!(errors(&[url, ("POSTGRE_HOST", "h1")]).contains("contradicts database.url"));
}

#[test]
fn postgres_can_be_behind_a_socket() {
    for url in [
        "postgres://u@%2Frun%2Fpg/n",
        "postgres:///n?host=/run/pg&user=u",
    ] {
        let config = config(&[("DATABASE_URL", url), ("POSTGRE_HOST", "/run/pg")]);
        assert_eq!(format!("{:?}", config.get_hosts()), "[Unix(\"/run/pg\")]");
        assert_eq!(config.get_user(), Some("u"));
    }
}

#[test]
fn a_url_that_cannot_be_used_is_refused_without_showing_it() {
    for bad in [
        "mysql://u:hunter2@h/n",
        "u:hunter2@h",
        "postgres:u:hunter2@h",
        "postgres://u:hunter2@h:99999/n",
        "postgres:///hunter2",
        "postgres://u:hunter2@h/n?sslmode=verify-ca",
        "postgres://u:hunter2@h/n?sslrootcert=/ca.pem",
        "postgres://u:hunter2@h/n?hunter2=1",
        "postgres://u:hunter2@h/n?target_session_attrs=standby",
        "postgres://u:hunter2@h/n?options=hunter2",
        "postgres://u:hunter2@h1,h2:99999/n",
        "postgres://u:hunter2@h1,,h2/n",
        // Passwords that are not percent-encoded.
        "postgres://u:hunter2#@h/n",
        "postgres://u:1#hunter2@h/n",
        "postgres://u:hunter2/@h/n",
        "postgres://u:1?sslmode=hunter2@h/n",
    ] {
        let told = errors(&[("DATABASE_URL", bad)]);
        assert!(told.contains("database.url: "), "{bad}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(told.lines().count(), 1, "{bad}: {told}");
    }
    let told = errors(&[("DATABASE_URL", "postgres://u:p@h/n?sslrootcert=/ca.pem")]);
    assert!(told.contains("set database.tls_ca_file instead"), "{told}");
}

#[test]
fn check_config_shows_what_is_in_force() {
    let url = (
        "GATE_DATABASE_URL",
        "postgres://gate@db:5433/ls?sslmode=verify-full",
    );
    let settings = load(&[
        url,
        ("POSTGRE_USER", "owner"),
        ("POSTGRE_PASSWORD", "hunter2"),
        ("GATE_DATABASE_NAME", "ls"),
    ]);
    for line in [
        "database.host = \"db\"  # GATE_DATABASE_URL\n",
        "database.port = \"5433\"  # GATE_DATABASE_URL\n",
        "database.name = \"ls\"  # GATE_DATABASE_NAME\n",
        "database.user = \"gate\"  # GATE_DATABASE_URL\n",
        "database.password = unset  # GATE_DATABASE_URL\n",
        "database.tls = \"verify-full\"  # GATE_DATABASE_URL\n",
    ] {
        let told = settings.describe();
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let url = (
        "DATABASE_URL",
        "postgres:///n?host=/run/pg&user=u&password=hunter2",
    );
    let settings = load(&[url]);
    let told = settings.describe();
    assert!(
        told.contains("database.host = \"/run/pg\"  # DATABASE_URL"),
        "{told}"
    );
    assert!(
        told.contains("database.port = \"5432\"  # DATABASE_URL"),
        "{told}"
    );
    assert!(
        told.contains("database.password = set  # DATABASE_URL"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    assert!(
        told.contains("database.tls = \"disable\"  # default"),
        "{told}"
    );
}

#[test]
fn certificates_without_encryption_are_refused() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key);
    let file = written(&certificate.expect("signed").pem());
    let path = file.path().to_str().expect("text");
    let ca = ("GATE_DATABASE_TLS_CA_FILE", path);
    let told = errors(&[ca]);
    assert!(
        told.contains("database.tls_ca_file: is set, but the connection is not encrypted"),
        "{told}"
    );
    let url = ("DATABASE_URL", "postgres://u:p@h/n?sslmode=disable");
    assert!(errors(&[ca, ("GATE_DATABASE_TLS", "verify-full"), url]).contains("is not encrypted"));
    for mode in ["require", "verify-full"] {
        assert!(
            load(&[ca, ("GATE_DATABASE_TLS", mode)])
                .database
                .tls_ca_file
                .is_some()
        );
    }
}
