//! Settings: a TOML file and environment variables in, validated types or all errors out.
//!
//! A section of the file is a struct in a file of its own, and a setting is one field of it:
//!
//! ```ignore
//! /// How long an idle connection from the proxy stays open. nginx, and Envoy with the files here, let
//! /// go of theirs after 60 s.
//! #[schemars(range(min = 1, max = 3600), extend("default" = 75))]
//! pub keep_alive_seconds: Seconds,
//! ```
//!
//! The field's name is the setting's name, and its documentation is the documentation. Its type and
//! attributes say what is accepted. `"default"` is the value if it is not set; without it, an
//! `Option` is `None`, text is empty, and a list has no items. `"x-env"` lists further variables
//! that set it, and `"x-restart"` says that a reload does not change it. The type
//! [`Secret`](types::Secret) keeps it from being shown, and `"x-empty-file"` says that an empty file
//! means that there is no such secret.
//!
//! Everything else is derived from that: the variable `GATE_HTTP_KEEP_ALIVE_SECONDS`, error
//! messages, `config/default.toml`, `config/schema.json` and `docs/settings.md`
//! (`UPDATE_DOCS=1 cargo test settings` writes them). The method `check` or `new` of a section
//! holds the rules about several settings.
//!
//! The environment is a parameter. An unknown name is an error, in the file and among the variables
//! that begin with `GATE_`.

mod advice;
mod audit;
mod client_session;
mod convert;
mod database;
mod database_hosts;
mod database_url;
mod declaration;
mod differences;
mod environment;
mod errors;
mod external;
mod file;
mod files;
mod http;
mod input;
mod key_server;
mod label_studio;
mod log;
mod mapping;
mod native;
mod pages;
mod policy;
mod proxy_headers;
mod server_options;
mod session;
mod sign_in;
mod source;
#[cfg(test)]
mod tests;
mod token;
mod token_issue;
mod traces;
pub mod types;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::advice::Warning;
pub use self::advice::variables::without_effect;
pub use self::audit::Audit;
use self::client_session::ClientSessionSection;
pub use self::client_session::{ClientSession, ClientSessionSettings};
use self::database::DatabaseSection;
pub use self::database::{Database, DatabaseLimits, Tls};
pub use self::database_hosts::DatabaseHost;
pub use self::declaration::Setting;
pub use self::differences::Fingerprint;
pub use self::environment::Environment;
pub use self::errors::{SettingError, SettingErrors};
use self::external::ExternalSection;
pub use self::external::{External, Issuer, IssuerKeys, KeyLocation, KeyPlace};
pub use self::files::Files;
pub use self::http::{Http, Proxy};
use self::input::Input;
pub use self::key_server::KeyServerSettings;
pub use self::label_studio::LabelStudio;
pub use self::log::{Log, LogFormat};
pub use self::native::Native;
pub use self::pages::Pages;
pub use self::policy::Policies;
use self::policy::{PolicySection, PurgeSection};
use self::proxy_headers::ProxyHeadersSection;
pub use self::proxy_headers::{GroupsSeparator, ProxyHeaders, ProxyHeadersRules};
pub use self::session::Session;
use self::sign_in::SignInSection;
pub use self::sign_in::{ClientAuthentication, OpenIdProvider, Prompt, SignIn};
pub use self::source::Source;
pub use self::token::{Token, TokenPartitioned, TokenSameSite, TokenUse};
pub use self::token_issue::{LegacyTokens, TokenIssue};
use self::traces::TracesSection;
pub use self::traces::{Traces, TracesSettings};

/// The sections of the file.
#[derive(Deserialize, JsonSchema)]
struct Sections {
    http: Http,
    log: Log,
    audit: Audit,
    label_studio: LabelStudio,
    database: DatabaseSection,
    token: Token,
    proxy_headers: ProxyHeadersSection,
    external: ExternalSection,
    key_server: KeyServerSettings,
    native: Native,
    client_session: ClientSessionSection,
    sign_in: SignInSection,
    session: Session,
    token_issue: TokenIssue,
    policy: PolicySection,
    pages: Pages,
    purge: PurgeSection,
    traces: TracesSection,
}

/// All settings.
#[derive(Debug)]
pub struct Settings {
    /// The service's own listeners and their limits.
    pub http: Http,
    /// What is logged, and in which format.
    pub log: Log,
    /// Who did what, in a table.
    pub audit: Audit,
    /// Label Studio's own settings.
    pub label_studio: LabelStudio,
    /// Label Studio's database.
    pub database: Database,
    /// Where requests carry tokens.
    pub token: Token,
    /// A proxy in front that names the user without a signature; `None`: there is none.
    pub proxy_headers: Option<ProxyHeaders>,
    /// Method 1.
    pub external: External,
    /// How published keys are fetched.
    pub key_server: KeyServerSettings,
    /// Method 2.
    pub native: Native,
    /// Method 3; `None`: it is off.
    pub client_session: Option<ClientSession>,
    /// Sign-in with OpenID providers; `None`: it is off.
    pub sign_in: Option<SignIn>,
    /// Label Studio's session cookie and session engine.
    pub session: Session,
    /// `POST /api/sso/token`.
    pub token_issue: TokenIssue,
    /// Rules for every request.
    pub policy: Policies,
    /// Traces of requests; `None`: off.
    pub traces: Option<Traces>,
    /// The pages for users.
    pub pages: Pages,
    in_force: String,
    fingerprint: Fingerprint,
    files: Files,
    warnings: Vec<Warning>,
}

