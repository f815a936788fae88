//! Secrets that hold something else than the secret: nothing, a path, a certificate, quotes.

use super::*;

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

/// Its method would be switched off, or a client be without its secret.
#[test]
fn an_empty_file_is_an_error_except_where_none_is_a_value() {
    for text in ["", "\n", " \r\n"] {
        let file = written(text);
        let path = file.path().to_str().expect("text");
        for setting in Setting::all().iter().filter(|setting| setting.secret) {
            for variable in setting.aliases.iter().chain([&setting.variable()]) {
                let variable = format!("{variable}_FILE");
                let variables = [("SECRET_KEY", ""), (variable.as_str(), path)];
                let variables = match setting.name.as_str() {
                    "label_studio.secret_key" => &variables[..],
                    _ => &variables[1..],
                };
                let read = Settings::load(None, &environment(variables));
                if [
                    "database.password",
                    "external.previous_secret",
                    "label_studio.secret_key_fallbacks",
                ]
                .contains(&setting.name.as_str())
                {
                    assert!(read.is_ok(), "{variable}");
                    continue;
                }
                let told = read.expect_err(&variable).to_string();
                let expected = format!("{}: {variable}: {path} is empty", setting.name);
                assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
                assert_eq!(told.lines().count(), 1, "{told}");
            }
        }
    }
}

/// The Kubernetes files name one, and a database may trust the network or a proxy of its own. Like empty
/// text, the file of a variable that Label Studio has too leaves what else is set.
#[test]
fn a_database_without_a_password_has_an_empty_file() {
    let file = written("\n");
    let path = file.path().to_str().expect("text");
    let password = |variable, url| {
        let settings = load(&[(variable, path), ("DATABASE_URL", url)]);
        let password = settings.database.config.get_password();
        password.map(|password| String::from_utf8_lossy(password).into_owned())
    };
    for (variable, unset) in [
        ("POSTGRE_PASSWORD_FILE", "postgres"),
        ("GATE_DATABASE_PASSWORD_FILE", ""),
    ] {
        assert_eq!(password(variable, "").as_deref(), Some(unset), "{variable}");
        let url = |url| password(variable, url);
        assert_eq!(url("postgres://u@h/n"), None, "{variable}");
        assert_eq!(
            url("postgres://u:p@h/n").as_deref(),
            Some("p"),
            "{variable}"
        );
    }
}

#[test]
fn an_empty_file_that_a_table_names_is_an_error() {
    let file = written("\n");
    let path = file.path().display();
    let provider = "[label_studio]\nurl = \"https://ls.example.com\"\n[[sign_in.providers]]\nname = \"one\"\n\
                    issuer = \"https://op.example.com\"\nclient_id = \"gate\"\n";
    for (table, setting) in [
        ("[[external.issuers]]\n", "external.issuers[0].secret_file"),
        (
            "[[external.issuers]]\n",
            "external.issuers[0].public_key_file",
        ),
        (provider, "sign_in.providers[0].client_secret_file"),
        (provider, "sign_in.providers[0].private_key_file"),
    ] {
        let (_, field) = setting.rsplit_once('.').expect("a field");
        let told = told(&format!("{table}{field} = \"{path}\"\n"));
        let expected = format!("{setting}: {path} is empty");
        assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
    }
}

#[test]
fn the_file_of_a_secret_is_named_by_a_variable() {
    for (section, field, variable) in [
        ("external", "secret_file", "GATE_EXTERNAL_SECRET_FILE"),
        (
            "label_studio",
            "secret_key_file",
            "GATE_LABEL_STUDIO_SECRET_KEY_FILE",
        ),
        ("database", "password_file", "GATE_DATABASE_PASSWORD_FILE"),
        (
            "sign_in",
            "client_secret_file",
            "GATE_SIGN_IN_CLIENT_SECRET_FILE",
        ),
    ] {
        let told = told(&format!("[{section}]\n{field} = \"/etc/gate/secret\"\n"));
        let expected = format!("{section}.{field}: is not a setting (in ");
        assert!(told.contains(&expected), "{told}");
        assert!(
            told.contains(&format!("; name the file in the variable {variable}")),
            "{told}"
        );
        assert!(!told.contains("did you mean"), "{told}");
    }
    // A table names files itself, but not for this.
    let told = told(&format!(
        "[[external.issuers]]\nsecret = \"{SHARED}\"\nprevious_secret_file = \"/x\"\n"
    ));
    assert!(
        told.contains("previous_secret_file: is not a setting"),
        "{told}"
    );
    assert!(!told.contains("did you mean"), "{told}");
}

