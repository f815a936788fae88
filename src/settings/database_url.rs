//! `database.url`, and what happens to the parts beside it.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::Host;
use url::Url;

use super::database::{MODES, Tls, named};
use super::reader::Reader;
use super::sources::Layer;

/// The settings that a URL stands for.
const PARTS: [&str; 5] = [
    "database.host",
    "database.port",
    "database.name",
    "database.user",
    "database.password",
];

/// Reads the URL. tokio-postgres does not know all of libpq's modes of `sslmode`, so that is read here.
///
/// No reason shows a part of the URL: where a password is not encoded, any part can be a piece of it.
pub(super) fn from_url(
    reader: &mut Reader,
    secret: &SecretString,
) -> (tokio_postgres::Config, Option<Tls>) {
    let name = "database.url";
    let Some(url) = SplitUrl::parse(secret.expose_secret()) else {
        reader.refuse(name, SHAPE);
        return (named(), None);
    };
    let tls = match url.sslmode.as_deref() {
        None => None,
        Some("disable" | "allow" | "prefer") => Some(Tls::Disable),
        Some("require") => Some(Tls::Require),
        Some("verify-full") => Some(Tls::VerifyFull),
        Some(_) => {
            let modes =
                "has an sslmode that is none of disable, allow, prefer, require and verify-full";
            reader.refuse(name, modes);
            None
        }
    };
    if url.has_root_certificate {
        let instead = "has the option sslrootcert: set database.tls_ca_file instead";
        reader.refuse(name, instead);
        return (named(), tls);
    }
    match url.rest.parse::<tokio_postgres::Config>() {
        Ok(mut config) if !config.get_hosts().is_empty() => {
            if config.get_application_name().is_none() {
                config.application_name("label-studio-gate");
            }
            complete(reader, &mut config);
            if config.get_ports().is_empty() {
                config.port(5432);
            }
            settle(reader, &config, tls);
            (config, tls)
        }
        _ => {
            reader.refuse(name, SHAPE);
            (named(), None)
        }
    }
}

const SHAPE: &str = "must be a URL as tokio-postgres takes it: postgres://user:password@host:port/name, \
     where %, /, ?, # and @ in the password are written %25, %2F, %3F, %23 and %40";

/// The URL without what tokio-postgres does not know.
struct SplitUrl {
    rest: String,
    sslmode: Option<String>,
    has_root_certificate: bool,
}

impl SplitUrl {
    fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        // The schemes by which Django's users know Postgres (django-environ), of which tokio-postgres takes two.
        if !matches!(url.scheme(), "postgres" | "postgresql" | "psql" | "pgsql") {
            return None;
        }
        url.set_scheme("postgres").ok()?;
        // libpq knows no fragment, so there is a '#' in the password.
        if url.fragment().is_some() {
            return None;
        }
        let mut sslmode = None;
        let mut has_root_certificate = false;
        let mut options = Vec::new();
        // As it stands: `Url` would write a space as '+', which is a plus to libpq.
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

/// The parts beside a URL. One that the URL leaves out completes it, as a password that comes from a file. One that says something else is
/// an error: nobody knows which is meant. Only a URL from a place that counts more goes over it: the gate has a role of its own, and
/// `POSTGRE_USER` in the `.env` of both is Label Studio's.
fn complete(reader: &mut Reader, config: &mut tokio_postgres::Config) {
    let url = reader.layer("database.url");
    for name in PARTS {
        let layer = reader.layer(name);
        if layer == Layer::Default || layer < url {
            continue;
        }
        let part = reader.text(name);
        if part.is_empty() {
            continue;
        }
        let same = match name {
            "database.host" => config
                .get_hosts()
                .iter()
                .all(|host| host_name(host) == part),
            "database.port" => {
                if config.get_ports().is_empty() {
                    config.port(reader.number(name, 1..=u16::MAX));
                }
                config.get_ports().iter().all(|p| p.to_string() == part)
            }
            "database.name" => {
                if config.get_dbname().is_none() {
                    config.dbname(&part);
                }
                config.get_dbname() == Some(part.as_str())
            }
            "database.user" => {
                if config.get_user().is_none() {
                    config.user(&part);
                }
                config.get_user() == Some(part.as_str())
            }
            _ => {
                if config.get_password().is_none() {
                    config.password(&part);
                }
                config.get_password() == Some(part.as_bytes())
            }
        };
        if !same {
            let both = "says something else than database.url: set one or the other";
            reader.refuse(name, both);
        }
    }
}

/// What the URL says is in force, and so it is what `check-config` shows.
fn settle(reader: &mut Reader, config: &tokio_postgres::Config, tls: Option<Tls>) {
    let url = reader.layer("database.url");
    for name in PARTS {
        let layer = reader.layer(name);
        if layer != Layer::Default && layer >= url {
            continue;
        }
        let text = match name {
            "database.host" => config.get_hosts().iter().map(host_name).collect(),
            "database.port" => config.get_ports().iter().map(u16::to_string).collect(),
            "database.name" => config.get_dbname().map(str::to_owned).into_iter().collect(),
            "database.user" => config.get_user().map(str::to_owned).into_iter().collect(),
            _ => (config.get_password().map(String::from_utf8_lossy))
                .map(Cow::into_owned)
                .into_iter()
                .collect::<Vec<String>>(),
        };
        reader.settle(name, text.join(","), "database.url");
    }
    let mode = MODES.iter().find(|(_, mode)| Some(*mode) == tls);
    if let Some((mode, _)) = mode {
        reader.settle("database.tls", (*mode).to_owned(), "database.url");
    }
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}
