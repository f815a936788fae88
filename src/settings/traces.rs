//! `[traces]`: traces for OpenTelemetry.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::declaration::declared;
use super::input::{Input, Unread};
use super::types::{HttpUrl, Milliseconds, Ratio, Secret};
use crate::http_client::Limits;

/// Maximum size of a collector's answer.
const MAX_BYTES: usize = 65_536;

/// Traces of requests, sent to an OpenTelemetry collector (OTLP over HTTP, protobuf).
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TracesSection {
    /// Where spans are sent, as `http://localhost:4318/v1/traces`. Empty: nothing is traced.
    endpoint: Option<HttpUrl>,
    #[serde(flatten)]
    settings: TracesSettings,
}

/// What matters if requests are traced.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TracesSettings {
    /// Headers for the collector, as `name=value,name=value`.
    pub headers: Secret,
    /// The part of the requests that is traced, from 0 to 1.
    #[schemars(extend("default" = "1"))]
    pub sample_ratio: Ratio,
    /// Whether the `traceparent` of a request decides whether it is traced. Only if your proxy sets
    /// it and does not pass on the browser's, which could have every request traced.
    #[schemars(extend("default" = false))]
    pub trust_parent: bool,
    /// Name of the service in the traces.
    #[schemars(length(min = 1), extend("default" = "label-studio-gate"))]
    pub service_name: String,
    /// Time limit for a request to the collector.
    #[schemars(range(min = 10, max = 60_000), extend("default" = 5000))]
    pub timeout_ms: Milliseconds,
    /// File with the certificates to trust instead of the system's (PEM).
    pub ca_file: Option<PathBuf>,
}

/// Traces of requests.
#[derive(Debug)]
pub struct Traces {
    /// Where spans are sent.
    pub endpoint: Url,
    /// Headers for the collector: name and value.
    pub headers: Vec<(String, Secret)>,
    /// The rest of the section.
    pub settings: TracesSettings,
}

impl Traces {
    /// `None`: nothing is traced. The settings are checked only if it is.
    pub(super) fn new(section: TracesSection, input: &mut Input) -> Option<Self> {
        let Some(endpoint) = section.endpoint else {
            refuse_unread(input);
            return None;
        };
        let headers = headers(section.settings.headers.expose_secret());
        if headers.is_none() {
            let accepted = "must be name=value, or several of these with commas between them";
            input.refuse("traces.headers", accepted);
        }
        input.check_certificates("traces.ca_file", section.settings.ca_file.as_deref());
        Some(Self {
            endpoint: (*endpoint).clone(),
            headers: headers.unwrap_or_default(),
            settings: section.settings,
        })
    }

    /// The part of the requests that is traced, from 0 to 1.
    pub fn sample_ratio(&self) -> f64 {
        f64::from(*self.settings.sample_ratio) / 1e6
    }

    /// Limits for a request to the collector.
    pub fn limits(&self) -> Limits {
        Limits {
            timeout: *self.settings.timeout_ms,
            max_bytes: MAX_BYTES,
            redirects: 0,
            allow_http: self.endpoint.scheme() == "http",
            ca_file: self.settings.ca_file.clone(),
        }
    }
}

/// Refuses settings of traces that are sent nowhere.
fn refuse_unread(input: &mut Input) {
    let why = Unread::Off("traces.endpoint");
    if !input.is_unusable("traces.endpoint") {
        input.refuse_unread("traces", &declared::<TracesSettings>(), why);
    }
}

/// The headers in `name=value,name=value`. A name is a token (RFC 9110 §5.1), a value visible ASCII.
fn headers(text: &str) -> Option<Vec<(String, Secret)>> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let is_visible = |b: u8| (b' '..=b'~').contains(&b);
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let is_header =
                !name.is_empty() && name.bytes().all(is_token) && value.bytes().all(is_visible);
            is_header.then(|| (name.to_owned(), Secret::from(value.to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs_of_a_token_and_visible_text() {
        let read = |text: &str| {
            let headers = headers(text)?;
            let pairs = headers
                .iter()
                .map(|(name, value)| format!("{name}:{}", value.expose_secret()));
            Some(pairs.collect::<Vec<_>>().join("|"))
        };
        for (text, expected) in [
            ("", Some("")),
            ("a=b", Some("a:b")),
            (" a = b , c-d=e=f==, ", Some("a:b|c-d:e=f==")),
            ("authorization=Basic YTpi", Some("authorization:Basic YTpi")),
            ("a=", Some("a:")),
            ("a", None),
            ("=b", None),
            ("a b=c", None),
            ("a=b\r\nc: d", None),
            ("a=\u{e9}", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text:?}");
        }
    }
}