/// 32 bytes of a path would be accepted as a secret, and be no secret.
#[test]
fn the_path_of_a_file_is_no_secret() {
    let file = written(SHARED);
    let path = file.path().to_str().expect("text");
    for setting in Setting::all().iter().filter(|it| it.secret) {
        if setting.name == "label_studio.secret_key" || setting.schema["items"]["type"] == "object"
        {
            continue;
        }
        let variable = setting.variable();
        let told = errors(&[(&variable, path)]);
        let expected = format!(
            "{}: is the path of a file: name it in the variable {variable}_FILE (set in {variable})",
            setting.name
        );
        assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
        assert!(!told.contains(path), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for (text, expected) in [
        (
            format!("[external]\nsecret = \"{path}\"\n"),
            "external.secret: is the path of a file: name it in the variable GATE_EXTERNAL_SECRET_FILE (set in ",
        ),
        (
            format!("[[external.issuers]]\nsecret = [\"{SHARED}\", \"{path}\"]\n"),
            "external.issuers[0].secret: is the path of a file: name it in secret_file",
        ),
        (
            format!("[[external.issuers]]\nsecret = \"{SHARED}\"\nprevious_secret = \"{path}\"\n"),
            "external.issuers[0].previous_secret: is the path of a file (set in ",
        ),
    ] {
        let told = told(&text);
        assert!(told.contains(expected), "{expected}\nis not in\n{told}");
        assert!(!told.contains(SHARED), "{told}");
    }
    let listed = format!("a-former-key-of-more-than-32-bytes-0123, {path}");
    let told = errors(&[("SECRET_KEY_FALLBACKS", &listed)]);
    assert!(
        told.contains("label_studio.secret_key_fallbacks: is the path of a file"),
        "{told}"
    );
    let told = errors(&[("SECRET_KEY", path)]);
    assert!(
        told.contains("name it in the variable SECRET_KEY_FILE"),
        "{told}"
    );
}

#[test]
fn white_space_and_quotes_around_a_secret_are_warned_about() {
    let spaced = format!("{SECRET} ");
    let quoted = format!("\"{SHARED}\"");
    for (variable, value, warned) in [
        (
            "SECRET_KEY",
            spaced.as_str(),
            "SECRET_KEY begins or ends with white space, which is part of the secret",
        ),
        (
            "SECRET_KEY",
            "'unit-test-secret-key-of-fifty-characters'",
            "SECRET_KEY is in quotation marks, which are part of the secret",
        ),
        (
            "JWT_SSO_SECRET",
            &quoted,
            "JWT_SSO_SECRET is in quotation marks",
        ),
        (
            "GATE_DATABASE_PASSWORD",
            "\thunter2",
            "GATE_DATABASE_PASSWORD begins or ends with white space",
        ),
        ("GATE_DATABASE_PASSWORD", "hun ter\"2\"", ""),
        ("GATE_DATABASE_PASSWORD", "\"", ""),
        // The items of a list are trimmed.
        (
            "SECRET_KEY_FALLBACKS",
            " a-former-key-of-more-than-32-bytes-0123 ",
            "",
        ),
    ] {
        let warnings = warnings(&[(variable, value)]);
        match warned {
            "" => assert_eq!(warnings, [""; 0], "{variable}"),
            warned => {
                assert_eq!(warnings.len(), 1, "{variable}: {warnings:?}");
                assert!(warnings[0].starts_with(warned), "{warnings:?}");
                assert!(!warnings[0].contains(value.trim()), "{warnings:?}");
                assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
            }
        }
    }
    // The text of a key ends with a line feed.
    let key = [
        ("JWT_SSO_SECRET", &*public_key()),
        ("JWT_SSO_ALGORITHM", "ES256"),
    ];
    assert_eq!(warnings(&key), [""; 0]);
    // Editors write a line feed, and nobody else adds white space to a file.
    let file = written(&format!("{SECRET} \n"));
    let file = file.path().to_str().expect("text");
    assert_eq!(
        warnings(&[("SECRET_KEY", ""), ("SECRET_KEY_FILE", file)]),
        [""; 0]
    );
}

#[test]
fn a_public_key_that_is_something_else_is_named_as_that() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key);
    let certificate = certificate.expect("signed").pem();
    let advice = "is a certificate, and the public key in it is needed: openssl x509 -pubkey -noout -in FILE";
    for (variables, expected) in [
        (
            &[("GATE_EXTERNAL_PUBLIC_KEY", certificate.as_str())][..],
            format!("external.public_key: {advice} (set in GATE_EXTERNAL_PUBLIC_KEY)"),
        ),
        (
            &[("JWT_SSO_SECRET", &certificate), ("JWT_SSO_ALGORITHM", "RS256")],
            format!("external.secret: {advice} (set in JWT_SSO_SECRET)"),
        ),
        (
            &[("GATE_EXTERNAL_PUBLIC_KEY", "/nowhere/issuer.pem")],
            "external.public_key: is a path, not a public key in PEM form: name the file in the \
             variable GATE_EXTERNAL_PUBLIC_KEY_FILE (set in GATE_EXTERNAL_PUBLIC_KEY)"
                .to_owned(),
        ),
        (
            &[("GATE_EXTERNAL_SECRET", SHARED), ("GATE_EXTERNAL_ALGORITHMS", "RS256")],
            "external.secret: is not a public key in PEM form (-----BEGIN PUBLIC KEY-----) (set in GATE_EXTERNAL_SECRET)"
                .to_owned(),
        ),
    ] {
        let told = errors(variables);
        assert!(told.contains(&expected), "{expected}\nis not in\n{told}");
        assert!(!told.contains(SHARED), "{told}");
    }
}
