//! The environment variables of each setting, and their precedence.

use super::*;
use crate::settings::declaration::{accepts, choices};

/// The names that Label Studio, the plugin and the guide use. Each line has the variable, its
/// value, and the expected result.
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
            |s| s.session.cookie_name.to_string(),
            "ls_sessionid",
        ),
        (
            "SESSION_COOKIE_DOMAIN",
            ".company.com",
            |s| format!("{:?}", s.session.cookie_domain.as_deref()),
            "Some(\".company.com\")",
        ),
        (
            "SESSION_COOKIE_DOMAIN",
            ".company.com",
            |s| format!("{:?}", s.token.cookie_domain.as_deref()),
            "Some(\".company.com\")",
        ),
        (
            "SESSION_COOKIE_PATH",
            "/ls",
            |s| s.session.cookie_path.to_string(),
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
            |s| format!("{:?}", s.token.cookie.as_deref()),
            "Some(\"jwt_auth_token\")",
        ),
        (
            "JWT_SSO_COOKIE_PATH",
            "/label-studio",
            |s| s.token.cookie_path.to_string(),
            "/label-studio",
        ),
        (
            "JWT_SSO_TOKEN_PARAM",
            "jwt",
            |s| s.token.parameter.to_string(),
            "jwt",
        ),
        (
            "JWT_SSO_NATIVE_USER_ID_CLAIM",
            "id",
            |s| s.native.user_id_claim.clone(),
            "id",
        ),
        (
            "SSO_AUTO_CREATE_USERS",
            "true",
            |s| s.token_issue.create_users.to_string(),
            "true",
        ),
        (
            "JWT_SSO_VERIFY_NATIVE_TOKEN",
            "true",
            |s| s.native.api_tokens.to_string(),
            "true",
        ),
        (
            "SECRET_KEY_FALLBACKS",
            "a-former-key-of-more-than-32-bytes-0123,another-former-key-of-more-than-32-bytes",
            |s| s.label_studio.secret_key_fallbacks.len().to_string(),
            "2",
        ),
        (
            "JWT_SSO_SECRET",
            SHARED,
            |s| format!("{:?}", s.external.issuers[0].keys),
            "Configured(KeySet(1 keys))",
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

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

/// Every name in the guide's reference for methods 1 and 3.
#[test]
fn every_name_in_the_reference_of_the_guide_works() {
    type Read = fn(&Settings) -> String;
    let rules = |s: &Settings| s.external.issuers[0].mapping.clone();
    assert_eq!(
        rules(&load(&[("JWT_SSO_SECRET", SHARED)])).email_claim,
        "email"
    );
    let rows: &[(&str, &str, Read, &str)] = &[
        ("JWT_SSO_ALGORITHM", "HS512", algorithms, "[HS512]"),
        (
            "JWT_SSO_EMAIL_CLAIM",
            "user_email",
            |s| s.external.issuers[0].mapping.email_claim.clone(),
            "user_email",
        ),
        (
            "JWT_SSO_USERNAME_CLAIM",
            "username",
            |s| format!("{:?}", s.external.issuers[0].mapping.username_claim),
            "Some(\"username\")",
        ),
        (
            "JWT_SSO_FIRST_NAME_CLAIM",
            "given_name",
            |s| s.external.issuers[0].mapping.first_name_claim.clone(),
            "given_name",
        ),
        (
            "JWT_SSO_LAST_NAME_CLAIM",
            "family_name",
            |s| s.external.issuers[0].mapping.last_name_claim.clone(),
            "family_name",
        ),
        (
            "JWT_SSO_AUTO_CREATE_USERS",
            "True",
            |s| s.external.issuers[0].mapping.admission.create.to_string(),
            "true",
        ),
        (
            "JWT_SSO_SESSION_VERIFY_URL",
            "http://client-api:3000/api/auth/verify-session",
            |s| client(s).verify_url.to_string(),
            "http://client-api:3000/api/auth/verify-session",
        ),
        (
            "JWT_SSO_SESSION_VERIFY_SECRET",
            "shared-verify-secret",
            |s| secrecy::ExposeSecret::expose_secret(&*client(s).settings.verify_secret).to_owned(),
            "shared-verify-secret",
        ),
        (
            "JWT_SSO_SESSION_COOKIE_NAME",
            "JSESSIONID",
            |s| client(s).settings.cookie_name.to_string(),
            "JSESSIONID",
        ),
        (
            "JWT_SSO_SESSION_VERIFY_TIMEOUT",
            "3",
            |s| {
                client(s)
                    .settings
                    .verify_timeout_seconds
                    .as_secs()
                    .to_string()
            },
            "3",
        ),
        (
            "JWT_SSO_SESSION_CACHE_TTL",
            "0",
            |s| client(s).settings.cache_ttl_seconds.as_secs().to_string(),
            "0",
        ),
        (
            "JWT_SSO_SESSION_EMAIL_FIELD",
            "user.mail",
            |s| client(s).mapping().email_claim,
            "user.mail",
        ),
        (
            "JWT_SSO_SESSION_USERNAME_FIELD",
            "login",
            |s| format!("{:?}", client(s).mapping().username_claim),
            "Some(\"login\")",
        ),
        (
            "JWT_SSO_SESSION_FIRST_NAME_FIELD",
            "given",
            |s| client(s).mapping().first_name_claim,
            "given",
        ),
        (
            "JWT_SSO_SESSION_LAST_NAME_FIELD",
            "family",
            |s| client(s).mapping().last_name_claim,
            "family",
        ),
        (
            "JWT_SSO_SESSION_AUTO_CREATE_USERS",
            "false",
            |s| client(s).mapping().admission.create.to_string(),
            "false",
        ),
    ];
    for (variable, value, read, expected) in rows {
        let mut all = vec![
            ("JWT_SSO_SECRET", SHARED),
            ("JWT_SSO_SESSION_VERIFY_URL", "http://client/verify"),
            ("JWT_SSO_SESSION_VERIFY_SECRET", "secret"),
            ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
        ];
        all.retain(|(name, _)| name != variable);
        all.push((variable, value));
        assert_eq!(read(&load(&all)), *expected, "{variable}={value}");
    }
    let defaults = load(&[
        ("JWT_SSO_SESSION_VERIFY_URL", "http://client/verify"),
        ("JWT_SSO_SESSION_VERIFY_SECRET", "secret"),
        ("SESSION_COOKIE_PATH", "/label-studio"),
    ]);
    let defaults = client(&defaults);
    assert_eq!(*defaults.settings.cookie_name, "sessionid");
    assert_eq!(defaults.settings.cache_ttl_seconds.as_secs(), 300);
    assert_eq!(defaults.limits().timeout.as_secs(), 5);
    assert!(defaults.mapping().admission.create);
    // Users may be able to choose their usernames; only an operator knows whether they can.
    assert_eq!(defaults.mapping().username_claim, None);
    assert!(load(&[]).client_session.is_none() && load(&[]).external.issuers.is_empty());
}

/// The algorithms of the first issuer's secret.
fn algorithms(settings: &Settings) -> String {
    let IssuerKeys::Configured(keys) = &settings.external.issuers[0].keys else {
        panic!("a secret")
    };
    let names = ["HS256", "HS384", "HS512"].map(|name| name.parse().expect("an algorithm"));
    let is_allowed = |name: &jsonwebtoken::Algorithm| {
        let mut keys = keys.clone();
        keys.restrict(&[*name]);
        !keys.is_empty()
    };
    let allowed = names.into_iter().filter(is_allowed);
    format!("{:?}", allowed.collect::<Vec<jsonwebtoken::Algorithm>>())
}

fn client(settings: &Settings) -> &ClientSession {
    settings.client_session.as_ref().expect("method 3 is on")
}

#[test]
fn every_setting_has_a_variable_of_its_own_and_its_default_is_accepted_there() {
    let settings = load(&[]);
    for key in Setting::all().iter().filter(|key| !key.secret) {
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

/// An accepted value, different for each variable where possible.
fn sample(setting: &Setting, variable: &str) -> String {
    let schema = &setting.schema;
    if let Some(choice) = choices(schema).first() {
        return (*choice).to_owned();
    }
    if accepts(schema, "boolean") {
        return "true".to_owned();
    }
    if accepts(schema, "integer") {
        let number = schema["minimum"].as_u64().unwrap_or_default() + variable.len() as u64;
        let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
        return number.min(most).to_string();
    }
    match setting.name.as_str() {
        "label_studio.secret_key" | "label_studio.secret_key_fallbacks" | "external.secret" => {
            format!("{SECRET}-{variable}")
        }
        "external.algorithms" => "HS512".to_owned(),
        "client_session.verify_url" | "label_studio.url" => {
            format!("http://{}/", variable.replace('_', "-"))
        }
        "policy.allowed_origins" => "https://app.example.com".to_owned(),
        "session.engine" => "signed_cookies".to_owned(),
        "session.cookie_path" | "token.cookie_path" => format!("/{variable}"),
        "session.cookie_domain" => format!("{}.example", variable.replace('_', "-")),
        _ => variable.to_owned(),
    }
}

#[test]
fn each_alias_of_each_setting_is_read_and_the_first_counts() {
    for key in Setting::all()
        .iter()
        .filter(|key| key.name != "database.url")
    {
        let value = |variable: &str| sample(key, variable);
        let values: Vec<String> = key.aliases.iter().map(|alias| value(alias)).collect();
        let mut variables: Vec<(&str, &str)> = (key.aliases.iter().map(String::as_str))
            .zip(values.iter().map(String::as_str))
            .collect();
        let more = [
            ("GATE_CLIENT_SESSION_VERIFY_SECRET", "a-verify-secret"),
            ("GATE_CLIENT_SESSION_COOKIE_NAME", "connect.sid"),
        ];
        let more = more
            .into_iter()
            .filter(|(name, _)| key.name == "client_session.verify_url" && !name.is_empty());
        while let Some((first, value)) = variables.first() {
            let shown = if key.secret {
                "set".to_owned()
            } else {
                format!("{value:?}")
            };
            let line = format!("{} = {shown}  # {first}\n", key.name);
            let all: Vec<_> = variables.iter().copied().chain(more.clone()).collect();
            let settings = load(&all);
            let told = settings.describe();
            assert!(told.contains(&line), "{line} is not in\n{told}");
            variables.remove(0);
        }
    }
}

#[test]
fn own_variables_override_aliases_and_aliases_override_the_file() {
    let file = written("[session]\ncookie_name = \"of_the_file\"\ncookie_age = 100\n");
    let name = |variables: &[(&str, &str)]| {
        Settings::load(Some(file.path()), &environment(variables))
            .unwrap_or_else(|errors| panic!("{errors}"))
            .session
            .cookie_name
            .to_string()
    };
    let alias = ("SESSION_COOKIE_NAME", "of_the_alias");
    assert_eq!(name(&[]), "of_the_file");
    assert_eq!(name(&[alias]), "of_the_alias");
    assert_eq!(name(&[alias, ("GATE_SESSION_COOKIE_NAME", "own")]), "own");
    // docker compose passes unset variables on as empty text.
    assert_eq!(name(&[("SESSION_COOKIE_NAME", "")]), "of_the_file");
    // The plugin's way to switch cookies off.
    assert_eq!(cookie(&load(&[("JWT_SSO_COOKIE_NAME", "")])), None);
    assert_eq!(cookie(&load(&[("JWT_SSO_COOKIE_NAME", "x")])), Some("x"));
}

#[test]
fn a_variable_of_another_service_or_of_kubernetes_is_named_as_that() {
    for (name, value, expected) in [
        ("GATE_SECRET_KEY", "x", "; did you mean SECRET_KEY?"),
        (
            "GATE_SECRET_KEY_FILE",
            "/x",
            "; did you mean SECRET_KEY_FILE?",
        ),
        ("GATE_POSTGRE_HOST", "db", "; did you mean POSTGRE_HOST?"),
        ("GATE_PORT", "tcp://10.0.0.1:8090", KUBERNETES),
        ("GATE_PORT_8090_TCP", "tcp://10.0.0.1:8090", KUBERNETES),
        ("GATE_PORT_8090_TCP_ADDR", "10.0.0.1", KUBERNETES),
        ("GATE_PORT_8090_TCP_PROTO", "tcp", KUBERNETES),
        ("GATE_SERVICE_HOST", "10.0.0.1", KUBERNETES),
        ("GATE_SERVICE_PORT", "8090", KUBERNETES),
        ("GATE_INTERNAL_SERVICE_PORT_HTTP", "8090", KUBERNETES),
        ("GATE_PORT", "8090", ""),
    ] {
        let told = errors(&[(name, value)]);
        let expected = format!("{name}: is not a setting (in the environment){expected}\n");
        assert!(told.contains(&expected), "{expected} is not in {told}");
    }
}

const KUBERNETES: &str =
    "; Kubernetes sets it for a Service: set enableServiceLinks: false in the Pod";

#[test]
fn misspelled_variables_of_the_plugin_are_warned_about_with_a_suggestion() {
    let warnings = |name: &str| warnings(&[(name, "1")]);
    for (misspelled, meant) in [
        ("JWT_SSO_COOKIE_NMAE", "; did you mean JWT_SSO_COOKIE_NAME?"),
        (
            "JWT_SSO_SECRETS_FILE",
            "; did you mean JWT_SSO_SECRET_FILE?",
        ),
        ("SSO_TOKEN_EXPIRES", "; did you mean SSO_TOKEN_EXPIRY?"),
        ("JWT_SSO_X", ""),
    ] {
        let expected = format!("{misspelled}: is not a setting (in the environment){meant}");
        assert_eq!(warnings(misspelled), [expected]);
    }
    // Known variables, and those of other software.
    for name in ["SSO_AUTO_CREATE_USERS", "JWT_SECRET", "SSO_PROVIDER"] {
        assert_eq!(warnings(name), [""; 0]);
    }
}

/// The environment holds text; the file may hold typed values.
#[test]
fn values_from_the_environment_and_the_file_are_read_alike() {
    for (setting, in_file, in_environment) in [
        ("session.cookie_age", "3600", " 3600 "),
        ("session.cookie_secure", "true", "Yes"),
        ("session.cookie_samesite", "\"Strict\"", "strict"),
        ("http.proxies", "[\"nginx\", \"caddy\"]", "nginx, Caddy,"),
        ("http.internal_listen", "\"[::1]:8091\"", "[::1]:8091"),
        ("token.cookie_partitioned", "true", "True"),
        ("policy.open_paths", "[\"/a\", \"/b/*\"]", "/a,/b/*"),
    ] {
        let (section, field) = setting.split_once('.').expect("a section");
        let file = written(&format!("[{section}]\n{field} = {in_file}\n"));
        let from_file = Settings::load(Some(file.path()), &environment(&[]));
        let from_file = from_file.unwrap_or_else(|errors| panic!("{errors}"));
        let variable = Setting::find(setting).expect("declared").variable();
        let from_environment = load(&[(&variable, in_environment)]);
        let without_origins = |settings: &Settings| {
            let sections = format!("{settings:?}");
            let (sections, _) = sections.split_once("in_force").expect("the last fields");
            sections.to_owned()
        };
        assert_eq!(
            without_origins(&from_file),
            without_origins(&from_environment)
        );
        assert_ne!(
            without_origins(&from_file),
            without_origins(&load(&[])),
            "{setting}"
        );
    }
}
