//! Settings and secrets from files.

use secrecy::ExposeSecret as _;

use super::*;

#[test]
fn unknown_names_in_the_file_are_errors() {
    let file = written("[session]\ncookie_nmae = \"x\"\n[surprise]\na = 1\n");
    let errors = Settings::load(Some(file.path()), &environment(&[])).expect_err("unknown names");
    let told = errors.to_string();
    assert!(
        told.contains("session.cookie_nmae: is not a setting"),
        "{told}"
    );
    assert!(told.contains("did you mean session.cookie_name?"), "{told}");
    assert!(told.contains("surprise.a: is not a setting"), "{told}");
    let missing = Settings::load(Some(Path::new("/nowhere.toml")), &environment(&[]));
    assert!(
        missing
            .expect_err("no file")
            .to_string()
            .contains("/nowhere.toml")
    );
}

/// Somebody who removed the last group would let everybody in who has the claim.
#[test]
fn a_required_claim_without_an_accepted_value_is_an_error() {
    const SHARED: &str = "a-shared-secret-of-thirty-two-bytes";
    let issuer = "required_claims = { groups = [], sub = true }\n";
    let provider =
        "issuer = \"https://op.example.com\"\nclient_id = \"gate\"\nclient_secret = \"x\"\n";
    for (text, name) in [
        (
            format!("[external]\nsecret = \"{SHARED}\"\n{issuer}"),
            "external.required_claims",
        ),
        (
            format!("[[external.issuers]]\nname = \"one\"\nsecret = \"{SHARED}\"\n{issuer}"),
            "external.issuers[0] (one).required_claims",
        ),
        (
            format!(
                "[label_studio]\nurl = \"https://ls.example.com\"\n[sign_in]\n{provider}{issuer}"
            ),
            "sign_in.required_claims",
        ),
    ] {
        let told = told(&text);
        let expected = format!(
            "{name}: has no accepted value for \"groups\": name at least one, or write true if the \
             claim only has to be there"
        );
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("\"sub\""), "{told}");
    }
}

