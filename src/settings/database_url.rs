//! `database.url`, and how it combines with the separate parts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use tokio_postgres::config::Host;
use url::Url;

use super::database::{DatabaseSection, Tls, unconfigured};
use super::input::{Input, Layer};
use super::server_options;

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

/// What only a URL says.
#[derive(Debug, Default)]
pub(super) struct OnlyInUrl {
    pub(super) tls: Option<Tls>,
    /// `options`: the server's options, name and value.
    pub(super) options: Vec<(String, String)>,
    /// `target_session_attrs`: whether the server must accept writes.
    pub(super) writable: bool,
}

/// Reads the URL. tokio-postgres does not know all of libpq's modes of `sslmode`, so that is read
/// here.
///
/// No error shows a part of the URL: if a password is not encoded, any part can be a piece of it.
pub(super) fn from_url(
    input: &mut Input,
    section: &DatabaseSection,
) -> (tokio_postgres::Config, OnlyInUrl) {
    let name = "database.url";
    let Some(url) = SplitUrl::parse(section.url.expose_secret()) else {
        input.refuse(name, SHAPE);
        return (unconfigured(), OnlyInUrl::default());
    };
    let in_url = url.only_in_url(input);
    if url.has_root_certificate {
        let instead = "has the option sslrootcert: set database.tls_ca_file instead";
        input.refuse(name, instead);
        return (unconfigured(), in_url);
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
            settle(input, &config, in_url.tls);
            (config, in_url)
        }
        _ => {
            input.refuse(name, SHAPE);
            (unconfigured(), OnlyInUrl::default())
        }
    }
}

/// The URL without what is read here.
#[derive(Default)]
struct SplitUrl {
    rest: String,
    sslmode: Option<String>,
    session: Option<String>,
    options: Option<String>,
    has_root_certificate: bool,
}

impl SplitUrl {
    fn parse(text: &str) -> Option<Self> {
        let (before, hosts, after) = split_at_hosts(text)?;
        // `Url` knows one host only. It checks each of them, and gets the others back at the end.
        let url = |host: &str| Url::parse(&format!("{before}{host}{after}")).ok();
        let mut urls = hosts.split(',').map(url).collect::<Option<Vec<_>>>()?;
        let several = urls.len() > 1;
        if several && urls.iter().any(|url| !url.has_host()) {
            return None;
        }
        let mut url = urls.swap_remove(0);
        // The schemes of django-environ. tokio-postgres knows the first two.
        if !matches!(url.scheme(), "postgres" | "postgresql" | "psql" | "pgsql") {
            return None;
        }
        url.set_scheme("postgres").ok()?;
        // libpq has no fragments, so the '#' belongs to a password.
        if url.fragment().is_some() {
            return None;
        }
        let mut split = Self::default();
        let mut rest = Vec::new();
        // Not decoded: `Url` would write a space as '+', which libpq reads as a plus.
        for option in url.query().unwrap_or_default().split('&') {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            match option.split_once('=') {
                Some(("sslmode", mode)) => split.sslmode = Some(mode.to_owned()),
                Some(("target_session_attrs", session)) => split.session = Some(session.to_owned()),
                Some(("options", options)) => split.options = Some(decoded(options)),
                // tokio-postgres takes each for one host.
                Some(("host", hosts)) => {
                    let hosts = hosts.replace("%2C", ",").replace("%2c", ",");
                    rest.extend(hosts.split(',').map(|host| format!("host={host}")));
                }
                Some(("sslrootcert", _)) => split.has_root_certificate = true,
                _ if option.is_empty() => {}
                _ => rest.push(option.to_owned()),
            }
        }
        url.set_query(Some(rest.join("&")).as_deref().filter(|q| !q.is_empty()));
        split.rest = url.into();
        if several {
            let (before, _, after) = split_at_hosts(&split.rest)?;
            split.rest = format!("{before}{hosts}{after}");
        }
        Some(split)
    }

    fn only_in_url(&self, input: &mut Input) -> OnlyInUrl {
        let mut refuse = |why| input.refuse("database.url", why);
        let tls = match self.sslmode.as_deref() {
            None => None,
            Some("disable" | "allow" | "prefer") => Some(Tls::Disable),
            Some("require") => Some(Tls::Require),
            Some("verify-full") => Some(Tls::VerifyFull),
            Some(_) => {
                refuse("has an sslmode other than disable, allow, prefer, require and verify-full");
                None
            }
        };
        let writable = match self.session.as_deref() {
            None | Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(_) => {
                refuse(
                    "has a target_session_attrs other than any, read-write and primary, but the \
                     gate writes sessions",
                );
                false
            }
        };
        let options = server_options::parse(self.options.as_deref().unwrap_or_default());
        let options = options.unwrap_or_else(|| {
            refuse("has options in another form than -c name=value");
            Vec::new()
        });
        OnlyInUrl {
            tls,
            options,
            writable,
        }
    }
}

/// What is before, in and after the list of hosts.
fn split_at_hosts(url: &str) -> Option<(&str, &str, &str)> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find(['/', '?', '#']);
    let end = end.map_or(url.len(), |length| authority + length);
    let user = url[authority..end].rfind('@');
    let hosts = user.map_or(authority, |length| authority + length + 1);
    Some((&url[..hosts], &url[hosts..end], &url[end..]))
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
                "database.port" => {
                    section.port.add_to(config);
                    continue;
                }
                "database.name" => config.dbname(&part),
                "database.user" => config.user(&part),
                "database.password" => config.password(&part),
                _ => continue,
            };
        }
        let own = in_config(name, config);
        if own.join(",") != part && own.iter().any(|own| *own != part) {
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
