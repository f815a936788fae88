//! `database.url`, and how it combines with the separate parts.

use std::borrow::Cow;

use secrecy::ExposeSecret;
use tokio_postgres::config::Host;
use url::Url;

use super::database::{DatabaseSection, Tls, unconfigured};
use super::input::{Input, Layer};

/// The settings that a URL replaces.
const PARTS: [&str; 5] = [
    "database.host",
    "database.port",
    "database.name",
    "database.user",
    "database.password",
];

const SHAPE: &str = "must be a URL in the form of tokio-postgres: \
     postgres://user:password@host:port/name, where %, /, ?, # and @ in the password are written \
     %25, %2F, %3F, %23 and %40";

/// Reads the URL. tokio-postgres does not know all of libpq's modes of `sslmode`, so that is read
/// here.
///
/// No error shows a part of the URL: if a password is not encoded, any part can be a piece of it.
pub(super) fn from_url(
    input: &mut Input,
    section: &DatabaseSection,
) -> (tokio_postgres::Config, Option<Tls>) {
    let name = "database.url";
    let Some(url) = SplitUrl::parse(section.url.expose_secret()) else {
        input.refuse(name, SHAPE);
        return (unconfigured(), None);
    };
    let tls = match url.sslmode.as_deref() {
        None => None,
        Some("disable" | "allow" | "prefer") => Some(Tls::Disable),
        Some("require") => Some(Tls::Require),
        Some("verify-full") => Some(Tls::VerifyFull),
        Some(_) => {
            let modes = "has an sslmode other than disable, allow, prefer, require and verify-full";
            input.refuse(name, modes);
            None
        }
    };
    if url.has_root_certificate {
        let instead = "has the option sslrootcert: set database.tls_ca_file instead";
        input.refuse(name, instead);
        return (unconfigured(), tls);
    }
    match url.rest.parse::<tokio_postgres::Config>() {
        Ok(mut config) if !config.get_hosts().is_empty() => {
            if config.get_application_name().is_none() {
                config.application_name("label-studio-gate");
            }
            complete(input, section, &mut config);
            if config.get_ports().is_empty() {
                config.port(5432);
            }
            settle(input, &config, tls);
            (config, tls)
        }
        _ => {
            input.refuse(name, SHAPE);
            (unconfigured(), None)
        }
    }
}

/// The URL without what tokio-postgres does not know.
struct SplitUrl {
    rest: String,
    sslmode: Option<String>,
    has_root_certificate: bool,
}

impl SplitUrl {
    fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        // The schemes of django-environ. tokio-postgres knows the first two.
        if !matches!(url.scheme(), "postgres" | "postgresql" | "psql" | "pgsql") {
            return None;
        }
        url.set_scheme("postgres").ok()?;
        // libpq has no fragments, so the '#' belongs to a password.
        if url.fragment().is_some() {
            return None;
        }
        let mut sslmode = None;
        let mut has_root_certificate = false;
        let mut options = Vec::new();
        // Not decoded: `Url` would write a space as '+', which libpq reads as a plus.
        for option in url.query().unwrap_or_default().split('&') {
            match option.split_once('=') {
                Some(("sslmode", mode)) => sslmode = Some(mode.to_owned()),
                Some(("sslrootcert", _)) => has_root_certificate = true,
                _ if option.is_empty() => {}
                _ => options.push(option.to_owned()),
            }
        }
        url.set_query(Some(options.join("&")).as_deref().filter(|q| !q.is_empty()));
        Some(Self {
            rest: url.into(),
            sslmode,
            has_root_certificate,
        })
    }
}

/// Adds the parts that the URL leaves out, such as a password from a file. A part that contradicts
/// the URL is an error, because it is unclear which is meant. Only a URL from a layer of higher
/// precedence overrides it: the gate has a role of its own, and `POSTGRE_USER` in a shared `.env`
/// is Label Studio's.
fn complete(input: &mut Input, section: &DatabaseSection, config: &mut tokio_postgres::Config) {
    for name in PARTS {
        if overridden(input, name) {
            continue;
        }
        let part = match name {
            "database.host" => section.host.clone(),
            "database.port" => section.port.to_string(),
            "database.name" => section.name.clone(),
            "database.user" => section.user.clone(),
            _ => section.password.expose_secret().to_owned(),
        };
        if part.is_empty() {
            continue;
        }
        if in_config(name, config).is_empty() {
            match name {
                "database.port" => config.port(section.port),
                "database.name" => config.dbname(&part),
                "database.user" => config.user(&part),
                "database.password" => config.password(&part),
                _ => continue,
            };
        }
        if in_config(name, config).iter().any(|own| *own != part) {
            let both = "contradicts database.url: set one or the other";
            input.refuse(name, both);
        }
    }
}

/// Records what the URL says, so that `check-config` shows what is in force.
fn settle(input: &mut Input, config: &tokio_postgres::Config, tls: Option<Tls>) {
    for name in PARTS {
        if overridden(input, name) {
            input.settle(name, &in_config(name, config).join(","), "database.url");
        }
    }
    let mode = tls.map(|tls| match tls {
        Tls::Disable => "disable",
        Tls::Require => "require",
        Tls::VerifyFull => "verify-full",
    });
    if let Some(mode) = mode {
        input.settle("database.tls", mode, "database.url");
    }
}

/// Whether the URL takes precedence over the part `name`.
fn overridden(input: &Input, name: &str) -> bool {
    let layer = input.layer(name);
    layer == Layer::Default || layer < input.layer("database.url")
}

/// The values of a part in `config`: several if there are several hosts, none if it is not set.
fn in_config(name: &str, config: &tokio_postgres::Config) -> Vec<String> {
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
    match name {
        "database.host" => config.get_hosts().iter().map(host_name).collect(),
        "database.port" => config.get_ports().iter().map(u16::to_string).collect(),
        "database.name" => one(config.get_dbname()),
        "database.user" => one(config.get_user()),
        _ => {
            let password = config.get_password().map(String::from_utf8_lossy);
            password.map(Cow::into_owned).into_iter().collect()
        }
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}
