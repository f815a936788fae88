//! Imports a whole file and loads the result in the gate.

use super::*;

const SETTINGS: &str = r#"
INSTALLED_APPS += ['label_studio_sso']
MIDDLEWARE += ['label_studio_sso.middleware.JWTAutoLoginMiddleware']
JWT_SSO_SECRET = 'too-short'
JWT_SSO_ALGORITHM = os.getenv('JWT_SSO_ALGORITHM', 'HS512')
JWT_SSO_EMAIL_CLAIM = os.getenv('OUR_CLAIM', 'mail"s')
JWT_SSO_COOKIE_NAME = None
JWT_SSO_USERNAME_CLAIM = None
JWT_SSO_FIRST_NAME_CLAIM = claim('first')
JWT_SSO_SESSION_VERIFY_SECRET = os.environ['VERIFY']
JWT_SSO_SESSION_CACHE_TTL = 60 * 5
JWT_SSO_OTHER = 1
SSO_TOKEN_EXPIRY = 600
SSO_TOKEN_EXPIRY = 1800
if DEBUG:
    SSO_AUTO_CREATE_USERS = True
SECRET_KEY = generate_secret_key_if_missing(BASE_DATA_DIR)
"#;

#[test]
fn settings_of_the_plugin_become_settings_of_the_gate() {
    let environment = [("SECRET_KEY".to_owned(), "secret-key-".repeat(5))].into();
    let text = configuration("settings.py", SETTINGS, &environment).unwrap();
    let (head, rest) = text.split_once("\n\n").unwrap();
    assert!(head.lines().all(|line| line.starts_with('#')), "{head}");
    assert_eq!(
        rest,
        r#"[token]
cookie = ""  # JWT_SSO_COOKIE_NAME, line 7

[external]
algorithms = "HS512"  # JWT_SSO_ALGORITHM, line 5, unless the variable is set
email_claim = "mail\"s"  # JWT_SSO_EMAIL_CLAIM, line 6, unless OUR_CLAIM is set, which the gate reads as JWT_SSO_EMAIL_CLAIM

[client_session]
cache_ttl_seconds = 300  # JWT_SSO_SESSION_CACHE_TTL, line 11

[token_issue]
expires_in = 1800  # SSO_TOKEN_EXPIRY, line 14
create_users = true  # SSO_AUTO_CREATE_USERS, line 16; only under a condition there

# SESSION_ENGINE is not set in this file. This is what Label Studio runs with as shipped
# (core/settings/label_studio.py). With a settings module that imports core.settings.base only, it is
# django.contrib.sessions.backends.db.
[session]
engine = "django.contrib.sessions.backends.signed_cookies"

# Secrets, which are not printed:
#   line 17: SECRET_KEY is computed: give the gate the value that Label Studio runs with, as SECRET_KEY, or in a file that SECRET_KEY_FILE names
#   line 4: JWT_SSO_SECRET is in the file: give the gate its value as the variable JWT_SSO_SECRET, or in a file that JWT_SSO_SECRET_FILE names
#   line 10: JWT_SSO_SESSION_VERIFY_SECRET comes from the variable VERIFY: give the gate its value as JWT_SSO_SESSION_VERIFY_SECRET, or in a file that JWT_SSO_SESSION_VERIFY_SECRET_FILE names

# To do by hand:
#   line 9: JWT_SSO_FIRST_NAME_CLAIM is computed: set external.first_name_claim to its value
#   line 12: JWT_SSO_OTHER is unknown to the gate

# To delete from settings.py:
#   line 2: "label_studio_sso"
#   line 3: "label_studio_sso.middleware.JWTAutoLoginMiddleware"
#   line 4: JWT_SSO_SECRET
#   line 5: JWT_SSO_ALGORITHM
#   line 6: JWT_SSO_EMAIL_CLAIM
#   line 7: JWT_SSO_COOKIE_NAME
#   line 8: JWT_SSO_USERNAME_CLAIM
#   line 9: JWT_SSO_FIRST_NAME_CLAIM
#   line 10: JWT_SSO_SESSION_VERIFY_SECRET
#   line 11: JWT_SSO_SESSION_CACHE_TTL
#   line 12: JWT_SSO_OTHER
#   line 13: SSO_TOKEN_EXPIRY
#   line 14: SSO_TOKEN_EXPIRY
#   line 16: SSO_AUTO_CREATE_USERS

# What the gate says about these settings:
#   external.secret: is shorter than 32 bytes, the minimum for HS256 (RFC 7518 §3.2): a short secret can be guessed from one token (set in JWT_SSO_SECRET)
"#
    );
    assert!(!text.contains("too-short"));
}

#[test]
fn the_gate_reads_the_result() {
    let environment: BTreeMap<String, String> = [
        ("SECRET_KEY".to_owned(), "secret-key-".repeat(5)),
        ("JWT_SSO_SECRET".to_owned(), "shared-secret-".repeat(5)),
    ]
    .into();
    let text = configuration("settings.py", SETTINGS, &environment).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let settings = Settings::load(Some(file.path()), &environment).unwrap();
    assert_eq!(settings.token.cookie, None);
    assert_eq!(settings.token_issue.expires_in.as_secs(), 1800);
    assert!(settings.token_issue.create_users);
}

#[test]
fn the_session_engine_and_lines_without_effect_are_named() {
    let environment = [("SECRET_KEY".to_owned(), "secret-key-".repeat(5))].into();
    let import = |source: &str| configuration("settings.py", source, &environment).unwrap();
    let db = "SESSION_ENGINE = 'django.contrib.sessions.backends.db'\n";
    let text = import(db);
    assert!(
        text.contains("engine = \"django.contrib.sessions.backends.db\"  # SESSION_ENGINE, line 1")
    );
    assert!(!text.contains("signed_cookies"), "{text}");
    // A table must not be opened twice.
    let text = import("SESSION_COOKIE_AGE = 3600\nX_FRAME_OPTIONS = 'SAMEORIGIN'\n");
    assert_eq!(text.matches("\n[session]\n").count(), 1, "{text}");
    assert!(
        text.contains("# engine = \"django.contrib.sessions.backends.signed_cookies\""),
        "{text}"
    );
    assert!(
        text.contains("line 2: X_FRAME_OPTIONS has no effect"),
        "{text}"
    );
}

#[test]
fn a_secret_is_not_printed_under_another_name() {
    for source in [
        "SSO_TOKEN_EXPIRY = JWT_SSO_SECRET = 'text-of-the-secret'\n",
        "SSO_TOKEN_EXPIRY = a, \\\nJWT_SSO_SECRET = 'text-of-the-secret'\n",
        "KEY = 'text-of-the-secret'\nJWT_SSO_SECRET = KEY\nSSO_TOKEN_EXPIRY = KEY\n",
        "JWT_SSO_SECRET = 'text-of-the-secret'\nSSO_TOKEN_EXPIRY = ['text-of-the-secret', 1]\n",
        "SSO_TOKEN_EXPIRY = 'text-of-the-secret'\nif x:\n    JWT_SSO_SECRET = 'text-of-the-secret'\nJWT_SSO_SECRET = ''\n",
    ] {
        let text = configuration("settings.py", source, &BTreeMap::new()).unwrap();
        assert!(!text.contains("text-of-the-secret"), "{text}");
        assert!(text.contains(": set token_issue.expires_in"), "{text}");
    }
}