impl Settings {
    /// Reads the settings from `file`, if there is one, and from `environment`.
    ///
    /// # Errors
    ///
    /// All errors. If the file cannot be read, only that is reported, because without the file
    /// nearly every setting would be wrong.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, SettingErrors> {
        Self::of(&Source::read(file, environment.clone().into())?)
    }

    /// Reads the settings from `source`, and the files that they name.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn of(source: &Source) -> Result<Self, SettingErrors> {
        let mut input = Input::default();
        source.give(&mut input)?;
        let sections = input.read(Setting::all());
        input.check_secrets();
        let mut settings = Self::check(sections, &mut input);
        if !input.errors.is_empty() {
            return Err(input.errors);
        }
        settings.in_force = input.describe();
        settings.fingerprint = input.fingerprint();
        settings.files = input.files;
        let misspelled = environment::misspelled(source.variables()).into_iter();
        settings.warnings = misspelled.map(Warning::from).collect();
        let ignored = advice::variables::warnings(source.variables());
        settings.warnings.extend(ignored);
        settings.warnings.extend(input.warnings);
        Ok(settings)
    }

    /// The address at which a running service answers health checks. The other settings may be wrong:
    /// the service runs with those that it has read.
    ///
    /// # Errors
    ///
    /// Those in `http.listen` and `http.internal_listen`, or that the file cannot be read.
    pub fn health_address(source: &Source) -> Result<SocketAddr, SettingErrors> {
        let mut input = Input::default();
        source.give(&mut input)?;
        let Sections { http, .. } = input.read(Setting::all());
        let errors = input
            .errors
            .in_any(&["http.listen", "http.internal_listen"]);
        match errors.is_empty() {
            true => Ok(*http.internal_listen.unwrap_or(http.listen)),
            false => Err(errors),
        }
    }

    /// Applies the rules about several settings.
    fn check(sections: Sections, input: &mut Input) -> Self {
        let Sections {
            mut token,
            session,
            label_studio,
            ..
        } = sections;
        sections.http.check(input);
        session.check(input);
        label_studio.check(input);
        token.check(input, &session);
        sections.native.check(input);
        let key_server = sections.key_server;
        let external = External::new(sections.external, input, &label_studio);
        token.check_issuers(input, &external);
        let proxy_headers = ProxyHeaders::new(sections.proxy_headers, input, &token);
        let policy = Policies::new(&sections.policy, &sections.purge, &session);
        let settings = Self {
            proxy_headers,
            http: sections.http,
            log: sections.log,
            audit: sections.audit,
            database: Database::new(sections.database, input),
            token,
            external,
            key_server,
            native: sections.native,
            client_session: ClientSession::new(sections.client_session, input, &session),
            sign_in: SignIn::new(sections.sign_in, input, &label_studio, &session, &policy),
            policy,
            pages: sections.pages,
            traces: Traces::new(sections.traces, input),
            label_studio,
            session,
            token_issue: sections.token_issue,
            in_force: String::new(),
            fingerprint: Fingerprint::default(),
            files: Files::default(),
            warnings: Vec::new(),
        };
        if settings.uses_key_servers() {
            let file = settings.key_server.ca_file.as_deref();
            input.check_certificates("key_server.ca_file", file);
        }
        settings
    }

    fn uses_key_servers(&self) -> bool {
        let is_served = |issuer: &Issuer| matches!(issuer.keys, IssuerKeys::Served(_));
        self.sign_in.is_some() || self.external.issuers.iter().any(is_served)
    }

    /// Warnings about settings that are valid but rarely intended: misspelled variables of the
    /// plugin, cookies that browsers reject or do not send, and proxies that are not trusted.
    pub fn warnings(&self) -> Vec<Warning> {
        advice::warnings(self)
    }

    /// A digest of each setting.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether every setting of a section, or one setting, is the same in `other`.
    pub fn agrees(&self, other: &Self, section: &str) -> bool {
        self.fingerprint.agrees(&other.fingerprint, section)
    }

    /// The files that the settings name, as they were when the settings were read.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// A line for each setting: its value, and where it comes from. Secrets are `set` or `unset`.
    pub fn describe(&self) -> &str {
        &self.in_force
    }
}
