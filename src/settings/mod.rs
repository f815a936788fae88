//! Settings: a file and the environment → validated types, or everything that is wrong with them at once.
//!
//! The environment is a parameter. A name that nobody reads is an error, in the file and among the variables that begin with `GATE_`.

mod client_session;
mod database;
mod database_url;
mod errors;
mod issuers;
mod keys;
mod label_studio;
mod log;
mod plugin;
mod policy;
mod reader;
mod session;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use config::Config;
use ipnet::IpNet;

pub use self::client_session::ClientSession;
pub use self::database::{Database, Tls};
pub use self::errors::{SettingError, SettingErrors};
pub use self::issuers::{External, Issuer, IssuerKeys, KeyLocation, KeyPlace};
pub use self::keys::{KEYS, Key};
pub use self::label_studio::LabelStudio;
pub use self::log::{Log, LogFormat};
pub use self::plugin::configuration as configuration_of_the_plugin;
pub use self::policy::Policies;
use self::reader::Reader;
pub use self::session::Session;
use crate::django::SameSite;

/// All settings.
#[derive(Debug)]
pub struct Settings {
    /// The service's own address and limits.
    pub http: Http,
    /// The log.
    pub log: Log,
    /// What Label Studio runs with.
    pub label_studio: LabelStudio,
    /// Postgres.
    pub database: Database,
    /// Where tokens are found.
    pub token: Token,
    /// Method 1.
    pub external: External,
    /// Method 2.
    pub native: Native,
    /// Method 3.
    pub client_session: Option<ClientSession>,
    /// Sessions.
    pub session: Session,
    /// `POST /api/sso/token`.
    pub token_issue: TokenIssue,
    /// What is asked of every request.
    pub policy: Policies,
    in_force: String,
}

/// The service's own address and limits.
#[derive(Debug)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// Threads; `None`: one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long open requests may take after SIGTERM.
    pub shutdown_timeout: Duration,
    /// Connections a worker accepts.
    pub max_connections: usize,
    /// Kinds of proxy whose check routes exist.
    pub proxies: Vec<Proxy>,
    /// Proxies whose word on the peer's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Where checks, health and metrics are served, if not with everything else.
    pub internal_listen: Option<SocketAddr>,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
}

/// A kind of proxy, by how it asks and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// nginx's `auth_request`, and HAProxy with the shipped Lua file.
    Nginx,
    /// The `auth-url` annotation of ingress-nginx.
    IngressNginx,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Traefik's ForwardAuth.
    Traefik,
    /// Envoy's `ext_authz` over HTTP.
    Envoy,
}

impl Proxy {
    /// Every kind, under the name that the settings have for it.
    pub const ALL: &[(&str, Self)] = &[
        ("nginx", Self::Nginx),
        ("ingress-nginx", Self::IngressNginx),
        ("caddy", Self::Caddy),
        ("traefik", Self::Traefik),
        ("envoy", Self::Envoy),
    ];
}

/// Where tokens are found.
#[derive(Debug)]
pub struct Token {
    /// Name of the cookie.
    pub cookie: Option<String>,
    /// Its path.
    pub cookie_path: String,
    /// Its domain.
    pub cookie_domain: Option<String>,
    /// `SameSite` with which it is deleted.
    pub cookie_same_site: SameSite,
    /// Whether it is deleted as a partitioned cookie.
    pub cookie_partitioned: bool,
    /// Name of the query parameter.
    pub parameter: String,
    /// Bytes.
    pub max_length: usize,
    /// Where a token opens one session only: for how long the requests of one page may bring it.
    pub once: Option<Duration>,
}

/// Method 2.
#[derive(Debug)]
pub struct Native {
    /// Whether tokens of the token route log in.
    pub enabled: bool,
    /// Whether Label Studio's own API tokens log in.
    pub api_tokens: bool,
    /// The claim that holds the user's primary key.
    pub user_id_claim: String,
    /// How far `exp` and `nbf` may be off.
    pub leeway: Duration,
    /// The longest time from `iat` to `exp`; `None`: any.
    pub max_lifetime: Option<Duration>,
}

/// `POST /api/sso/token`.
#[derive(Debug)]
pub struct TokenIssue {
    /// How long a token is good.
    pub expires_in: Duration,
    /// Whether a token for an unknown address makes an account.
    pub create_users: bool,
    /// Whether legacy API tokens count.
    pub legacy_api_tokens: LegacyTokens,
    /// Whether staff who are not superusers may act on superusers.
    pub staff_for_superusers: bool,
    /// Tokens per second and administrator; 0: no limit.
    pub rate_limit_per_second: u32,
    /// Wrong API tokens per minute and client address; 0: no limit.
    pub failures_per_minute: u32,
}

