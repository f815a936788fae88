//! Every name works, every error is told, and no secret is.

use std::fmt::Write as _;
use std::io::Write as _;

use secrecy::ExposeSecret as _;

use super::*;
use crate::django::SameSite;
use crate::gate::session::Engine;

const SECRET: &str = "unit-test-secret-key-of-fifty-characters-0123456789";

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let secret = [("SECRET_KEY", SECRET)];
    let all = secret.iter().chain(variables);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(variables: &[(&str, &str)]) -> Settings {
    Settings::load(None, &environment(variables)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(variables: &[(&str, &str)]) -> String {
    match Settings::load(None, &environment(variables)) {
        Ok(settings) => panic!("accepted: {}", settings.describe()),
        Err(errors) => errors.to_string(),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[test]
fn the_defaults_need_a_secret_key_and_nothing_else() {
    let settings = load(&[]);
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(settings.session.engine, Engine::Database);
    assert_eq!(settings.token.cookie.as_deref(), Some("ls_auth_token"));
    assert_eq!(settings.token_issue.expires_in.as_secs(), 600);
    assert!(errors(&[("SECRET_KEY", "")]).contains("label_studio.secret_key: is required"));
}

/// The names that Label Studio, the plugin and the guide use, a row a line: variable, value, and what it must come to.
#[test]
fn every_alias_works() {
    type Read = fn(&Settings) -> String;
    let rows: &[(&str, &str, Read, &str)] = &[
        (
            "POSTGRE_HOST",
            "db",
            |s| format!("{:?}", s.database.config.get_hosts()),
            "[Tcp(\"db\")]",
        ),
        (
            "HEARTEX_POSTGRE_PORT",
            "6432",
            |s| format!("{:?}", s.database.config.get_ports()),
            "[6432]",
        ),
        (
            "POSTGRE_NAME",
            "ls",
            |s| format!("{:?}", s.database.config.get_dbname()),
            "Some(\"ls\")",
        ),
        (
            "LABEL_STUDIO_POSTGRE_USER",
            "u",
            |s| format!("{:?}", s.database.config.get_user()),
            "Some(\"u\")",
        ),
        (
            "POSTGRE_PASSWORD",
            "p",
            |s| format!("{:?}", s.database.config.get_password()),
            "Some([112])",
        ),
        (
            "DATABASE_URL",
            "postgres://u:p%40@h:6/n",
            |s| format!("{:?}", s.database.config.get_password()),
            "Some([112, 64])",
        ),
        (
            "SESSION_ENGINE",
            "django.contrib.sessions.backends.signed_cookies",
            |s| format!("{:?}", s.session.engine),
            "SignedCookies",
        ),
        (
            "SESSION_ENGINE",
            "django.contrib.sessions.backends.cached_db",
            |s| format!("{:?}", s.session.engine),
            "Database",
        ),
        (
            "SESSION_COOKIE_NAME",
            "ls_sessionid",
            |s| s.session.cookie_name.clone(),
            "ls_sessionid",
        ),
        (
            "SESSION_COOKIE_DOMAIN",
            ".company.com",
            |s| format!("{:?}", s.session.cookie_domain),
            "Some(\".company.com\")",
        ),
        (
            "SESSION_COOKIE_DOMAIN",
            ".company.com",
            |s| format!("{:?}", s.token.cookie_domain),
            "Some(\".company.com\")",
        ),
        (
            "SESSION_COOKIE_PATH",
            "/ls",
            |s| s.session.cookie_path.clone(),
            "/ls",
        ),
        (
            "SESSION_COOKIE_SAMESITE",
            "strict",
            |s| format!("{:?}", s.session.cookie_samesite),
            "Strict",
        ),
        (
            "SESSION_COOKIE_SECURE",
            "1",
            |s| s.session.cookie_secure.to_string(),
            "true",
        ),
        (
            "SESSION_COOKIE_HTTPONLY",
            "false",
            |s| s.session.cookie_httponly.to_string(),
            "false",
        ),
        (
            "SESSION_COOKIE_AGE",
            "3600",
            |s| s.session.cookie_age.as_secs().to_string(),
            "3600",
        ),
        (
            "MAX_SESSION_AGE",
            "7200",
            |s| s.session.max_age.as_secs().to_string(),
            "7200",
        ),
        (
            "JWT_SSO_COOKIE_NAME",
            "jwt_auth_token",
            |s| format!("{:?}", s.token.cookie),
            "Some(\"jwt_auth_token\")",
        ),
        (
            "JWT_SSO_COOKIE_PATH",
            "/label-studio",
            |s| s.token.cookie_path.clone(),
            "/label-studio",
        ),
        (
            "JWT_SSO_TOKEN_PARAM",
            "jwt",
            |s| s.token.parameter.clone(),
            "jwt",
        ),
        (
            "JWT_SSO_NATIVE_USER_ID_CLAIM",
            "id",
            |s| s.native.user_id_claim.clone(),
            "id",
        ),
        (
            "SSO_TOKEN_EXPIRY",
            "1800",
            |s| s.token_issue.expires_in.as_secs().to_string(),
            "1800",
        ),
    ];
    for (variable, value, read, expected) in rows {
        assert_eq!(
            read(&load(&[(variable, value)])),
            *expected,
            "{variable}={value}"
        );
    }
}

#[test]
fn every_setting_has_a_variable_of_its_own_and_its_default_is_accepted_there() {
    let settings = load(&[]);
    for key in KEYS.iter().filter(|key| !key.secret) {
        let line = settings
            .describe()
            .lines()
            .find(|line| line.starts_with(&format!("{} = ", key.name)));
        let line = line.unwrap_or_else(|| panic!("{} has no default", key.name));
        let value = line.split('"').nth(1).expect("a value");
        let settings = load(&[(&key.variable(), value)]);
        let origin = format!("{} = \"{value}\"  # {}", key.name, key.variable());
        assert!(
            settings.describe().contains(&origin),
            "{origin}\n{}",
            settings.describe()
        );
    }
}

#[test]
fn the_own_variable_goes_over_the_alias_and_the_alias_over_the_file() {
    let file = file("[session]\ncookie_name = \"of_the_file\"\ncookie_age = 100\n");
    let name = |variables: &[(&str, &str)]| {
        Settings::load(Some(file.path()), &environment(variables))
            .unwrap_or_else(|errors| panic!("{errors}"))
            .session
            .cookie_name
    };
    let alias = ("SESSION_COOKIE_NAME", "of_the_alias");
    assert_eq!(name(&[]), "of_the_file");
    assert_eq!(name(&[alias]), "of_the_alias");
    assert_eq!(name(&[alias, ("GATE_SESSION_COOKIE_NAME", "own")]), "own");
    // docker compose passes variables on that nobody set.
    assert_eq!(name(&[("SESSION_COOKIE_NAME", "")]), "of_the_file");
}

#[test]
fn an_empty_name_switches_the_token_cookie_off() {
    assert_eq!(load(&[("GATE_TOKEN_COOKIE", "")]).token.cookie, None);
}

#[test]
fn all_errors_are_told_at_once_with_their_origin() {
    let told = errors(&[
        ("SESSION_COOKIE_AGE", "two weeks"),
        ("GATE_HTTP_LISTEN", "8090"),
        ("GATE_HTTP_LISTNE", "127.0.0.1:1"),
        ("SESSION_COOKIE_SECURE", "maybe"),
        ("GATE_DATABASE_TLS", "prefer"),
    ]);
    for expected in [
        "session.cookie_age: must be a whole number from 60 to 315360000, and is \"two weeks\" (set in SESSION_COOKIE_AGE)",
        "http.listen: must be an address and a port",
        "GATE_HTTP_LISTNE: is no setting (in the environment); did you mean GATE_HTTP_LISTEN?",
        "session.cookie_secure: must be true or false, and is \"maybe\"",
        "database.tls: must be \"disable\" or \"require\" or \"verify-full\", and is \"prefer\"",
    ] {
        assert!(told.contains(expected), "{expected}\nis not in\n{told}");
    }
    assert_eq!(told.lines().count(), 5, "{told}");
}

#[test]
fn names_in_the_file_that_nobody_reads_are_errors() {
    let file = file("[session]\ncookie_nmae = \"x\"\n[surprise]\na = 1\n");
    let errors = Settings::load(Some(file.path()), &environment(&[])).expect_err("unknown names");
    let told = errors.to_string();
    assert!(
        told.contains("session.cookie_nmae: is no setting"),
        "{told}"
    );
    assert!(told.contains("did you mean session.cookie_name?"), "{told}");
    assert!(told.contains("surprise.a: is no setting"), "{told}");
    let missing = Settings::load(Some(Path::new("/nowhere.toml")), &environment(&[]));
    assert!(
        missing
            .expect_err("no file")
            .to_string()
            .contains("/nowhere.toml")
    );
}

#[test]
fn secret_keys_that_protect_nothing_are_refused_with_the_reason() {
    for (key, reason) in [
        (
            "$(fefwefwef13;LFK{P!)@#*!)kdsjfWF2l+i5e3t(8a1n",
            "the constant of Label Studio before 1.8.2",
        ),
        (
            "$ecret-key-of-more-than-fifty-characters-0123456789",
            "starts with '$'",
        ),
        ("k3y-0f-15-bytes", "shorter than 32 bytes"),
        (
            "abababababababababababababababababababababababab",
            "fewer than 5 different",
        ),
    ] {
        let told = errors(&[("SECRET_KEY", key)]);
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains(key), "{told}");
    }
}

#[test]
fn cookies_that_no_browser_would_take_are_refused_with_the_reason() {
    for (variables, reason) in [
        (
            &[("SESSION_COOKIE_SAMESITE", "None")][..],
            "is None, which browsers accept only with",
        ),
        (
            &[("GATE_SESSION_COOKIE_PARTITIONED", "true")],
            "is true, which browsers accept only with",
        ),
        (
            &[("SESSION_COOKIE_NAME", "__Secure-id")],
            "begins with __Secure-",
        ),
        (
            &[
                ("SESSION_COOKIE_NAME", "__Host-id"),
                ("SESSION_COOKIE_SECURE", "1"),
                ("SESSION_COOKIE_PATH", "/ls"),
            ],
            "begins with __Host-",
        ),
        (
            &[("SESSION_COOKIE_NAME", "ls_auth_token")],
            "must differ from session.cookie_name",
        ),
        (&[("SESSION_COOKIE_NAME", "a b")], "must be a cookie's name"),
        (
            &[("SESSION_COOKIE_DOMAIN", "https://company.com")],
            "must be a host name",
        ),
        (
            &[("SESSION_COOKIE_DOMAIN", "company.com:8080")],
            "must be a host name",
        ),
        (&[("SESSION_COOKIE_PATH", "ls")], "must be a path"),
        (
            &[("SESSION_ENGINE", "django.contrib.sessions.backends.cache")],
            "nobody but Label Studio's own process",
        ),
        (
            &[("SESSION_ENGINE", "redis")],
            "must be django.contrib.sessions.backends.db",
        ),
        (&[("JWT_SSO_TOKEN_PARAM", "a b")], "must be made of letters"),
        (&[("GATE_POLICY_ANONYMOUS", "require")], "must be \"pass\""),
    ] {
        let told = errors(variables);
        assert!(told.contains(reason), "{reason}\nis not in\n{told}");
    }
    let settings = load(&[
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
    ]);
    assert_eq!(settings.session.cookie_samesite, SameSite::None);
}

#[test]
fn a_url_says_it_all_or_is_contradicted() {
    let url = (
        "DATABASE_URL",
        "postgres://u:p@h:5433/n?sslmode=verify-full&connect_timeout=3",
    );
    assert_eq!(load(&[url]).database.tls, Tls::VerifyFull);
    load(&[url, ("POSTGRE_HOST", "h"), ("POSTGRE_PASSWORD", "p")]);
    let told = errors(&[
        url,
        ("POSTGRE_HOST", "other"),
        ("POSTGRE_PASSWORD", "hunter2"),
    ]);
    assert!(
        told.contains("database.host: says something else than database.url"),
        "{told}"
    );
    assert!(
        told.contains("database.password: says something else") && !told.contains("hunter2"),
        "{told}"
    );
    for bad in [
        "mysql://u:hunter2@h/n",
        "u:hunter2@h",
        "postgres://u:hunter2@h:99999/n",
        "postgres://u:hunter2@h/n?sslmode=verify-ca",
    ] {
        let told = errors(&[("DATABASE_URL", bad)]);
        assert!(
            told.contains("database.url: ") && !told.contains("hunter2"),
            "{told}"
        );
    }
}

#[test]
fn a_secret_can_come_from_a_file() {
    let secret = file(&format!("{SECRET}-of-the-file\n"));
    let path = secret.path().to_str().expect("text");
    let settings = load(&[("SECRET_KEY", ""), ("SECRET_KEY_FILE", path)]);
    let key = settings.label_studio.secret_key.expose_secret().to_owned();
    assert_eq!(key, format!("{SECRET}-of-the-file"));
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
fn no_secret_is_shown() {
    let settings = load(&[("POSTGRE_PASSWORD", "hunter2")]);
    let shown = format!("{settings:?}{}", settings.describe());
    assert!(
        !shown.contains(SECRET) && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(
        shown.contains("label_studio.secret_key = set  # SECRET_KEY"),
        "{shown}"
    );
    assert!(shown.contains("database.url = unset  # default"), "{shown}");
}

/// `docs/settings.md` is made of the registry and the defaults. `UPDATE_DOCS=1` writes it.
#[test]
fn the_table_of_settings_is_up_to_date() {
    let defaults = load(&[]);
    let mut table = String::from(concat!(
        "# Settings\n\n",
        "A TOML file (`--config FILE` or `GATE_CONFIG`), then environment variables over it. Each setting has a variable of its own; ",
        "the other names are those of Label Studio and of the plugin, so that one `.env` serves both, and the first that is set counts. A secret ",
        "can be read from a file: add `_FILE` to the variable's name. `label-studio-gate check-config` tells what is in force and where it comes from.\n\n",
        "| setting | variable | also | default | what |\n|---|---|---|---|---|\n",
    ));
    for key in KEYS {
        let line = defaults
            .describe()
            .lines()
            .find(|line| line.starts_with(&format!("{} = ", key.name)));
        let default = line
            .and_then(|line| line.split('"').nth(1))
            .unwrap_or_default();
        let code = |name: &str| {
            if name.is_empty() {
                String::new()
            } else {
                format!("`{name}`")
            }
        };
        let aliases: Vec<String> = key.aliases.iter().map(|alias| code(alias)).collect();
        let default = if key.secret { "" } else { default };
        let _ = writeln!(
            table,
            "| `{}` | `{}` | {} | {} | {} |",
            key.name,
            key.variable(),
            aliases.join(", "),
            code(default),
            key.help
        );
    }
    crate::documents::compare("docs/settings.md", &table);
}

#[test]
fn every_setting_stands_in_the_default_file_with_a_comment() {
    let file = include_str!("../../config/default.toml");
    let mut section = "";
    let mut commented = false;
    let mut found = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            commented = false;
        } else if line.starts_with('#') {
            commented = true;
        } else if let Some((name, _)) = line.split_once(" = ") {
            assert!(commented, "{section}.{name} has no comment above it");
            found.push(format!("{section}.{name}"));
        }
    }
    let registered: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(found, registered);
}
