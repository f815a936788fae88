//! Tests of the settings: names, errors with their origin, and secrets that stay hidden.

mod cookies;
mod database;
mod documents;
mod file;
mod methods;
mod names;
mod pages;
mod secrets;
mod sign_in;
mod unread;
mod urls;

use std::io::Write as _;

use super::declaration::schema;
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

/// The warnings as `check-config` shows them.
fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    let warnings = load(variables).warnings();
    warnings.iter().map(ToString::to_string).collect()
}

fn errors(variables: &[(&str, &str)]) -> String {
    match Settings::load(None, &environment(variables)) {
        Ok(settings) => panic!("accepted: {}", settings.describe()),
        Err(errors) => errors.to_string(),
    }
}

/// A public key in PEM form.
fn public_key() -> String {
    rcgen::KeyPair::generate().expect("a key").public_key_pem()
}

/// What the errors in a settings file say.
fn told(text: &str) -> String {
    let file = written(text);
    match Settings::load(Some(file.path()), &environment(&[])) {
        Ok(settings) => panic!("accepted: {}", settings.describe()),
        Err(errors) => errors.to_string(),
    }
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn cookie(settings: &Settings) -> Option<&str> {
    settings.token.cookie.as_ref().map(|name| name.as_str())
}

#[test]
fn the_defaults_need_a_secret_key_and_nothing_else() {
    let settings = load(&[]);
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8090");
    assert_eq!(settings.session.engine, Engine::Database);
    assert_eq!(cookie(&settings), Some("ls_auth_token"));
    assert_eq!(settings.token_issue.expires_in.as_secs(), 600);
    assert!(errors(&[("SECRET_KEY", "")]).contains("label_studio.secret_key: is required"));
}

#[test]
fn an_empty_cookie_name_disables_tokens_in_cookies() {
    assert_eq!(cookie(&load(&[("GATE_TOKEN_COOKIE", "")])), None);
}

#[test]
fn all_errors_are_reported_at_once_with_their_origin() {
    let told = errors(&[
        ("SESSION_COOKIE_AGE", "two weeks"),
        ("GATE_HTTP_LISTEN", "8090"),
        ("GATE_HTTP_LISTNE", "127.0.0.1:1"),
        ("SESSION_COOKIE_SECURE", "maybe"),
        ("GATE_DATABASE_TLS", "prefer"),
    ]);
    for expected in [
        "session.cookie_age: must be a whole number from 60 to 315360000, not \"two weeks\" (set in SESSION_COOKIE_AGE)",
        "http.listen: must be an address and a port",
        "GATE_HTTP_LISTNE: is not a setting (in the environment); did you mean GATE_HTTP_LISTEN?",
        "session.cookie_secure: must be true or false, not \"maybe\"",
        "database.tls: must be \"disable\" or \"require\" or \"verify-full\", not \"prefer\"",
    ] {
        assert!(told.contains(expected), "{expected}\nis not in\n{told}");
    }
    assert_eq!(told.lines().count(), 5, "{told}");
}

#[test]
fn a_misspelled_log_level_is_refused() {
    for level in ["info", "OFF", "2", "info,label_studio_gate=debug"] {
        assert_eq!(*load(&[("GATE_LOG_LEVEL", level)]).log.level, level);
    }
    for level in [
        "",
        "inof",
        "warning",
        "info,hyper=wran",
        "info,",
        "warn,[span]=trace",
        "warn,hyper[{a}]=trace",
    ] {
        let told = errors(&[("GATE_LOG_LEVEL", level)]);
        let expected = format!(
            "log.level: must be off, error, warn, info, debug or trace, or directives as info,label_studio_gate=debug, not {level:?}"
        );
        assert!(told.contains(&expected), "{told}");
    }
}

/// Their target is `audit`, so a filter for modules alone drops them.
#[test]
fn a_filter_without_a_level_for_the_audit_lines_is_warned_about() {
    const WARNING: &str = "log.level has no level for the lines of the audit trail: they are not logged: write info, \
        before the directives, or audit=info";
    for (level, warned) in [
        ("label_studio_gate=debug", true),
        ("label_studio_gate=debug,audit=off", false),
        ("label_studio_gate=debug,audit=info", false),
        ("info,label_studio_gate=debug", false),
        ("label_studio_gate=debug,warn", false),
        ("warn", false),
        ("off", false),
    ] {
        let warnings = warnings(&[("GATE_LOG_LEVEL", level)]);
        match warned {
            true => assert_eq!(warnings, [WARNING], "{level}"),
            false => assert_eq!(warnings, [""; 0], "{level}"),
        }
    }
}

#[test]
fn an_open_path_that_covers_every_request_is_warned_about() {
    let require = ("GATE_POLICY_ANONYMOUS", "require");
    let below = ("LABEL_STUDIO_HOST", "https://example.com/label-studio");
    for (path, more, warned) in [
        ("/*", &[require][..], true),
        ("/health,/*", &[require], true),
        ("/label-studio/*", &[require, below], true),
        ("/label-studio/*", &[require], false),
        ("/static/*", &[require, below], false),
        ("/", &[require], false),
        ("/*", &[], false),
    ] {
        let all = [&[("GATE_POLICY_OPEN_PATHS", path)], more].concat();
        let warnings = warnings(&all);
        assert_eq!(warnings.len(), usize::from(warned), "{path}: {warnings:?}");
        if let Some(warning) = warnings.first() {
            assert!(
                warning.starts_with("policy.open_paths opens every path"),
                "{warning}"
            );
        }
    }
}

#[test]
fn one_address_cannot_have_two_listeners() {
    for (listen, internal, accepted) in [
        ("127.0.0.1:8090", "127.0.0.1:8090", false),
        ("0.0.0.0:8090", "127.0.0.1:8090", false),
        ("[::1]:8090", "[::]:8090", false),
        ("127.0.0.1:8090", "127.0.0.1:8091", true),
        ("127.0.0.1:8090", "10.0.0.7:8090", true),
        ("127.0.0.1:0", "127.0.0.1:0", true),
    ] {
        let variables = [
            ("GATE_HTTP_LISTEN", listen),
            ("GATE_HTTP_INTERNAL_LISTEN", internal),
        ];
        if accepted {
            load(&variables);
            continue;
        }
        let told = errors(&variables);
        let expected = "http.internal_listen: must be another address than http.listen";
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn required_names_must_not_be_empty() {
    for name in [
        "native.user_id_claim",
        "database.host",
        "database.name",
        "database.user",
    ] {
        let setting = Setting::find(name).expect("registered");
        let told = errors(&[(&setting.variable(), "")]);
        assert!(
            told.contains(&format!("{name}: must not be empty")),
            "{told}"
        );
    }
}

#[test]
fn weak_secret_keys_are_refused_with_the_reason() {
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
fn unusable_cookies_and_policies_are_refused_with_the_reason() {
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
            "only Label Studio's own process can reach them",
        ),
        (
            &[("SESSION_ENGINE", "redis")],
            "must be django.contrib.sessions.backends.db",
        ),
        (
            &[("JWT_SSO_TOKEN_PARAM", "a b")],
            "token.parameter: must be made of letters",
        ),
        (
            &[
                ("SESSION_COOKIE_NAME", "__Host-id"),
                ("SESSION_COOKIE_SECURE", "1"),
                ("SESSION_COOKIE_DOMAIN", "company.com"),
            ],
            "begins with __Host-, which browsers accept only without a domain",
        ),
        (
            &[("GATE_POLICY_ANONYMOUS", "refuse")],
            "must be \"pass\" or \"require\"",
        ),
        (
            &[("GATE_POLICY_OPEN_PATHS", "/health,/static*")],
            "policy.open_paths: must be a path, as /health",
        ),
        (
            &[("CORS_ALLOWED_ORIGINS", "https://app.example.com/x")],
            "policy.allowed_origins: must be an origin",
        ),
        (
            &[("GATE_POLICY_SIGN_IN_URL", "/login")],
            "policy.sign_in_url: must be a URL",
        ),
        (
            &[("GATE_POLICY_SIGNED_OUT_URL", "//elsewhere")],
            "policy.signed_out_url: must be a URL that begins with",
        ),
        (
            &[("GATE_TOKEN_USE", "twice")],
            "token.use: must be \"many\" or \"once\"",
        ),
        // It carries Label Studio's own API credentials, which have no issuer.
        (
            &[
                ("GATE_TOKEN_HEADER", "Authorization"),
                (
                    "JWT_SSO_SECRET",
                    "a-secret-of-the-tests-that-two-services-share",
                ),
            ],
            "token.header: needs an issuer in [external] with its name",
        ),
        (
            &[("GATE_TOKEN_HEADER", "X-Api-Key")],
            "token.header: must be a header's name without underscores",
        ),
        (
            &[("GATE_TOKEN_HEADER", "X-Gate-Identity")],
            "token.header: must be a header's name without underscores",
        ),
        (
            &[("GATE_TOKEN_HEADER", "Cf_Access_Jwt_Assertion")],
            "token.header: must be a header's name without underscores",
        ),
        (
            &[("GATE_TOKEN_HEADER", "Cf-Access-Jwt-Assertion")],
            "token.header: needs an issuer in [external]",
        ),
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

#[test]
fn traces_are_off_without_an_endpoint_and_checked_with_one() {
    const ENDPOINT: (&str, &str) = ("GATE_TRACES_ENDPOINT", "http://localhost:4318/v1/traces");
    let rubbish = ("GATE_TRACES_HEADERS", "secret of the tests");
    assert!(load(&[]).traces.is_none());
    let told = errors(&[ENDPOINT, rubbish]);
    assert!(
        told.contains("traces.headers: must be name=value"),
        "{told}"
    );
    assert!(!told.contains("secret of the tests"), "{told}");
    for ratio in ["1.1", "-0.1", "half", "NaN"] {
        let told = errors(&[ENDPOINT, ("GATE_TRACES_SAMPLE_RATIO", ratio)]);
        let expected = "traces.sample_ratio: must be a number from 0 to 1";
        assert!(told.contains(expected), "{told}");
    }
    for (ratio, expected) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)] {
        let settings = load(&[ENDPOINT, ("GATE_TRACES_SAMPLE_RATIO", ratio)]);
        let read = settings.traces.expect("an endpoint").sample_ratio();
        assert!((read - expected).abs() < 1e-9, "{ratio}: {read}");
    }
}

#[test]
fn headers_without_a_signature_need_a_secret() {
    const SECRET: (&str, &str) = (
        "GATE_PROXY_HEADERS_SECRET",
        "a-secret-that-only-the-proxy-in-front-knows",
    );
    const EMAIL: (&str, &str) = ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email");
    for (variables, reason) in [
        (
            &[EMAIL][..],
            "proxy_headers.secret: is required, of 32 bytes or more",
        ),
        (
            &[EMAIL, ("GATE_PROXY_HEADERS_SECRET", "short")],
            "proxy_headers.secret: is required, of 32 bytes or more",
        ),
        (
            &[("GATE_PROXY_HEADERS_USERNAME", "Remote-User")],
            "proxy_headers.secret: is required",
        ),
        (
            &[SECRET, ("GATE_PROXY_HEADERS_GROUPS", "Remote-Groups")],
            "proxy_headers.email: must name a header",
        ),
        (
            &[
                SECRET,
                EMAIL,
                ("GATE_PROXY_HEADERS_GROUPS", "Remote-Groups"),
            ],
            "proxy_headers.allowed_groups: needs proxy_headers.groups",
        ),
        (
            &[SECRET, EMAIL, ("GATE_PROXY_HEADERS_ALLOWED_GROUPS", "a")],
            "proxy_headers.allowed_groups: needs proxy_headers.groups",
        ),
        (
            &[
                SECRET,
                EMAIL,
                ("GATE_PROXY_HEADERS_USERNAME", "remote-email"),
            ],
            "proxy_headers.email: must be another header than the others",
        ),
        (
            &[SECRET, ("GATE_PROXY_HEADERS_EMAIL", "Remote_Email")],
            "proxy_headers.email: must be a header's name without underscores",
        ),
        (
            &[SECRET, ("GATE_PROXY_HEADERS_EMAIL", "Authorization")],
            "proxy_headers.email: must be a header's name without underscores",
        ),
        (
            &[SECRET, ("GATE_PROXY_HEADERS_EMAIL", "Gate-Proxy-Secret")],
            "proxy_headers.email: must be a header's name without underscores",
        ),
        (
            &[
                SECRET,
                EMAIL,
                ("GATE_TOKEN_HEADER", "Cf-Access-Jwt-Assertion"),
            ],
            "proxy_headers.email: excludes token.header",
        ),
    ] {
        let told = errors(variables);
        assert!(told.contains(reason), "{reason}\nis not in\n{told}");
    }
}