/// Whether legacy API tokens count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyTokens {
    /// As the organization's own switch says.
    Organization,
    /// Always.
    Allow,
}

impl Settings {
    /// Reads the settings from `file`, if there is one, and from `environment`.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, SettingErrors> {
        let (config, errors) = sources::merge(file, environment)?;
        let mut reader = Reader::new(config, errors);
        let mut settings = Self::read(&mut reader);
        let (config, errors) = reader.finish();
        if errors.is_empty() {
            settings.in_force = describe(&config);
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    fn read(reader: &mut Reader) -> Self {
        let session = Session::read(reader);
        let label_studio = LabelStudio::read(reader);
        let token_issue = TokenIssue::read(reader);
        Self {
            http: Http::read(reader),
            log: Log::read(reader),
            external: External::read(reader, &label_studio),
            client_session: ClientSession::read(reader, &session),
            policy: Policies::read(reader, &session),
            label_studio,
            database: Database::read(reader),
            token: Token::read(reader, &session),
            native: Native::read(reader, &token_issue),
            session,
            token_issue,
            in_force: String::new(),
        }
    }

    /// What is allowed and will hardly work: in a frame of another site browsers send no session that is `SameSite=Lax` or `Strict`, and over HTTP
    /// there is no other.
    pub fn warnings(&self) -> Vec<String> {
        let Some(own) = self.label_studio.url.as_deref().and_then(site) else {
            return Vec::new();
        };
        let applications = self.policy.gate.allowed_origins.iter().map(String::as_str);
        let sign_in = self.policy.sign_in.as_ref().map(url::Url::as_str);
        applications
            .chain(sign_in)
            .filter(|_| self.session.cookie_samesite != crate::django::SameSite::None)
            .filter(|there| site(there).is_some_and(|site| site != own))
            .map(|there| {
                format!(
                    "{there} and Label Studio are different sites: in a frame of that page no browser sends a session with SameSite={:?}. \
                     Use HTTPS with SESSION_COOKIE_SAMESITE=None and SESSION_COOKIE_SECURE=1, or bring both behind one proxy (nginx/environments)",
                    self.session.cookie_samesite
                )
            })
            .collect()
    }

    /// A line for each setting: what is in force, and where it comes from. Secrets are `set` or `unset`.
    pub fn describe(&self) -> &str {
        &self.in_force
    }
}

/// Scheme and registrable domain, near enough for advice: the last two labels of the host.
fn site(url: &str) -> Option<(String, String)> {
    let url = url::Url::parse(url).ok()?;
    let host = url.host_str()?.to_owned();
    let labels: Vec<&str> = host.rsplit('.').take(2).collect();
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let domain = match is_address {
        true => host.clone(),
        false => labels.join("."),
    };
    Some((url.scheme().to_owned(), domain))
}

fn describe(config: &Config) -> String {
    let mut text = String::new();
    for key in KEYS {
        let value = match reader::value(config, key.name) {
            Some(value) => shown(value),
            None => String::new(),
        };
        let shown = match (key.secret, value.is_empty()) {
            (true, true) => "unset".to_owned(),
            (true, false) => "set".to_owned(),
            (false, _) => format!("{value:?}"),
        };
        let _ = writeln!(
            text,
            "{} = {shown}  # {}",
            key.name,
            reader::origin(config, key.name)
        );
    }
    text
}

/// A list as it would stand in a variable.
fn shown(value: &config::Value) -> String {
    match &value.kind {
        config::ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            items.join(",")
        }
        _ => value.to_string(),
    }
}

impl Http {
    fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader
                .parsed(
                    "http.listen",
                    "an address and a port, as 127.0.0.1:8090 or [::1]:8090",
                )
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            workers: NonZeroUsize::new(reader.number("http.workers", 0..=1024)),
            keep_alive: reader.seconds("http.keep_alive_seconds", 1..=3600),
            shutdown_timeout: reader.seconds("http.shutdown_seconds", 0..=3600),
            max_connections: reader.number("http.max_connections", 1..=1_000_000),
            proxies: proxies(reader),
            trusted_proxies: trusted_proxies(reader),
            internal_listen: internal_listen(reader),
            body_timeout: reader.seconds("http.body_timeout_seconds", 1..=300),
        }
    }
}

