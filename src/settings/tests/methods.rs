//! Rules for issuers and the host application's API.

use super::*;

const SHARED: &str = "a-secret-of-the-tests-that-two-services-share";

/// Settings, and the expected error about them.
#[test]
fn unsafe_issuers_are_refused_with_the_reason() {
    let public = public_key();
    let private = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("GATE_NATIVE_USER_ID_CLAIM", "email")],
            "native.user_id_claim: must not be another claim of the gate's tokens",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_ALLOWED_GROUPS", "a"),
            ],
            "external.allowed_groups: has no effect without groups_claim",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_STAFF_GROUPS", "a"),
            ],
            "external.staff_groups: has no effect without groups_claim",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
            ],
            "external.groups_claim: has no effect without allowed_groups",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
                ("GATE_EXTERNAL_STAFF_GROUPS", "a"),
                ("GATE_EXTERNAL_ALLOW_PRIVILEGED", "false"),
            ],
            "external.staff_groups: needs allow_privileged",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
                ("GATE_EXTERNAL_ALLOWED_GROUPS", "a"),
                ("GATE_EXTERNAL_STAFF_WITH_PASSWORD", "true"),
            ],
            "external.staff_with_password: has no effect without staff_groups",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
                ("GATE_EXTERNAL_ORGANIZATIONS", "a=1"),
            ],
            "external.organizations: has no effect without create_users",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_GROUPS_CLAIM", "groups"),
                ("JWT_SSO_AUTO_CREATE_USERS", "true"),
                ("GATE_EXTERNAL_ORGANIZATIONS", "a=first"),
            ],
            "external.organizations: must be group=ID, as annotators=3, not \"a=first\"",
        ),
        (
            &[("JWT_SSO_SECRET", SECRET)],
            "external.secret: is Label Studio's SECRET_KEY",
        ),
        (
            &[("JWT_SSO_SECRET", "shared-secret-key")],
            "external.secret: is shorter than 32 bytes",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_PREVIOUS_SECRET", "short"),
            ],
            "external.secret: is shorter than 32 bytes",
        ),
        (
            &[("JWT_SSO_SECRET", &public)],
            "external.secret: is a key in PEM form: name its algorithm",
        ),
        (
            &[("JWT_SSO_SECRET", SHARED), ("JWT_SSO_ALGORITHM", "RS256")],
            "external.secret: is not a public key in PEM form",
        ),
        (
            &[("JWT_SSO_SECRET", SHARED), ("JWT_SSO_ALGORITHM", "none")],
            "external.algorithms: must be HS256, ",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("GATE_EXTERNAL_ALGORITHMS", "HS256,RS256"),
            ],
            "external.algorithms: must be of one family",
        ),
        (
            &[("GATE_EXTERNAL_PUBLIC_KEY", &private)],
            "external.public_key: is a private key",
        ),
        (
            &[
                ("GATE_EXTERNAL_PUBLIC_KEY", &public),
                ("JWT_SSO_ALGORITHM", "RS256"),
            ],
            "external.algorithms: is of another family than the public key",
        ),
        (
            &[
                ("GATE_EXTERNAL_PUBLIC_KEY", &public),
                ("JWT_SSO_SECRET", SHARED),
            ],
            "external.secret: only one of secret, public_key, jwks_url and discovery",
        ),
        (
            &[
                ("GATE_EXTERNAL_JWKS_URL", "http://keys.test/"),
                ("GATE_EXTERNAL_AUDIENCE", "a"),
            ],
            "external.jwks_url: must begin with https://",
        ),
        (
            &[
                ("GATE_EXTERNAL_JWKS_URL", "keys.test"),
                ("GATE_EXTERNAL_AUDIENCE", "a"),
            ],
            "external.jwks_url: must be a URL",
        ),
        (
            &[("GATE_EXTERNAL_JWKS_URL", "https://keys.test/")],
            "external.audience: is required with jwks_url and discovery",
        ),
        (
            &[
                ("GATE_EXTERNAL_DISCOVERY", "ftp://x.test"),
                ("GATE_EXTERNAL_AUDIENCE", "a"),
            ],
            "external.discovery: must be a URL",
        ),
        (
            &[
                ("GATE_EXTERNAL_DISCOVERY", "https://x.test"),
                ("GATE_EXTERNAL_AUDIENCE", "a"),
                ("JWT_SSO_ALGORITHM", "HS256"),
            ],
            "external.algorithms: must be for public keys",
        ),
        (
            &[
                ("JWT_SSO_SECRET", SHARED),
                ("JWT_SSO_EMAIL_CLAIM", ""),
                ("GATE_EXTERNAL_EMAIL_CLAIM", ""),
            ],
            "external.email_claim: must not be empty",
        ),
        (
            &[("SECRET_KEY_FALLBACKS", "short")],
            "label_studio.secret_key_fallbacks: contains a weak key",
        ),
        (
            &[("GATE_EXTERNAL_ISSUERS", "{")],
            "external.issuers: is not JSON",
        ),
        (
            &[("GATE_EXTERNAL_ISSUERS", "{}")],
            "external.issuers: must be an array of tables",
        ),
        (
            &[("GATE_EXTERNAL_ISSUERS", r#"[{"name": "x"}]"#)],
            "external.issuers[0] (x).secret: an issuer needs one of",
        ),
        (
            &[(
                "GATE_EXTERNAL_ISSUERS",
                r#"[{"secret": "x", "secrets": 1}]"#,
            )],
            "external.issuers[0].secrets: is not a setting; did you mean secret? (set in GATE_EXTERNAL_ISSUERS)",
        ),
        (
            &[(
                "GATE_EXTERNAL_ISSUERS",
                r#"[{"secret": "x", "leeway_seconds": "301"}]"#,
            )],
            "external.issuers[0].leeway_seconds: must be a whole number from 0 to 300, not \"301\"",
        ),
        (
            &[(
                "GATE_EXTERNAL_ISSUERS",
                r#"[{"name": "a", "secret": "x"}, {"secret": "x"}, {"secret": "x"}, {"name": "a", "secret": "x"}]"#,
            )],
            "external.issuers[3] (a).name: \"a\" is the name of another issuer",
        ),
        (
            &[("GATE_EXTERNAL_ISSUERS", r#"["keycloak"]"#)],
            "external.issuers: must be a table",
        ),
        (
            &[("GATE_EXTERNAL_ISSUERS", r#"[{"secret_file": "/nowhere"}]"#)],
            "external.issuers[0].secret_file: cannot read /nowhere",
        ),
    ];
    for (variables, expected) in rows {
        let told = errors(variables);
        assert!(told.contains(expected), "{expected} is not in {told}");
        for secret in [SECRET, SHARED, "shared-secret-key"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn further_issuers_are_tables_in_the_file() {
    let public = public_key();
    let file = written(&format!(
        "[external]\nissuers = []\n[label_studio]\nsecret_key = \"{SECRET}\"\n"
    ));
    assert!(Settings::load(Some(file.path()), &BTreeMap::new()).is_ok());
    let file = written(&format!(
        r#"
[[external.issuers]]
name = "keycloak"
discovery = "https://sso.test/realms/x"
audience = "label-studio"
email_claim = "profile.mail"
create_users = true
required_claims = {{ "realm_access.roles" = ["annotator", "manager"], tenant = 7, sub = true }}

[[external.issuers]]
name = "own"
public_key = ['''{public}''']
algorithms = "ES256"
max_lifetime_seconds = 0
"#
    ));
    let settings = Settings::load(Some(file.path()), &environment(&[]));
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
    let [keycloak, own] = settings.external.issuers.as_slice() else {
        panic!("two issuers")
    };
    let issuer = keycloak.expectation.issuer.as_deref();
    assert_eq!(issuer, Some("https://sso.test/realms/x"));
    assert!(keycloak.mapping.admission.create && keycloak.mapping.admission.update_names);
    assert_eq!(keycloak.mapping.email_claim, "profile.mail");
    let required = format!("{:?}", keycloak.expectation.required);
    for part in [
        "\"annotator\"",
        "Number(7)",
        "name: \"sub\", accepted: None",
    ] {
        assert!(required.contains(part), "{required}");
    }
    assert_eq!(own.expectation.max_lifetime, None);
    assert_eq!(format!("{:?}", own.keys), "Configured(KeySet(1 keys))");
    assert!(settings.describe().contains("external.issuers = set"));
}

#[test]
fn a_public_key_is_accepted_as_the_secret_as_in_the_plugin() {
    let settings = load(&[
        ("JWT_SSO_SECRET", &public_key()),
        ("JWT_SSO_ALGORITHM", "ES256"),
    ]);
    let keys = format!("{:?}", settings.external.issuers[0].keys);
    assert_eq!(keys, "Configured(KeySet(1 keys))");
}

#[test]
fn an_application_cookie_that_would_be_overwritten_is_refused() {
    let with = |more: &[(&'static str, &'static str)]| {
        let mut all = vec![
            (
                "JWT_SSO_SESSION_VERIFY_URL",
                "http://client-api:3000/verify",
            ),
            ("JWT_SSO_SESSION_VERIFY_SECRET", "shared-verify-secret"),
        ];
        all.extend(more);
        all
    };
    // The guide's own examples: the same name, domain and path.
    for same in [
        &[][..],
        &[("SESSION_COOKIE_DOMAIN", ".company.com")],
        &[
            ("SESSION_COOKIE_DOMAIN", ".company.com"),
            ("GATE_CLIENT_SESSION_COOKIE_DOMAIN", "Company.com"),
        ],
        &[
            ("SESSION_COOKIE_PATH", "/x"),
            ("GATE_CLIENT_SESSION_COOKIE_PATH", "/x"),
        ],
    ] {
        let told = errors(&with(same));
        assert!(
            told.contains("would overwrite each other's session"),
            "{told}"
        );
    }
    for apart in [
        &[("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid")],
        &[("SESSION_COOKIE_NAME", "ls_sessionid")],
        &[("SESSION_COOKIE_PATH", "/label-studio")],
        &[("GATE_CLIENT_SESSION_COOKIE_DOMAIN", ".company.com")],
    ] {
        assert!(load(&with(apart)).client_session.is_some());
    }
}

#[test]
fn the_application_api_needs_a_url_and_a_secret() {
    for (url, secret, expected) in [
        ("http://x/", "", "client_session.verify_secret: is required"),
        (
            "http://x/",
            "ü",
            "client_session.verify_secret: is required",
        ),
        ("x/verify", "s", "client_session.verify_url: must be a URL"),
        ("file:///x", "s", "client_session.verify_url: must be a URL"),
    ] {
        let told = errors(&[
            ("JWT_SSO_SESSION_VERIFY_URL", url),
            ("JWT_SSO_SESSION_VERIFY_SECRET", secret),
            ("JWT_SSO_SESSION_COOKIE_NAME", "connect.sid"),
        ]);
        assert!(told.contains(expected), "{told}");
    }
}

/// Sites are separated by the public suffix list: `co.kr` and `github.io` are public suffixes.
#[test]
fn hosts_below_a_public_suffix_are_different_sites() {
    for (label_studio, application, warned) in [
        ("https://a.co.kr", "https://b.co.kr", true),
        ("https://ls.a.co.kr", "https://app.a.co.kr", false),
        ("https://a.github.io", "https://b.github.io", true),
        ("https://ls.example.com", "https://app.example.com", false),
        ("http://localhost:8080", "http://localhost:3000", false),
        ("http://10.0.0.7", "http://10.0.0.8", true),
        ("http://[::1]:8080", "http://[::1]:3000", false),
    ] {
        let warnings = warnings(&[
            ("LABEL_STUDIO_HOST", label_studio),
            ("CORS_ALLOWED_ORIGINS", application),
        ]);
        assert_eq!(
            warnings.len(),
            usize::from(warned),
            "{label_studio}: {warnings:?}"
        );
    }
}

#[test]
fn frames_that_cannot_work_are_warned_about() {
    let with = |more: &[(&'static str, &'static str)]| {
        let host = [("LABEL_STUDIO_HOST", "http://labelstudio.com")];
        let all: Vec<_> = host.iter().chain(more).copied().collect();
        warnings(&all)
    };
    for (application, warned) in [
        ("http://client.com", true),
        ("http://app.labelstudio.com", false),
        ("http://labelstudio.com:3000", false),
        ("https://labelstudio.com", true),
    ] {
        let warnings = with(&[("CORS_ALLOWED_ORIGINS", application)]);
        assert_eq!(!warnings.is_empty(), warned, "{application}: {warnings:?}");
    }
    assert_eq!(
        with(&[("GATE_POLICY_SIGN_IN_URL", "http://client.com/login")]).len(),
        1
    );
    // The same variable again: the later one counts.
    let none = [
        ("LABEL_STUDIO_HOST", "https://labelstudio.com"),
        ("CORS_ALLOWED_ORIGINS", "https://client.com"),
        ("SESSION_COOKIE_SAMESITE", "None"),
        ("SESSION_COOKIE_SECURE", "1"),
    ];
    assert_eq!(with(&none), [""; 0]);
    assert_eq!(
        warnings(&[("CORS_ALLOWED_ORIGINS", "http://client.com")]),
        [""; 0]
    );
}
