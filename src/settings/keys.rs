//! Every setting there is: its name, the environment variables that set it, and what it is for.

/// A setting.
#[derive(Debug)]
pub struct Key {
    /// Its place in the file: `section.name`.
    pub name: &'static str,
    /// Variables by which Label Studio or the plugin know it, the first that is set counts.
    pub aliases: &'static [&'static str],
    /// Whether its value must not be shown. Such a setting can come from a file, named in a variable that ends in `_FILE`.
    pub secret: bool,
    /// What it is for, in the table of the documentation.
    pub help: &'static str,
}

impl Key {
    /// The gate's own variable for it.
    pub fn variable(&self) -> String {
        format!("GATE_{}", self.name.replace('.', "_").to_uppercase())
    }
}

const fn key(name: &'static str, aliases: &'static [&'static str], help: &'static str) -> Key {
    Key {
        name,
        aliases,
        secret: false,
        help,
    }
}

const fn secret(name: &'static str, aliases: &'static [&'static str], help: &'static str) -> Key {
    Key {
        name,
        aliases,
        secret: true,
        help,
    }
}

/// All of them, in the order of the file.
///
/// Label Studio looks a name up with the prefixes `LABEL_STUDIO_` and `HEARTEX_` first (`label_studio/core/utils/params.py`), except for
/// `SECRET_KEY`, which it reads in another way.
pub const KEYS: &[Key] = &[
    key(
        "http.listen",
        &[],
        "address and port on which the proxy reaches the gate",
    ),
    key("http.workers", &[], "threads; 0: one for each processor"),
    key(
        "http.keep_alive_seconds",
        &[],
        "how long an idle connection of the proxy is kept open",
    ),
    key(
        "http.shutdown_seconds",
        &[],
        "how long open requests may take to finish after SIGTERM",
    ),
    key(
        "http.max_connections",
        &[],
        "connections a worker accepts at once",
    ),
    key("log.format", &[], "`human` or `json`"),
    key(
        "log.level",
        &[],
        "a level, or directives as `info,label_studio_gate=debug`",
    ),
    secret(
        "label_studio.secret_key",
        &["SECRET_KEY"],
        "Label Studio's `SECRET_KEY`; required",
    ),
    secret(
        "database.url",
        &["DATABASE_URL"],
        "`postgres://user:password@host:port/name`, instead of the five parts; what it leaves out is taken from them",
    ),
    key(
        "database.host",
        &[
            "LABEL_STUDIO_POSTGRE_HOST",
            "HEARTEX_POSTGRE_HOST",
            "POSTGRE_HOST",
        ],
        "host of Postgres",
    ),
    key(
        "database.port",
        &[
            "LABEL_STUDIO_POSTGRE_PORT",
            "HEARTEX_POSTGRE_PORT",
            "POSTGRE_PORT",
        ],
        "its port",
    ),
    key(
        "database.name",
        &[
            "LABEL_STUDIO_POSTGRE_NAME",
            "HEARTEX_POSTGRE_NAME",
            "POSTGRE_NAME",
        ],
        "Label Studio's database",
    ),
    key(
        "database.user",
        &[
            "LABEL_STUDIO_POSTGRE_USER",
            "HEARTEX_POSTGRE_USER",
            "POSTGRE_USER",
        ],
        "the role; `sql/role.sql` makes one with the least rights",
    ),
    secret(
        "database.password",
        &[
            "LABEL_STUDIO_POSTGRE_PASSWORD",
            "HEARTEX_POSTGRE_PASSWORD",
            "POSTGRE_PASSWORD",
        ],
        "its password",
    ),
    key("database.tls", &[], "`disable`, `require` or `verify-full`"),
    key(
        "database.tls_ca_file",
        &[],
        "certificates to trust instead of the system's (PEM)",
    ),
    key("database.pool_size", &[], "connections at most"),
    key(
        "database.queue",
        &[],
        "how many more requests may wait for one; past that 503 at once",
    ),
    key(
        "database.wait_timeout_ms",
        &[],
        "how long a request waits for a connection",
    ),
    key(
        "database.connect_timeout_ms",
        &[],
        "how long connecting may take",
    ),
    key(
        "database.statement_timeout_ms",
        &[],
        "how long a statement may take",
    ),
    key(
        "database.cache_seconds",
        &[],
        "how old a user's row may be; 0: it is always read",
    ),
    key(
        "database.cache_capacity",
        &[],
        "how many rows are remembered",
    ),
    key(
        "token.cookie",
        &["JWT_SSO_COOKIE_NAME"],
        "name of the token's cookie; empty: cookies are not looked at",
    ),
    key(
        "token.cookie_path",
        &["JWT_SSO_COOKIE_PATH"],
        "path under which it is deleted",
    ),
    key(
        "token.cookie_domain",
        &[],
        "domain under which it is deleted; empty: that of the session's cookie",
    ),
    key(
        "token.parameter",
        &["JWT_SSO_TOKEN_PARAM"],
        "name of the query parameter",
    ),
    key(
        "token.max_length",
        &[],
        "longer tokens are refused unread; bytes",
    ),
    key(
        "native.user_id_claim",
        &["JWT_SSO_NATIVE_USER_ID_CLAIM"],
        "the claim that holds the user's primary key",
    ),
    key(
        "native.leeway_seconds",
        &[],
        "how many seconds `exp` and `nbf` may be off",
    ),
    key(
        "session.engine",
        &["SESSION_ENGINE"],
        "Django's `SESSION_ENGINE`, as Label Studio runs with it",
    ),
    key(
        "session.cookie_name",
        &["SESSION_COOKIE_NAME"],
        "name of the session's cookie",
    ),
    key(
        "session.cookie_domain",
        &["SESSION_COOKIE_DOMAIN"],
        "its domain; empty: the host alone",
    ),
    key("session.cookie_path", &["SESSION_COOKIE_PATH"], "its path"),
    key(
        "session.cookie_samesite",
        &[
            "LABEL_STUDIO_SESSION_COOKIE_SAMESITE",
            "HEARTEX_SESSION_COOKIE_SAMESITE",
            "SESSION_COOKIE_SAMESITE",
        ],
        "`Lax`, `Strict` or `None`",
    ),
    key(
        "session.cookie_secure",
        &[
            "LABEL_STUDIO_SESSION_COOKIE_SECURE",
            "HEARTEX_SESSION_COOKIE_SECURE",
            "SESSION_COOKIE_SECURE",
        ],
        "sent over HTTPS alone",
    ),
    key(
        "session.cookie_httponly",
        &["SESSION_COOKIE_HTTPONLY"],
        "hidden from scripts",
    ),
    key(
        "session.cookie_partitioned",
        &[],
        "kept apart for each site it is embedded in (CHIPS)",
    ),
    key("session.cookie_age", &["SESSION_COOKIE_AGE"], "seconds"),
    key(
        "session.max_age",
        &[
            "LABEL_STUDIO_MAX_SESSION_AGE",
            "HEARTEX_MAX_SESSION_AGE",
            "MAX_SESSION_AGE",
        ],
        "seconds after its login in which Label Studio ends a session, where the organization has no policy",
    ),
    key(
        "token_issue.expires_in",
        &["SSO_TOKEN_EXPIRY"],
        "seconds for which an issued token is good",
    ),
    key(
        "token_issue.legacy_api_tokens",
        &[],
        "`organization`: legacy API tokens count where the organization allows them; `allow`: always",
    ),
    key(
        "token_issue.rate_limit_per_second",
        &[],
        "tokens per second and administrator; 0: no limit",
    ),
    key(
        "token_issue.failures_per_minute",
        &[],
        "wrong API tokens per minute and client address; 0: no limit",
    ),
    key(
        "policy.anonymous",
        &[],
        "what happens to a request without a token: `pass`",
    ),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that is most like `unknown`, for an error that helps.
pub(super) fn nearest(unknown: &str, known: impl Iterator<Item = String>) -> Option<String> {
    known
        .map(|name| (distance(unknown, &name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .map(|(_, name)| name)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