fn proxies(reader: &mut Reader) -> Vec<Proxy> {
    let name = "http.proxies";
    let mut proxies = Vec::new();
    for text in reader.list(name) {
        match Proxy::ALL.iter().find(|(known, _)| *known == text) {
            Some((_, proxy)) => proxies.push(*proxy),
            None => {
                let known: Vec<&str> = Proxy::ALL.iter().map(|(known, _)| *known).collect();
                let known = known.join(", ");
                reader.refuse(name, format!("must be some of {known}, and has {text:?}"));
            }
        }
    }
    if proxies.is_empty() {
        reader.refuse(name, "must name a proxy, or nothing is checked");
    }
    proxies
}

fn trusted_proxies(reader: &mut Reader) -> Vec<IpNet> {
    let name = "http.trusted_proxies";
    let mut networks = Vec::new();
    for text in reader.list(name) {
        let network = text.parse::<IpNet>().ok();
        match network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            Some(network) => networks.push(network),
            None => reader.refuse(
                name,
                format!(
                    "must be addresses or networks, as 10.0.0.7 or 10.0.0.0/8, and has {text:?}"
                ),
            ),
        }
    }
    networks
}

fn internal_listen(reader: &mut Reader) -> Option<SocketAddr> {
    reader.optional("http.internal_listen")?;
    reader.parsed(
        "http.internal_listen",
        "an address and a port, as 127.0.0.1:8091 or [::1]:8091, or empty",
    )
}

impl Token {
    fn read(reader: &mut Reader, session: &Session) -> Self {
        let cookie = reader.optional("token.cookie");
        if let Some(name) = &cookie {
            session::check_name(reader, "token.cookie", name);
            if *name == session.cookie_name {
                reader.refuse("token.cookie", "must differ from session.cookie_name");
            }
        }
        let parameter = reader.text("token.parameter");
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if parameter.is_empty() || !parameter.bytes().all(plain) {
            reader.refuse(
                "token.parameter",
                "must be made of letters, digits, '_', '-' and '.'",
            );
        }
        let cookie_path = reader.text("token.cookie_path");
        session::check_path(reader, "token.cookie_path", &cookie_path);
        let cookie_domain = reader.optional("token.cookie_domain");
        if let Some(domain) = &cookie_domain {
            session::check_domain(reader, "token.cookie_domain", domain);
        }
        Self {
            cookie,
            cookie_path,
            cookie_same_site: reader
                .choice(
                    "token.cookie_samesite",
                    &[
                        ("auto", None),
                        ("Lax", Some(SameSite::Lax)),
                        ("Strict", Some(SameSite::Strict)),
                        ("None", Some(SameSite::None)),
                    ],
                )
                .unwrap_or(session.cookie_samesite),
            cookie_partitioned: reader
                .choice(
                    "token.cookie_partitioned",
                    &[("auto", None), ("true", Some(true)), ("false", Some(false))],
                )
                .unwrap_or(session.cookie_partitioned),
            // As the plugin does.
            cookie_domain: cookie_domain.or_else(|| session.cookie_domain.clone()),
            parameter,
            max_length: reader.number("token.max_length", 256..=131_072),
            once: {
                let once = reader.choice("token.use", &[("many", false), ("once", true)]);
                let window = reader.seconds("token.once_window_seconds", 1..=300);
                once.then_some(window)
            },
        }
    }
}

impl Native {
    fn read(reader: &mut Reader, token_issue: &TokenIssue) -> Self {
        let most = reader.seconds("native.max_lifetime_seconds", 0..=315_360_000);
        Self {
            enabled: reader.flag("native.enabled"),
            api_tokens: reader.flag("native.api_tokens"),
            user_id_claim: reader.filled("native.user_id_claim"),
            leeway: reader.seconds("native.leeway_seconds", 0..=300),
            // What is issued here is accepted here.
            max_lifetime: (!most.is_zero()).then(|| most.max(token_issue.expires_in)),
        }
    }
}

impl TokenIssue {
    fn read(reader: &mut Reader) -> Self {
        Self {
            expires_in: reader.seconds("token_issue.expires_in", 1..=86_400),
            create_users: reader.flag("token_issue.create_users"),
            legacy_api_tokens: reader.choice(
                "token_issue.legacy_api_tokens",
                &[
                    ("organization", LegacyTokens::Organization),
                    ("allow", LegacyTokens::Allow),
                ],
            ),
            staff_for_superusers: reader.flag("token_issue.staff_for_superusers"),
            rate_limit_per_second: reader
                .number("token_issue.rate_limit_per_second", 0..=1_000_000),
            failures_per_minute: reader.number("token_issue.failures_per_minute", 0..=1_000_000),
        }
    }
}
