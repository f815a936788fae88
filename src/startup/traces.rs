//! Traces from the settings: where spans go, and which requests have any.

use std::sync::Arc;

use opentelemetry_sdk::Resource;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use super::error::WiringError;
use crate::http_client::HttpClient;
use crate::metrics::Metrics;
use crate::settings;
use crate::telemetry::{Collector, SpanQueue};
use crate::traces::{Sampling, Traces};

/// Starts to send spans to the collector.
pub(super) fn traces(
    settings: &settings::Traces,
    metrics: Arc<Metrics>,
) -> Result<Traces, WiringError> {
    let http = HttpClient::new(&settings.limits()).map_err(WiringError::Collector)?;
    let collector = Collector {
        endpoint: settings.endpoint.clone(),
        headers: headers(settings),
        http,
    };
    let resource = Resource::builder_empty()
        .with_service_name(settings.settings.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    let spans = SpanQueue::start(collector, &resource, metrics);
    let sampling = Sampling {
        ratio: settings.sample_ratio(),
        trust_parent: settings.settings.trust_parent,
    };
    Ok(Traces::new(spans, resource, &sampling))
}

/// The settings have checked that these are headers.
fn headers(settings: &settings::Traces) -> HeaderMap {
    let pairs = settings.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    pairs.collect()
}
