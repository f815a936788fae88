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
    key(
        "http.proxies",
        &[],
        "kinds of proxy whose check routes exist: `nginx`, `ingress-nginx`, `caddy` (also HAProxy), `traefik`, `envoy`",
    ),
    key(
        "http.trusted_proxies",
        &[],
        "addresses and networks of the proxies whose `X-Real-IP` is believed",
    ),
    key(
        "http.internal_listen",
        &[],
        "a second address, which alone serves checks, health and metrics; empty: `http.listen` serves everything",
    ),
    key(
        "http.body_timeout_seconds",
        &[],
        "time limit for receiving a request's body",
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
    key(
        "label_studio.url",
        &["LABEL_STUDIO_HOST", "HEARTEX_HOST"],
        "where browsers reach Label Studio, for the advice of `check-config`",
    ),
    secret(
        "label_studio.secret_key_fallbacks",
        &["SECRET_KEY_FALLBACKS"],
        "`SECRET_KEY`s of before, a list or separated by commas: tokens that they signed are still accepted",
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
        "token.cookie_samesite",
        &[],
        "`SameSite` with which it is deleted: `auto` (that of the session's cookie), `Lax`, `Strict` or `None`",
    ),
    key(
        "token.cookie_partitioned",
        &[],
        "whether it is deleted as a partitioned cookie: `auto` (as the session's cookie), `true` or `false`",
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
        "token.use",
        &[],
        "`many`: a token is good until it expires; `once`: it opens one session (needs `label-studio-gate migrate`)",
    ),
    key(
        "token.once_window_seconds",
        &[],
        "in which time the requests that a page makes at once, from one address, may bring it",
    ),
    secret(
        "external.secret",
        &["JWT_SSO_SECRET"],
        "method 1: the secret shared with your issuer; with an algorithm for public keys, that key in PEM form",
    ),
    secret(
        "external.previous_secret",
        &[],
        "the one before, while it is being changed",
    ),
    secret(
        "external.public_key",
        &[],
        "the issuer's public key, or several, in PEM form",
    ),
    key(
        "external.jwks_url",
        &[],
        "where the issuer publishes its keys (JWKS)",
    ),
    key(
        "external.discovery",
        &[],
        "URL of an OpenID provider, whose discovery document names its keys",
    ),
    key(
        "external.algorithms",
        &["JWT_SSO_ALGORITHM"],
        "algorithms that are accepted, of one family; empty: HS256 for a secret, those of the key otherwise",
    ),
    key(
        "external.issuer",
        &[],
        "`iss` of its tokens; empty: not looked at",
    ),
    key(
        "external.audience",
        &[],
        "`aud` of its tokens, one or several; required with `jwks_url` and `discovery`",
    ),
    key(
        "external.leeway_seconds",
        &[],
        "how many seconds `exp` and `nbf` may be off",
    ),
    key(
        "external.max_lifetime_seconds",
        &[],
        "the longest time from `iat` to `exp`; 0: any",
    ),
    key(
        "external.required_claims",
        &[],
        "claims that must be there, as `name` or `name=value`",
    ),
    key(
        "external.email_claim",
        &["JWT_SSO_EMAIL_CLAIM"],
        "the claim with the e-mail address; dots lead into nested objects, here and below",
    ),
    key(
        "external.username_claim",
        &["JWT_SSO_USERNAME_CLAIM"],
        "the claim with the user's name, by which users without an e-mail claim are found",
    ),
    key(
        "external.first_name_claim",
        &["JWT_SSO_FIRST_NAME_CLAIM"],
        "the claim with the first name",
    ),
    key(
        "external.last_name_claim",
        &["JWT_SSO_LAST_NAME_CLAIM"],
        "the claim with the last name",
    ),
    key(
        "external.create_users",
        &["JWT_SSO_AUTO_CREATE_USERS"],
        "whether unknown users get an account; needs `sql/role.sql` with `create_users`",
    ),
    key(
        "external.update_names",
        &[],
        "whether first and last name follow the claims",
    ),
    key(
        "external.allow_privileged",
        &[],
        "whether staff and superusers may come in this way",
    ),
    key(
        "external.accept_unverified_email",
        &[],
        "whether an address counts that comes with `email_verified: false`",
    ),
    key(
        "external.allow_http",
        &[],
        "whether keys may be read over plain HTTP",
    ),
    secret(
        "external.issuers",
        &[],
        "further issuers: `[[external.issuers]]` in the file, a JSON array in the variable",
    ),
    key(
        "key_server.refresh_seconds",
        &[],
        "how often keys are read again",
    ),
    key(
        "key_server.cooldown_seconds",
        &[],
        "after which time a token with an unknown `kid` has them read once more",
    ),
    key(
        "key_server.timeout_ms",
        &[],
        "how long a key server may take",
    ),
    key("key_server.max_bytes", &[], "longer answers are not read"),
    key(
        "key_server.redirects",
        &[],
        "how many redirects are followed",
    ),
    key(
        "key_server.ca_file",
        &[],
        "certificates to trust instead of the system's (PEM)",
    ),
    key(
        "native.enabled",
        &[],
        "method 2: whether tokens of `POST /api/sso/token` log in",
    ),
    key(
        "native.api_tokens",
        &["JWT_SSO_VERIFY_NATIVE_TOKEN"],
        "whether Label Studio's own API tokens (access tokens, and personal access tokens of 200 years) log in",
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
        "native.max_lifetime_seconds",
        &[],
        "the longest time from `iat` to `exp` of a native token; 0: any",
    ),
    key(
        "client_session.verify_url",
        &["JWT_SSO_SESSION_VERIFY_URL"],
        "method 3: the API of your application that says whose session a cookie names; empty: off",
    ),
    secret(
        "client_session.verify_secret",
        &["JWT_SSO_SESSION_VERIFY_SECRET"],
        "sent to it in `X-Verify-Token`; required with `verify_url`",
    ),
    key(
        "client_session.cookie_name",
        &["JWT_SSO_SESSION_COOKIE_NAME"],
        "name of your application's session cookie",
    ),
    key(
        "client_session.cookie_domain",
        &[],
        "its domain, where it has the name of Label Studio's; empty: that of the session's cookie",
    ),
    key(
        "client_session.cookie_path",
        &[],
        "its path, where it has the name of Label Studio's",
    ),
    key(
        "client_session.verify_timeout_seconds",
        &["JWT_SSO_SESSION_VERIFY_TIMEOUT"],
        "how long the API may take",
    ),
    key(
        "client_session.cache_ttl_seconds",
        &["JWT_SSO_SESSION_CACHE_TTL"],
        "how long its answer is remembered; 0: it is asked each time",
    ),
    key(
        "client_session.email_field",
        &["JWT_SSO_SESSION_EMAIL_FIELD"],
        "field of its answer with the e-mail address",
    ),
    key(
        "client_session.username_field",
        &["JWT_SSO_SESSION_USERNAME_FIELD"],
        "with the user's name",
    ),
    key(
        "client_session.first_name_field",
        &["JWT_SSO_SESSION_FIRST_NAME_FIELD"],
        "with the first name",
    ),
    key(
        "client_session.last_name_field",
        &["JWT_SSO_SESSION_LAST_NAME_FIELD"],
        "with the last name",
    ),
    key(
        "client_session.create_users",
        &["JWT_SSO_SESSION_AUTO_CREATE_USERS"],
        "whether unknown users get an account; needs `sql/role.sql` with `create_users`",
    ),
    key(
        "client_session.update_names",
        &[],
        "whether first and last name follow the answer",
    ),
    key(
        "client_session.allow_privileged",
        &[],
        "whether staff and superusers may come in this way",
    ),
    key(
        "client_session.ca_file",
        &[],
        "certificates to trust instead of the system's (PEM)",
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
        "token_issue.create_users",
        &["SSO_AUTO_CREATE_USERS"],
        "whether a token for an unknown address makes an account; needs `sql/role.sql` with `create_users`",
    ),
    key(
        "token_issue.legacy_api_tokens",
        &[],
        "`organization`: legacy API tokens count where the organization allows them; `allow`: always",
    ),
    key(
        "token_issue.staff_for_superusers",
        &[],
        "whether staff who are not superusers may get tokens for superusers and revoke their sessions",
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
        "what happens to a request that logs nobody in: `pass`: it goes on as it came; `require`: it needs a living session",
    ),
    key(
        "policy.open_paths",
        &[],
        "paths about which nothing is asked: `/health`, `/static/*`",
    ),
    key(
        "policy.sign_in_url",
        &[],
        "with `require`: where people are sent to sign in; empty: they are told to",
    ),
    key(
        "policy.return_parameter",
        &[],
        "the parameter of that URL that says where they came from",
    ),
    key(
        "policy.signed_out_url",
        &[],
        "where `/sso/logout` leads: a URL or a path; empty: a page of the gate",
    ),
    key(
        "policy.cross_site",
        &[],
        "requests of foreign pages that change something: `auto`: refused where sessions are `SameSite=None`; `refuse`; `allow`",
    ),
    key(
        "policy.allowed_origins",
        &["CORS_ALLOWED_ORIGINS"],
        "origins whose pages are not foreign",
    ),
    key(
        "purge.every_seconds",
        &[],
        "how often expired sessions are deleted, by one gate at a time; 0: never",
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