#[test]
fn a_syntax_error_in_the_file_shows_its_position_but_no_text() {
    for (text, place) in [
        (
            "[label_studio]\nsecret_key = hunter2\n",
            "line 2, column 14 (text needs quotation marks)",
        ),
        (
            "[label_studio]\nsecret_key = \"hunter2\n[log]\n",
            "line 2, column 22 (a quotation mark is missing)",
        ),
        (
            "[log]\n\n[database]\npassword = 'a'\npassword = 'hunter2'\n",
            "line 5, column 1 (a key or table is there twice)",
        ),
        (
            "[log]\nlevel = 'info'\n[log]\nformat = 'json'\n",
            "line 3, column 2 (a key or table is there twice)",
        ),
        (
            "[[external.issuers]]\nx = 1\n[external.issuers]\n",
            "line 3, column 11 (a key or table is there twice)",
        ),
        ("[database]\nhosts = ['hunter2'\n", "(a bracket is missing)"),
        ("[database\nname = 'hunter2'\n", "(a bracket is missing)"),
        ("hunter2", "line 1, column 8 (a key has no value)"),
        ("a = 0x\u{fc}hunter2\n", "line 1, column "),
    ] {
        let told = told(text);
        let expected = told.contains("is not TOML: see line ") && told.contains(place);
        assert!(expected, "{place}\nis not in\n{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let told = told("[database]\npool_size = 99999999999999999999\n");
    assert!(
        told.contains("is not TOML: see line 2, column 13"),
        "{told}"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_reported_once() {
    let text = concat!(
        "database = 5\nsurprise = 1\n[empty]\n[session]\ncookie_age = ['x']\n",
        "[label_studio]\nsecret_key = ['hunter2']\n[log]\nformat = 2026-01-01\n",
    );
    let file = written(text);
    let path = file.path().display().to_string();
    let Err(errors) = Settings::load(Some(file.path()), &BTreeMap::new()) else {
        panic!("accepted");
    };
    let told = errors.to_string();
    let mut lines: Vec<&str> = told.lines().map(str::trim_start).collect();
    lines.sort();
    let expected = [
        format!("database: must be a section: [database] (set in {path})"),
        format!("empty: is not a setting (in {path})"),
        format!("label_studio.secret_key: must be text (set in {path})"),
        format!("log.format: must be \"human\" or \"json\", not \"2026-01-01\" (set in {path})"),
        format!(
            "session.cookie_age: must be a whole number from 60 to 315360000, not [\"x\"] (set in {path})"
        ),
        format!("surprise: is not a setting (in {path})"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn numbers_and_booleans_need_no_quotes() {
    let file = written(
        "[database]\npassword = 12345\n[session]\ncookie_secure = true\n[token]\ncookie = ''\n",
    );
    let settings = Settings::load(Some(file.path()), &environment(&[]));
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.database.config.get_password(), Some(&b"12345"[..]));
    assert!(settings.session.cookie_secure);
    assert_eq!(cookie(&settings), None);
}

#[test]
fn a_secret_can_come_from_a_file() {
    let secret = written(&format!("{SECRET}-of-the-file\n"));
    let path = secret.path().to_str().expect("text");
    let settings = load(&[("SECRET_KEY", ""), ("SECRET_KEY_FILE", path)]);
    let key = settings.label_studio.secret_key.expose_secret().to_owned();
    assert_eq!(key, format!("{SECRET}-of-the-file"));
    let windows = written("hunter2 \r\n");
    let password = load(&[(
        "POSTGRE_PASSWORD_FILE",
        windows.path().to_str().expect("text"),
    )]);
    let password = password.database.config.get_password().map(<[u8]>::to_vec);
    assert_eq!(password.as_deref(), Some(&b"hunter2 "[..]));
    let told = errors(&[("SECRET_KEY_FILE", path)]);
    assert!(
        told.contains("SECRET_KEY and SECRET_KEY_FILE are both set"),
        "{told}"
    );
    let told = errors(&[("GATE_DATABASE_PASSWORD_FILE", "/nowhere")]);
    assert!(
        told.contains("GATE_DATABASE_PASSWORD_FILE: cannot read /nowhere"),
        "{told}"
    );
}

#[test]
fn each_secret_can_come_from_a_file_by_each_of_its_names() {
    for key in Setting::all().iter().filter(|key| key.secret) {
        let text = match key.name.as_str() {
            "database.url" => "postgres://u:p@h/n\n".to_owned(),
            "external.public_key" => public_key(),
            "external.issuers" => {
                format!(r#"[{{"name": "x", "secret": "{SECRET}-of-the-issuer"}}]"#)
            }
            "sign_in.providers" => format!(
                r#"[{{"name": "x", "issuer": "https://op.test", "client_id": "gate", "client_secret": "{SECRET}"}}]"#
            ),
            "traces.headers" => "authorization=hunter2\n".to_owned(),
            "sign_in.private_key" => rcgen::KeyPair::generate().expect("a key").serialize_pem(),
            _ => format!("{SECRET}-of-the-file\r\n"),
        };
        let provider = [
            ("GATE_SIGN_IN_ISSUER", "https://op.test"),
            ("GATE_SIGN_IN_CLIENT_ID", "gate"),
            ("GATE_SIGN_IN_PRIVATE_KEY_ALGORITHM", "ES256"),
        ];
        let issuer = format!("{SECRET}-of-the-issuer");
        // Without these, nothing would read it.
        let needed = match key.name.as_str() {
            "external.previous_secret" => vec![("JWT_SSO_SECRET", issuer.as_str())],
            "proxy_headers.secret" => vec![("GATE_PROXY_HEADERS_EMAIL", "Remote-Email")],
            "client_session.verify_secret" => vec![
                ("JWT_SSO_SESSION_VERIFY_URL", "https://app.test/"),
                ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
            ],
            "sign_in.client_secret" | "sign_in.private_key" => provider.to_vec(),
            "traces.headers" => vec![("GATE_TRACES_ENDPOINT", "http://localhost:4318/v1/traces")],
            _ => Vec::new(),
        };
        let file = written(&text);
        let path = file.path().to_str().expect("text");
        let own = key.variable();
        for variable in key.aliases.iter().chain([&own]) {
            let named = format!("{variable}_FILE");
            let settings = load(
                &[("SECRET_KEY", ""), ("GATE_LABEL_STUDIO_SECRET_KEY", SECRET)]
                    .into_iter()
                    .filter(|_| key.name != "label_studio.secret_key")
                    .chain([("SECRET_KEY", ""), (named.as_str(), path)])
                    .chain([("GATE_LABEL_STUDIO_URL", "https://ls.example.com")])
                    .chain(needed.clone())
                    .collect::<Vec<_>>(),
            );
            let line = format!("{} = set  # {named}\n", key.name);
            let told = settings.describe();
            assert!(told.contains(&line), "{line} is not in\n{told}");
        }
    }
}

#[test]
fn a_file_that_a_table_names_belongs_to_the_lists_fingerprint() {
    let secret = written("the-first-secret-of-32-bytes-or-more");
    let path = secret.path().to_str().expect("text");
    let providers = format!(
        r#"[{{"name": "x", "issuer": "https://op.test", "client_id": "gate", "client_secret_file": "{path}"}}]"#
    );
    let issuers = format!(r#"[{{"name": "x", "secret_file": ["{path}"]}}]"#);
    let settings = || {
        load(&[
            ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
            ("GATE_SIGN_IN_PROVIDERS", &providers),
            ("GATE_EXTERNAL_ISSUERS", &issuers),
        ])
    };
    let (before, same) = (settings(), settings());
    assert!(same.agrees(&before, "sign_in") && same.agrees(&before, "external"));
    std::fs::write(secret.path(), "the-second-secret-of-32-bytes-or-more").expect("written");
    let after = settings();
    let differences = after.fingerprint().differences(before.fingerprint());
    assert_eq!(differences, ["external.issuers", "sign_in.providers"]);
    assert!(!after.agrees(&before, "sign_in"));
}

/// The variables with which the file at `path` holds the certificates to trust, by setting.
fn trusting(path: &str) -> [(&'static str, Vec<(&'static str, &str)>); 5] {
    let issuer = [
        ("GATE_EXTERNAL_JWKS_URL", "https://id.test/"),
        ("GATE_EXTERNAL_AUDIENCE", "x"),
    ];
    let provider = [
        ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
        ("GATE_SIGN_IN_ISSUER", "https://op.test"),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
    ];
    let application = [
        ("JWT_SSO_SESSION_VERIFY_URL", "https://app.test/"),
        ("JWT_SSO_SESSION_VERIFY_SECRET", SECRET),
        ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
    ];
    let key_server = ("GATE_KEY_SERVER_CA_FILE", path);
    [
        (
            "database.tls_ca_file",
            vec![
                ("GATE_DATABASE_TLS", "verify-full"),
                ("GATE_DATABASE_TLS_CA_FILE", path),
            ],
        ),
        ("key_server.ca_file", [&issuer[..], &[key_server]].concat()),
        (
            "key_server.ca_file",
            [&provider[..], &[key_server]].concat(),
        ),
        (
            "client_session.ca_file",
            [&application[..], &[("GATE_CLIENT_SESSION_CA_FILE", path)]].concat(),
        ),
        (
            "traces.ca_file",
            vec![
                ("GATE_TRACES_ENDPOINT", "https://t.test/"),
                ("GATE_TRACES_CA_FILE", path),
            ],
        ),
    ]
}

#[test]
fn a_file_without_usable_certificates_is_refused() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key);
    let right = written(&certificate.expect("signed").pem());
    for (_, variables) in trusting(right.path().to_str().expect("text")) {
        load(&variables);
    }
    let no_certificate = written("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (file, why) in [
        (written("rubbish"), "it contains no certificate"),
        (written(&key.serialize_pem()), "it contains no certificate"),
        (no_certificate, ""),
    ] {
        let path = file.path().to_str().expect("text");
        for (setting, variables) in trusting(path) {
            let told = errors(&variables);
            let expected = format!("{setting}: cannot read the certificates in {path}: {why}");
            assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
    for (setting, variables) in trusting("/nowhere.pem") {
        let told = errors(&variables);
        let expected = format!("{setting}: cannot read the certificates in /nowhere.pem: ");
        assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
    }
    // No connection uses it.
    load(&[("GATE_KEY_SERVER_CA_FILE", "/nowhere.pem")]);
}
