//! Types of settings that validate their value.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use url::Url;

use crate::gate::policy::{PathRule, local_path};
use crate::http_client::{has_user, shown};

/// A duration, written as a whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(from = "u64")]
pub struct Seconds(#[schemars(with = "u64")] Duration);

impl From<u64> for Seconds {
    fn from(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Seconds {
    /// The duration, for settings where 0 means "none".
    pub fn nonzero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl Deref for Seconds {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

/// A duration, written as a whole number of milliseconds.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(from = "u64")]
pub struct Milliseconds(#[schemars(with = "u64")] Duration);

impl From<u64> for Milliseconds {
    fn from(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }
}

impl Deref for Milliseconds {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

/// Text that is never shown. It can come from a file that a variable ending in `_FILE` names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "String")]
pub struct Secret(SecretString);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

impl Deref for Secret {
    type Target = SecretString;

    fn deref(&self) -> &SecretString {
        &self.0
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-secret": true })
    }
}

/// A text that is not accepted for its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {accepted}, not {:?}", shown(.found))]
pub struct NotAccepted {
    accepted: &'static str,
    found: String,
}

/// Declares types that are written as text: name, inner type, what is accepted, and how it is
/// parsed.
macro_rules! text_types {
    ($($(#[$doc:meta])* $name:ident($inner:ty): $accepted:literal, $parse:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(try_from = "String")]
        pub struct $name(#[schemars(with = "String")] $inner);

        impl TryFrom<String> for $name {
            type Error = NotAccepted;

            fn try_from(text: String) -> Result<Self, NotAccepted> {
                let parse: fn(&str) -> Option<$inner> = $parse;
                parse(&text).map(Self).ok_or(NotAccepted {
                    accepted: $accepted,
                    found: text,
                })
            }
        }

        impl Deref for $name {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }
    )*};
}

text_types! {
    /// An address and a port.
    Address(SocketAddr): "an address and a port, as 127.0.0.1:8090 or [::1]:8090",
        |text| text.parse().ok();
    /// A network; a single address is a network of one.
    Network(IpNet): "an address or a network, as 10.0.0.7 or 10.0.0.0/8",
        |text| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    /// The name of a cookie: a token of HTTP (RFC 6265 §4.1.1).
    CookieName(String): "a cookie's name (RFC 6265 §4.1.1)", |text| {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        owned(text, !text.is_empty() && text.bytes().all(token))
    };
    /// The `Path` of a cookie.
    CookiePath(String): "a path that begins with '/'", |text| {
        let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b';';
        owned(text, text.starts_with('/') && text.bytes().all(plain))
    };
    /// The `Domain` of a cookie.
    CookieDomain(String):
        "a host name, as example.com or .example.com, without scheme, port or path", |text| {
        let host = text.strip_prefix('.').unwrap_or(text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        owned(text, host.split('.').all(|label| !label.is_empty() && label.bytes().all(plain)))
    };
    /// The name of a query parameter.
    ParameterName(String): "made of letters, digits, '_', '-' and '.'", |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        owned(text, !text.is_empty() && text.bytes().all(plain))
    };
    /// The header of an identity-aware proxy, in lower case. Names with an underscore are refused,
    /// because servers take them for those with a hyphen (CVE-2025-64484).
    IdentityHeader(String): "a header's name without underscores, as Remote-Email, and none that has \
        another meaning", identity_header;
    /// The header in which such a proxy sends a token, or `authorization`.
    TokenHeader(String): "a header's name without underscores, as Cf-Access-Jwt-Assertion, and none \
        that has another meaning", |text| match text.eq_ignore_ascii_case(AUTHORIZATION) {
            true => Some(AUTHORIZATION.to_owned()),
            false => identity_header(text),
        };
    /// A part of a whole, in millionths.
    Ratio(u32): "a number from 0 to 1, as 0.1", |text| {
        let ratio: f64 = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a million")]
        Some((ratio * 1e6).round() as u32)
    };
    /// An absolute URL.
    HttpUrl(Url): "a URL that begins with http:// or https://", http_url;
    /// The URL of Label Studio as browsers see it, possibly with a path.
    PublicUrl(Url): "a URL that begins with http:// or https://, without user, query or fragment, \
        as https://label-studio.example.com", |text| {
        http_url(text).filter(|url| {
            !has_user(url)
                && url.query().is_none()
                && url.fragment().is_none()
        })
    };
    /// Where a browser is sent: an absolute URL, or a path on Label Studio's own host.
    Destination(String): "a URL that begins with http:// or https://, or a path",
        |text| owned(text, http_url(text).is_some() || local_path(text) == text);
    /// The origin of a page, in lower case.
    WebOrigin(String): "an origin, as https://app.example.com", web_origin;
    /// A site that may show a page in a frame: a source of `frame-ancestors` (CSP 3 §6.4.2).
    FrameAncestor(String):
        "self, an origin as https://app.example.com, or its subdomains as https://*.example.com",
        frame_ancestor;
    /// A logo, as a source of `<img>` that CSP can name.
    LogoUrl(String): "a URL that begins with https://, or a path, as /static/logo.svg", logo_url;
    /// Where users get help.
    SupportUrl(Url): "mailto:help@example.com, or a URL that begins with https://", support_url;
    /// A path, or everything below one.
    OpenPath(PathRule): "a path, as /health, or as /static/* for everything below",
        PathRule::parse;
    /// Directives of [`Targets`].
    LogFilter(String): "off, error, warn, info, debug or trace, or directives as \
        info,label_studio_gate=debug",
        |text| owned(text, !is_misspelled(text) && text.parse::<Targets>().is_ok());
}

impl LogFilter {
    /// What it lets through. Of the HTTP server, only if it is named: its lines have neither peer nor
    /// ID, and anybody can cause any number of them.
    pub fn targets(&self) -> Targets {
        let targets: Targets = self.0.parse().expect("the text was accepted");
        let named = targets
            .iter()
            .any(|(name, _)| HTTP_SERVER.starts_with(name));
        match named {
            true => targets,
            false => targets.with_target(HTTP_SERVER, LevelFilter::OFF),
        }
    }
}

/// Target of what actix-http logs about a connection.
const HTTP_SERVER: &str = "actix_http::h1::dispatcher";

const AUTHORIZATION: &str = "authorization";

impl TokenHeader {
    /// Whether it is `Authorization`, which carries the credentials of Label Studio's API too.
    pub fn is_authorization(&self) -> bool {
        self.0 == AUTHORIZATION
    }
}

fn owned(text: &str, accepted: bool) -> Option<String> {
    accepted.then(|| text.to_owned())
}

/// A list of URLs would be one with commas in its host.
fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
    let is_one = url.host_str()?.bytes().all(plain);
    (matches!(url.scheme(), "http" | "https") && is_one).then_some(url)
}

/// The origin in lower case. Its characters have no meaning of their own in a header or in HTML.
fn web_origin(text: &str) -> Option<String> {
    let origin = Url::parse(text).ok()?.origin().ascii_serialization();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:/[]".contains(&b);
    let accepted = origin == text.trim_end_matches('/').to_ascii_lowercase();
    (accepted && origin.bytes().all(plain)).then_some(origin)
}

/// `Authorization` and `X-Api-Key` belong to Label Studio's own API, and the others tell the gate
/// about the original request.
fn identity_header(text: &str) -> Option<String> {
    const TAKEN: &[&str] = &[
        "accept",
        AUTHORIZATION,
        "connection",
        "content-length",
        "cookie",
        "forwarded",
        "gate-proxy-secret",
        "host",
        "origin",
        "referer",
        "set-cookie",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-uri",
        "x-real-ip",
        "x-request-id",
    ];
    let name = text.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let is_taken = TAKEN.contains(&name.as_str())
        || ["x-gate-", "x-original-", "sec-"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    (!name.is_empty() && name.bytes().all(plain) && !is_taken).then_some(name)
}

fn logo_url(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return (text != "/" && local_path(text) == text).then(|| text.to_owned());
    }
    let url = https_url(text)?;
    let origin = web_origin(&url.origin().ascii_serialization())?;
    (!origin.contains('[')).then(|| url.into())
}

fn support_url(text: &str) -> Option<Url> {
    let is_address = |url: &Url| {
        let parts = url.path().split_once('@');
        url.scheme() == "mailto"
            && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
    };
    https_url(text).or_else(|| Url::parse(text).ok().filter(is_address))
}

/// Without a user name or password, which a page would show to everybody.
fn https_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (url.scheme() == "https" && !has_user(&url)).then_some(url)
}

/// CSP has no notation for IPv6 addresses (CSP 3 §2.3.1, `host-part`).
fn frame_ancestor(text: &str) -> Option<String> {
    if matches!(text, "self" | "'self'") {
        return Some("'self'".to_owned());
    }
    let origin = web_origin(&text.replacen("://*.", "://", 1))?;
    let known = origin.starts_with("http") && !origin.contains('[');
    known.then(|| match text.contains("://*.") {
        true => origin.replacen("://", "://*.", 1),
        false => origin,
    })
}

/// `Targets` reads a word that is not a level as the name of a module, so a misspelled level would
/// silence the log. Spans and fields (`[`) are for `EnvFilter`, which brings an engine for regular
/// expressions.
fn is_misspelled(filter: &str) -> bool {
    filter.split(',').any(|word| {
        word.is_empty()
            || word.contains('[')
            || (!word.contains('=') && word.parse::<LevelFilter>().is_err())
    })
}
